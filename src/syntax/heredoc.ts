/**
 * Here-documents: their bodies are read line by line until one equals the delimiter.
 *
 * @module
 */

import { BACKSLASH, CLOSE_PAREN, NEWLINE, TAB } from "./bytes.ts";
import type { HereDocument, State } from "./state.ts";

/** Takes one byte of a here-document's body. */
export function bodyByte(s: State, document: HereDocument, byte: number): boolean {
  const { delimiter, tabs, quoted } = document;
  const escaped = s.escape;
  s.escape = false;
  if (byte === NEWLINE) {
    if (escaped) return true;
    if (s.matched === delimiter.length) endBody(s);
    s.matched = 0;
  } else if (byte === BACKSLASH && !quoted && !escaped) s.escape = true;
  else if (s.matched >= delimiter.length) {
    // bash takes a line such as `EOF)` for the end of both, but grumbles.
    if (byte === CLOSE_PAREN && s.isInside("substitution")) {
      return s.refuse("`)` after the delimiter");
    }
    s.matched = delimiter.length + 1;
  } else if (escaped) s.matched = -1;
  else if (s.matched > 0 || s.matched === 0 && !(byte === TAB && tabs)) {
    s.matched = delimiter.charCodeAt(s.matched) === byte ? s.matched + 1 : -1;
  }
  return true;
}

function endBody(s: State): void {
  s.body = s.pending[0];
  if (s.body) s.pending = s.pending.slice(1);
}
