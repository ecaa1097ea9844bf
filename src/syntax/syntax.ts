/**
 * Bash syntax, byte by byte: whether a text can still become a script that `bash -n` accepts, whether
 * it is one, and what would make it one. Generation uses it to take only tokens that lead somewhere.
 *
 * @module
 */

import { NEWLINE } from "./bytes.ts";
import { closingText, isComplete } from "./closing.ts";
import { takeByte } from "./lexer.ts";
import { type Fault, State } from "./state.ts";

const utf8 = new TextEncoder();

/**
 * An incremental recognizer of bash 5.2 scripts: a pushdown automaton fed with bytes.
 *
 * What it accepts, bash accepts. Of what bash accepts it refuses the rare and the dubious: extended
 * globs outside `[[`, which need a shell option; `((` closed by anything but `))`; `!` and `time` with
 * no command; names of functions and loop variables that cannot be used; braces in place of the
 * `do … done` of a `for … in`; `in` on a line of its own; assignments after `coproc`; here-document
 * delimiters with expansions in them; substitutions in subscripts and in `for ((…))`, and backslashes
 * in arrays in substitutions, where bash reads twice and trips over itself. A text that ends in a lone
 * backslash is unfinished.
 *
 * @example
 * ```ts
 * import { Syntax } from "@bashling/bashling";
 *
 * const syntax = new Syntax();
 * syntax.push(new TextEncoder().encode("for f in *; do echo")); // true
 * syntax.complete; // false
 * syntax.closing(); // "; done"
 * syntax.push(new TextEncoder().encode(" $f; fi ")); // false: a `for` does not end with `fi`
 * ```
 */
export class Syntax {
  #state: State;

  /** Begins before the first byte of a script. */
  constructor() {
    this.#state = new State();
  }

  /**
   * An independent copy, made in constant time.
   *
   * @example Try how a script could go on
   * ```ts
   * import { Syntax } from "@bashling/bashling";
   * import { assertEquals } from "@std/assert";
   *
   * const syntax = new Syntax();
   * syntax.push(new TextEncoder().encode("echo one "));
   * const tries = ["two", "&& ls", "fi", ")"];
   * const good = tries.filter((text) => syntax.clone().push(new TextEncoder().encode(text)));
   * assertEquals(good, ["two", "&& ls", "fi"]);
   * ```
   */
  clone(): Syntax {
    const clone = new Syntax();
    clone.#state = this.#state.copy();
    return clone;
  }

  /**
   * Goes on with these bytes. False: no valid script begins so; {@linkcode Syntax.fault} says why, and
   * the state is of no further use.
   *
   * @example
   * ```ts
   * import { Syntax } from "@bashling/bashling";
   * import { assertEquals } from "@std/assert";
   *
   * const syntax = new Syntax();
   * assertEquals(syntax.push(new TextEncoder().encode("while read -r line; do\n")), true);
   * assertEquals(syntax.push(new TextEncoder().encode("fi\n")), false);
   * assertEquals(syntax.fault?.line, 2);
   * ```
   */
  push(bytes: Uint8Array): boolean {
    const s = this.#state;
    if (s.fault) return false;
    for (let i = 0; i < bytes.length; i++) {
      if (!takeByte(s, bytes[i])) return false;
      if (bytes[i] === NEWLINE) s.line++;
    }
    return true;
  }

  /** Whether the text so far is a whole valid script, with or without a newline after it. */
  get complete(): boolean {
    return isComplete(this.#state);
  }

  /**
   * A short text that makes the text so far a whole script; empty if it is one.
   * @throws {RangeError} if no valid script begins with the text so far.
   *
   * @example
   * ```ts
   * import { Syntax } from "@bashling/bashling";
   * import { assertEquals } from "@std/assert";
   *
   * const syntax = new Syntax();
   * syntax.push(new TextEncoder().encode('echo "$(date'));
   * assertEquals(syntax.closing(), ')"');
   * ```
   */
  closing(): string {
    const { fault } = this.#state;
    if (fault) {
      throw new RangeError(
        `Cannot close a script that is wrong in line ${fault.line} (${fault.message}): go back to a state before.`,
      );
    }
    return closingText(this.#state);
  }

  /** Why the last push was refused. */
  get fault(): Fault | undefined {
    return this.#state.fault;
  }

  /** The line that the next byte falls on, from 1. */
  get line(): number {
    return this.#state.line;
  }
}

/** Verdict of {@linkcode checkSyntax}. */
export type SyntaxCheck =
  | { valid: true }
  | { valid: false; incomplete: boolean; line: number; message: string };

/**
 * Checks a whole script. `incomplete` tells a script that only breaks off from one that no
 * continuation can mend.
 *
 * @example
 * ```ts
 * import { checkSyntax } from "@bashling/bashling";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(checkSyntax("if true; then echo yes; fi"), { valid: true });
 * const check = checkSyntax("if true; then echo yes");
 * assertEquals(!check.valid && check.incomplete, true);
 * ```
 */
export function checkSyntax(text: string): SyntaxCheck {
  const syntax = new Syntax();
  if (!syntax.push(utf8.encode(text))) return { valid: false, incomplete: false, ...syntax.fault! };
  if (syntax.complete) return { valid: true };
  const message = `unfinished: ${JSON.stringify(syntax.closing())} is missing`;
  return { valid: false, incomplete: true, line: syntax.line, message };
}
