/**
 * What a script has said so far: variables with every value they may have, functions, files
 * written, options. The walk follows branches side by side and merges what they say.
 *
 * @module
 */

import { emptiness, filledIn } from "./expansions.ts";
import type { Node } from "./parser.ts";
import { scanCommands } from "./scan.ts";
import {
  type Environment,
  expandFields,
  expandWord,
  literal,
  render,
  unknown,
  type Word,
} from "./words.ts";

/** Elements of a variable; one for a plain variable, none for one that is unset. */
export type Value = Word[];

/** Where a finding is reported. */
export interface Site {
  line: number;
  text: string;
}

/** A text that is walked through: the script itself or code within it. */
export interface Place {
  text: string;
  /** Line of the text's first character in the script. */
  firstLine: number;
  /** For code that does not stand in the script as it is: the command that it comes from. */
  site?: Site;
}

/** A function of the script, and the text that its node is cut from. */
export interface ShellFunction {
  body: Node;
  place: Place;
}

const MAX_OPTIONS = 8;
const MAX_VARIANTS = 16;
const NAME = /\$\{?[!#]?([A-Za-z_]\w*|[0-9@*])/g;

/** Variables that are set whenever a script runs. */
const PRESET: Record<string, Value> = {
  IFS: [[" \t\n"]],
  HOME: [unknown("$HOME", "never", "home")],
  HISTFILE: [[...unknown("$HOME", "never", "home"), "/.bash_history"]],
  PWD: [unknown("$PWD", "never", "folder")],
  TMPDIR: [unknown("$TMPDIR", "guarded", "temporary")],
  "#": [unknown("$#", "never")],
  "?": [unknown("$?", "never")],
  $: [unknown("$$", "never")],
  "0": [unknown("$0", "never")],
};
for (const name of ["USER", "LOGNAME", "HOSTNAME", "UID", "EUID", "PPID", "RANDOM", "SECONDS"]) {
  PRESET[name] = [unknown(`$${name}`, "never")];
}
for (const name of ["PATH", "SHELL", "OLDPWD", "BASH", "BASH_SOURCE", "FUNCNAME", "LINENO"]) {
  PRESET[name] = [unknown(`$${name}`, "never")];
}

/** The state of a script between two commands. */
export class Scope implements Environment {
  /** Runs the code of `$(…)` and says what it prints; set by the walk. */
  readonly run: (code: string, scope: Scope) => Word;
  readonly functions: Map<string, ShellFunction>;
  /** Words that stand for others; off in scripts unless they ask, and followed all the same. */
  readonly aliases: Map<string, string[]>;
  /** What the script wrote into files, by path; the same for subshells. */
  readonly files: Map<string, Word>;
  /** File descriptors that lead to the network. */
  readonly sockets: Set<string>;
  /** `set -u`: an unset variable ends the script. */
  nounset = false;
  /** `set -e`: a failing command ends the script. */
  errexit = false;
  /** Whether the commands that follow are never reached. */
  ended = false;
  #variables = new Map<string, Value[]>();
  #guarded = new Set<string>();

  constructor(run: (code: string, scope: Scope) => Word, from?: Scope) {
    this.run = run;
    this.functions = new Map(from?.functions);
    this.aliases = from?.aliases ?? new Map();
    this.files = from?.files ?? new Map();
    this.sockets = new Set(from?.sockets);
    if (!from) return;
    this.nounset = from.nounset;
    this.errexit = from.errexit;
    this.#variables = new Map(from.#variables);
    this.#guarded = new Set(from.#guarded);
  }

  /** A copy, for a subshell or one way of a branch. */
  clone(): Scope {
    return new Scope(this.run, this);
  }

  variable(name: string): Value {
    const value = this.#variables.get(name)?.[0];
    if (value) return this.#guarded.has(name) ? value.map((w) => filledIn(w, "guarded")) : value;
    if (name === "*") return this.variable("@");
    if (Object.hasOwn(PRESET, name)) return PRESET[name];
    const guarded = this.nounset || this.#guarded.has(name);
    return [unknown(`$${name}`, guarded ? "guarded" : "may")];
  }

  assign(name: string, value: Word): void {
    this.set(name, [value]);
  }

  /** Sets all elements of a variable. */
  set(name: string, value: Value): void {
    this.#variables.set(name, [value]);
    this.#guarded.delete(name);
  }

  /** Sets a variable to one of several values. */
  setOptions(name: string, options: Value[]): void {
    this.#variables.set(name, distinct(options));
    this.#guarded.delete(name);
  }

  /** Forgets a variable: from now on it is known to be empty. */
  unset(name: string): void {
    this.#variables.set(name, [[]]);
    this.functions.delete(name);
  }

  guard(name: string): void {
    this.#guarded.add(name);
    if (name === "#") { for (let i = 1; i <= 9; i++) this.#guarded.add(`${i}`); }
  }

  /** Notes all variables in a text as checked: that of a test or of `case`. */
  guardAll(text: string): void {
    for (const [, name] of text.matchAll(/\$\{?([A-Za-z_]\w*|[0-9#])/g)) this.guard(name);
  }

  /** Sets `$1`, `$2`, `$@` and `$#`; those of the script itself are unknown. */
  setPositional(args: Word[]): void {
    this.set("@", args);
    this.set("#", [[`${args.length}`]]);
    for (let i = 1; i <= 9; i++) this.set(`${i}`, [args[i - 1] ?? []]);
  }

  /** Runs something with other positional parameters, as a function is. */
  withPositional<T>(args: Word[], run: () => T): T {
    const names = ["@", "#", ...Array.from({ length: 9 }, (_, i) => `${i + 1}`)];
    const before = names.map((name) => this.#variables.get(name));
    this.setPositional(args);
    const result = run();
    names.forEach((name, i) => {
      if (before[i]) this.#variables.set(name, before[i]);
      else this.#variables.delete(name);
    });
    return result;
  }

  substitute(code: string): Word {
    return this.run(code, this);
  }

  /** Carries out `NAME=value`, `NAME+=value`, `NAME[key]=value` or `NAME=(…)`. */
  assignment(text: string): void {
    const match = /^([A-Za-z_]\w*)(?:\[([^\]]*)\])?(\+?)=([^]*)$/.exec(text);
    if (!match) return;
    const [, name, index, append, rest] = match;
    const before = append ? this.variable(name) : [];
    if (rest.startsWith("(")) {
      this.set(name, [...before, ...this.#elements(name, rest.slice(1).replace(/\)$/, ""))]);
      return;
    }
    // With `set -e` a substitution that fails leaves nothing behind to go on with.
    const checked = this.errexit && /\$\(|`/.test(rest);
    const expanded = expandWord(rest, this);
    const value = checked ? filledIn(expanded, "guarded") : expanded;
    if (index !== undefined) this.#setElement(name, index, value);
    else this.set(name, [[...(before[0] ?? []), ...value], ...before.slice(1)]);
  }

  #elements(name: string, text: string): Value {
    const values: Value = [];
    const words = scanCommands(text).flatMap((part) => [...part.assignments, ...part.words]);
    for (const word of words) {
      const keyed = /^\[([^\]]+)\]=([^]*)$/.exec(word);
      if (keyed) this.#setElement(name, keyed[1], expandWord(keyed[2], this));
      values.push(...(keyed ? [expandWord(keyed[2], this)] : expandFields(word, this)));
    }
    return values;
  }

  #setElement(name: string, index: string, value: Word): void {
    const key = literal(expandWord(index, this));
    if (key !== undefined && /^\d{1,3}$/.test(key)) {
      const values = this.#variables.has(name) ? [...this.variable(name)] : [];
      for (let i = values.length; i < Number(key); i++) values.push([]);
      values[Number(key)] = value;
      this.set(name, values);
    } else if (key !== undefined) {
      this.set(`${name}[${key}]`, [value]);
    }
  }

  /** All values of the variables with these names, for {@linkcode restore}. */
  snapshot(names: Set<string>): Map<string, Value[]> {
    return new Map([...this.#variables].filter(([name]) => names.has(name)));
  }

  /** Gives variables the values that they had. */
  restore(values: Map<string, Value[]>): void {
    for (const [name, options] of values) this.#variables.set(name, options);
  }

  /**
   * The scopes to consider for a command of this text: one for each combination of values of the
   * variables that it names, this scope itself if there is but one.
   * @param most How many to consider at most.
   */
  variants(text: string, most = MAX_VARIANTS): Scope[] {
    let scopes: Scope[] = [this];
    const names = new Set(["PWD", ...Array.from(text.matchAll(NAME), (match) => match[1])]);
    for (const name of names) {
      const options = this.#variables.get(name);
      if (!options || options.length < 2) continue;
      scopes = scopes.flatMap((scope) =>
        options.map((option) => {
          const copy = scope.clone();
          copy.#variables.set(name, [option]);
          return copy;
        })
      ).slice(0, most);
    }
    return scopes;
  }

  /** Takes over what all of `scopes` say together, those that end the script left out. */
  merge(scopes: Scope[]): void {
    const alive = scopes.filter((scope) => !scope.ended);
    const from = alive.length > 0 ? alive : scopes;
    const names = new Set(from.flatMap((scope) => [...scope.#variables.keys()]));
    const merged = new Map<string, Value[]>();
    for (const name of names) {
      const given = from.map((scope) => scope.#variables.get(name));
      const same = given[0] && given.every((options) => options === given[0]);
      const options = given.flatMap((options, i) => options ?? [absent(from[i], name)]);
      merged.set(name, same ? given[0]! : distinct(options));
    }
    this.#variables = merged;
    // One way that checks a variable is enough: the others do not come with it empty.
    this.#guarded = new Set(scopes.flatMap((scope) => [...scope.#guarded]));
    for (const scope of from) {
      for (const [name, node] of scope.functions) this.functions.set(name, node);
      for (const descriptor of scope.sockets) this.sockets.add(descriptor);
    }
    this.nounset = from.some((scope) => scope.nounset);
    this.errexit = from.some((scope) => scope.errexit);
    this.ended = alive.length === 0 && scopes.length > 0;
  }
}

/** A variable that one way sets and another does not: scripts check such, or mean both. */
function absent(scope: Scope, name: string): Value {
  return scope.variable(name).map((word) =>
    emptiness(word) === "may" ? filledIn(word, "guarded") : word
  );
}

function distinct(options: Value[]): Value[] {
  const seen = new Map(options.map((value) => [value.map(render).join("\0"), value]));
  return [...seen.values()].slice(0, MAX_OPTIONS);
}
