/**
 * Where text may be cut before byte-pair merges are made. Two levels, both defined on UTF-8 bytes:
 *
 * - a **line chunk** is a run of newlines with the indentation after it, or the rest of a line.
 *   No token ever crosses its ends, neither in training nor in encoding.
 * - a **word** is a piece of a line chunk. Only the first stage of training keeps merges inside it.
 *
 * @module
 */

/** The line chunks as a regular expression, in the form that `tokenizer.json` carries. */
export const LINE_PATTERN = "\\n+[ \\t]*|[^\\n]+";

const TAB = 9, NEWLINE = 10, SPACE = 32;
const BLANK = 0, LETTER = 1, DIGIT = 2, MARK = 3;
const MAX_DIGITS = 3;

/** Class of each byte; every byte of a character beyond ASCII counts as a letter. */
const CLASS = Uint8Array.from({ length: 256 }, (_, byte) => {
  if (byte === SPACE || (byte >= TAB && byte <= 13)) return BLANK;
  if (byte >= 128 || /[A-Za-z]/.test(String.fromCharCode(byte))) return LETTER;
  return byte >= 48 && byte <= 57 ? DIGIT : MARK;
});

/** End of the line chunk that starts at `start`; `end` bounds the text. */
export function lineChunkEnd(bytes: Uint8Array, start: number, end: number): number {
  let i = start;
  if (bytes[i] === NEWLINE) {
    while (i < end && bytes[i] === NEWLINE) i++;
    while (i < end && (bytes[i] === SPACE || bytes[i] === TAB)) i++;
    return i;
  }
  while (i < end && bytes[i] !== NEWLINE) i++;
  return i;
}

/**
 * End of the word that starts at `start` inside a line chunk that ends at `end`: letters, up to
 * three digits, or other marks, each with one space before it; or blanks. A chunk of newlines and
 * indentation is one word.
 */
export function wordEnd(bytes: Uint8Array, start: number, end: number): number {
  if (bytes[start] === NEWLINE) return end;
  let i = start;
  if (bytes[i] === SPACE && i + 1 < end && CLASS[bytes[i + 1]] !== BLANK) i++;
  const kind = CLASS[bytes[i]];
  const limit = kind === DIGIT ? Math.min(end, i + MAX_DIGITS) : end;
  while (i < limit && CLASS[bytes[i]] === kind) i++;
  // The last space of several belongs to the word after it.
  if (kind === BLANK && i < end && i - start > 1 && bytes[i - 1] === SPACE) i--;
  return i;
}
