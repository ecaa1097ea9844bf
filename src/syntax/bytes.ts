/**
 * The bytes that mean something to bash, by name and by class.
 *
 * @module
 */

const code = (character: string): number => character.charCodeAt(0);

export const TAB = code("\t");
export const NEWLINE = code("\n");
export const SPACE = code(" ");
export const DOUBLE_QUOTE = code('"');
export const HASH = code("#");
export const DOLLAR = code("$");
export const SINGLE_QUOTE = code("'");
export const OPEN_PAREN = code("(");
export const CLOSE_PAREN = code(")");
export const DASH = code("-");
export const SEMICOLON = code(";");
export const LESS = code("<");
export const GREATER = code(">");
export const OPEN_BRACKET = code("[");
export const BACKSLASH = code("\\");
export const CLOSE_BRACKET = code("]");
export const BACKQUOTE = code("`");
export const OPEN_BRACE = code("{");
export const CLOSE_BRACE = code("}");

/** What a byte does outside quotes. */
export const Class = {
  /** Part of a word. */
  WORD: 0,
  /** Ends a word: space and tab. */
  BLANK: 1,
  NEWLINE: 2,
  /** Part of an operator. */
  OPERATOR: 3,
  /** Begins a quote, an escape or an expansion. */
  SPECIAL: 4,
} as const;

/** Class of each byte. */
export const CLASS: Uint8Array = new Uint8Array(256);
CLASS[SPACE] = CLASS[TAB] = Class.BLANK;
CLASS[NEWLINE] = Class.NEWLINE;
for (const c of "|&;()<>") CLASS[code(c)] = Class.OPERATOR;
for (const c of "\"'`\\$") CLASS[code(c)] = Class.SPECIAL;

/** Each byte as a string of one character. */
export const CHARACTER: readonly string[] = Array.from(
  { length: 256 },
  (_, byte) => String.fromCharCode(byte),
);

/** Whether a byte may begin an identifier. */
export function isLetter(byte: number): boolean {
  return byte >= 0x61 && byte <= 0x7a || byte >= 0x41 && byte <= 0x5a || byte === 0x5f;
}

/** Whether a byte is a decimal digit. */
export function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}
