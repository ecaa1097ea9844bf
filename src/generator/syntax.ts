/**
 * Keeps what is generated valid bash: which tokens may come next, and what closes what is open.
 *
 * @module
 */

import { Syntax } from "../syntax/syntax.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";

const utf8 = new TextEncoder();
const NOTHING = new Uint8Array(0);

/**
 * Follows a script token by token. A token may come next if a valid script can begin with the text up
 * to it, and if what it leaves open can be closed by the tokens that are left.
 *
 * A token that breaks the script is never put into the cache, so that nothing has to be taken back
 * but the draw.
 */
export class SyntaxGuard {
  readonly #tokenizer: Tokenizer;
  /** State after the tokens taken. */
  #syntax: Syntax;
  /** What closes the script behind the bytes with which it goes on anyway, if it is known. */
  #rest?: string;
  /** Which bytes may come next: 1 for those that may, 2 for those that may not, 0 if it is not known. */
  readonly #bytes = new Uint8Array(256);
  /** The state and the rest after the last token that {@linkcode SyntaxGuard.admits} let pass. */
  #next?: { token: number; syntax: Syntax; rest: string };

  /**
   * @param given The script's beginning.
   * @param forced Bytes with which it goes on whatever comes.
   * @throws {SyntaxError} if no valid script begins so.
   */
  constructor(tokenizer: Tokenizer, given: Uint8Array, forced: Uint8Array) {
    this.#tokenizer = tokenizer;
    this.#syntax = new Syntax();
    this.#syntax.push(given);
    const after = this.#syntax.clone();
    if (after.push(forced)) return;
    const { line, message } = after.fault!;
    throw new SyntaxError(
      `The prompt is no beginning of a bash script (line ${line}: ${message}): correct it, or generate with syntax off.`,
    );
  }

  /**
   * Whether `token` may come next.
   * @param room Tokens that may still come after it.
   * @param forced Bytes with which the text goes on whatever comes.
   */
  admits(token: number, room: number, forced: Uint8Array): boolean {
    if (token === this.#tokenizer.endOfText) return forced.length === 0 && this.#syntax.complete;
    const bytes = this.#tokenizer.tokenBytes(token);
    const syntax = this.#syntax.clone();
    if (!syntax.push(bytes)) return false;
    // A token is one byte or more, so most texts need not be encoded to see that they fit.
    const rest = closingAfter(
      syntax,
      forced.length > 0 ? forced.subarray(Math.min(bytes.length, forced.length)) : forced,
    );
    if (rest === undefined) return false;
    if (rest.length > room && this.#tokenizer.encode(rest).length > room) return false;
    this.#next = { token, syntax, rest };
    return true;
  }

  /** Whether the first byte of `token` may come next; for whoever asks about many tokens. */
  mayBegin(token: number): boolean {
    if (token === this.#tokenizer.endOfText) return true;
    const [byte] = this.#tokenizer.tokenBytes(token);
    const known = this.#bytes[byte] ||= this.#syntax.clone().push(Uint8Array.of(byte)) ? 1 : 2;
    return known === 1;
  }

  /** Goes on with a token that was let pass, or that closes. */
  take(token: number): void {
    const next = this.#next;
    if (next?.token === token) ({ syntax: this.#syntax, rest: this.#rest } = next);
    else if (token !== this.#tokenizer.endOfText) {
      this.#syntax.push(this.#tokenizer.tokenBytes(token));
      this.#rest = undefined;
    }
    this.#next = undefined;
    this.#bytes.fill(0);
  }

  /** Whether what closes the script takes as many tokens as there is room for. */
  mustClose(room: number): boolean {
    const rest = this.#rest ??= closingAfter(this.#syntax, NOTHING)!;
    return rest.length >= room && this.#tokenizer.encode(rest).length >= room;
  }

  /** The tokens that close the script, behind the bytes with which it goes on anyway. */
  closing(forced: Uint8Array): Uint32Array {
    return this.#tokenizer.encode(closingAfter(this.#syntax, forced)!);
  }
}

/**
 * `forced`, which is newlines and blanks, then what closes the script after it; `undefined` if it
 * cannot go on so. Both are ASCII: a character is a byte.
 */
function closingAfter(syntax: Syntax, forced: Uint8Array): string | undefined {
  if (forced.length === 0) return syntax.closing();
  const after = syntax.clone();
  return after.push(forced) ? String.fromCharCode(...forced) + after.closing() : undefined;
}

/** What closes a whole text that a valid script begins with. */
export function closingOf(text: string): string {
  const syntax = new Syntax();
  syntax.push(utf8.encode(text));
  return syntax.closing();
}
