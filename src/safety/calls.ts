/**
 * Calls of the script's functions that were followed already: from the same state they do the same
 * again, so that a function is not followed a hundred times for a hundred lines of log.
 *
 * @module
 */

import type { Scope, ShellFunction, Value } from "./scope.ts";
import type { Setting } from "./walk.ts";
import { render, type Word } from "./words.ts";

/** A call that begins. */
interface Recorded {
  /** What the call printed when it was followed before; its effects are in place then. */
  printed?: Word;
  /** Notes what the call, now followed, has done and printed. */
  end(printed: Word): void;
}

/** Remembers calls by function and by the state that the function can see. */
export class Calls {
  readonly #names = new Map<number, Set<string>>();
  readonly #followed = new Map<string, { after: Map<string, Value[]>; printed: Word }>();

  /** Looks a call up, and carries out what it did if it was followed before. */
  begin(called: ShellFunction, args: Word[], { scope, stdin }: Setting): Recorded {
    const names = this.#namesIn(called, scope);
    const key = `${called.body.id} ${describe(scope.snapshot(names), args, stdin)}`;
    const followed = this.#followed.get(key);
    if (followed) scope.restore(followed.after);
    return {
      printed: followed?.printed,
      end: (printed) => this.#followed.set(key, { after: scope.snapshot(names), printed }),
    };
  }

  /** The names in a function and in the functions that it calls. */
  #namesIn(start: ShellFunction, scope: Scope): Set<string> {
    let names = this.#names.get(start.body.id);
    if (names) return names;
    names = new Set(["PWD"]);
    const open = [start];
    const seen = new Set<number>();
    for (let next = open.pop(); next; next = open.pop()) {
      if (seen.has(next.body.id)) continue;
      seen.add(next.body.id);
      for (const [name] of next.body.text.matchAll(/[A-Za-z_]\w*/g)) {
        names.add(name);
        const called = scope.functions.get(name);
        if (called) open.push(called);
      }
    }
    this.#names.set(start.body.id, names);
    return names;
  }
}

/** A state in writing, for comparing. */
function describe(values: Map<string, Value[]>, args: Word[], stdin: Word | undefined): string {
  const write = (words: Word[]) => words.map(render).join("\0");
  const variables = [...values].map(([name, options]) =>
    `${name}=${options.map(write).join("\r")}`
  );
  return [...variables.sort(), write(args), render(stdin ?? [])].join("\0\n");
}
