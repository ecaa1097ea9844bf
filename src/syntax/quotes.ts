/**
 * Stretches of text that run up to a closing byte: quotes, `${…}`, arithmetic, subscripts. bash pairs
 * quotes, brackets and substitutions in them and looks no further, and neither does this.
 *
 * @module
 */

import {
  BACKQUOTE,
  BACKSLASH,
  CHARACTER,
  CLOSE_BRACE,
  CLOSE_BRACKET,
  CLOSE_PAREN,
  DOLLAR,
  DOUBLE_QUOTE,
  GREATER,
  LESS,
  OPEN_BRACE,
  OPEN_BRACKET,
  OPEN_PAREN,
  SEMICOLON,
  SINGLE_QUOTE,
} from "./bytes.ts";
import type { Kind, State } from "./state.ts";

/** How bytes are read in one kind of stretch. */
export interface QuoteRule {
  readonly kind: Kind;
  readonly close: number;
  /** The byte that must be closed once more, or 0. */
  readonly open: number;
  /** A backslash protects the next byte. */
  readonly escapes: boolean;
  /** Quotes of all kinds are paired. */
  readonly quotes: boolean;
  /** What may follow a `$` to begin an expansion. */
  readonly dollar: string;
  /** `<(` and `>(` begin a process substitution. */
  readonly angles: boolean;
  /** Bytes that bash would read in a way not followed here. */
  readonly refused: string;
}

function rule(kind: Kind, close: number, more: Partial<QuoteRule> = {}): QuoteRule {
  const plain = { open: 0, escapes: true, quotes: false, dollar: "", angles: false, refused: "" };
  return { kind, close, ...plain, ...more };
}

const SINGLE = rule("single", SINGLE_QUOTE, { escapes: false });
const ANSI = rule("ansi", SINGLE_QUOTE);
const DOUBLE = rule("double", DOUBLE_QUOTE, { dollar: "({[" });
const BACKQUOTED = rule("backquote", BACKQUOTE);
const PARAMETER = rule("parameter", CLOSE_BRACE, { quotes: true, dollar: "({[", angles: true });
const BRACKET = rule("bracket", CLOSE_BRACKET, { open: OPEN_BRACKET, quotes: true, dollar: "(" });
/** `(…)` counted, as in arithmetic. */
export const ARITHMETIC: QuoteRule = rule("arithmetic", CLOSE_PAREN, {
  open: OPEN_PAREN,
  quotes: true,
  dollar: "(",
});
/** `[…]` after an array's name. */
export const SUBSCRIPT: QuoteRule = rule("subscript", CLOSE_BRACKET, {
  open: OPEN_BRACKET,
  quotes: true,
  dollar: "({[",
  angles: true,
});
/** `(…)` in a regular expression or an extended glob of `[[`. */
export const PARENTHESES: QuoteRule = rule("parentheses", CLOSE_PAREN, {
  open: OPEN_PAREN,
  quotes: true,
});
/** The second `)` of `((…))`: nothing may come before it. */
export const ARITHMETIC_COMMAND: QuoteRule = rule("arithmetic command", CLOSE_PAREN);
/** The same of `for ((…))`. */
export const ARITHMETIC_FOR: QuoteRule = rule("arithmetic for", CLOSE_PAREN);
/** `${…}` where bash reads twice, and a subscript in it. */
const PLAIN_PARAMETER = rule("plain parameter", CLOSE_BRACE, { refused: ";()'\"`\\${" });
const PLAIN_SUBSCRIPT = rule("plain subscript", CLOSE_BRACKET, { refused: ";()'\"`\\${}[" });

/** Whether the innermost construct is the header of an arithmetic `for`. */
function inForHeader(s: State): boolean {
  return s.frame.semicolons >= 0;
}

/**
 * Whether bash will read this place a second time, by other rules than those that pair quotes: it
 * looks for the end of subscripts, and of what might be one, and for the separators of `for ((` so.
 */
function isReadTwice(s: State): boolean {
  return s.inWord && s.shape === "identifier[" || s.isInside("subscript") ||
    s.isInside("arithmetic for");
}

/** Begins `$(…)`, `<(…)` or `>(…)`. */
export function openSubstitution(s: State): boolean {
  if (isReadTwice(s)) return s.refuse("a substitution in a subscript or in `for ((`");
  s.interrupt("substitution", "substitution start");
  s.last = OPEN_PAREN; // until a byte follows
  return true;
}

/** Begins the expansion that `$` and this byte introduce. */
export function openExpansion(s: State, byte: number): boolean {
  s.last = 0;
  if (byte === OPEN_PAREN) return openSubstitution(s);
  if (isReadTwice(s)) {
    if (byte === OPEN_BRACKET) return s.refuse("`$[` in a subscript or in `for ((`");
    s.open("plain parameter", PLAIN_PARAMETER);
  } else if (byte === OPEN_BRACE) s.open("parameter", PARAMETER);
  else s.open("bracket", BRACKET);
  if (byte === OPEN_BRACE) s.last = OPEN_BRACE; // until a byte follows
  return true;
}

/** Turns `$(` into `$((`, which bash takes for arithmetic whatever follows. */
export function openArithmetic(s: State): void {
  s.resume();
  s.open("arithmetic", ARITHMETIC);
  s.open("arithmetic", ARITHMETIC);
}

/** Begins the quote that this byte introduces. */
export function openQuote(s: State, byte: number): boolean {
  if (byte === BACKQUOTE || byte === SINGLE_QUOTE && s.last === DOLLAR) {
    if (isReadTwice(s)) return s.refuse("this quote in a subscript or in `for ((`");
  }
  if (byte === DOUBLE_QUOTE) s.open("double", DOUBLE);
  else if (byte === BACKQUOTE) s.open("backquote", BACKQUOTED);
  else if (s.last === DOLLAR) s.open("ansi", ANSI);
  else s.open("single", SINGLE);
  s.last = 0;
  return true;
}

/** Takes one byte of the stretch that is the innermost construct. */
export function quoteByte(s: State, q: QuoteRule, byte: number): boolean {
  const last = s.last;
  if (q === ARITHMETIC_COMMAND || q === ARITHMETIC_FOR) {
    if (byte !== CLOSE_PAREN) return s.refuse("`))` is split");
  } else if (byte === BACKSLASH && q.escapes && !q.refused) {
    if (s.at === "delimiter") return s.refuse("this here-document delimiter");
    s.escape = true;
    return true;
  }
  s.last = 0;
  if (byte === q.close) return closeQuote(s, q);
  if (s.at === "delimiter") return delimiterByte(s, byte);
  if (last === DOLLAR && q.dollar.includes(CHARACTER[byte])) {
    return openExpansion(s, byte);
  }
  if ((last === LESS || last === GREATER) && byte === OPEN_PAREN && q.angles) {
    return openSubstitution(s);
  }
  if (q.refused.includes(CHARACTER[byte])) return s.refuse(`\`${CHARACTER[byte]}\` in \`for ((\``);
  if (q === PLAIN_PARAMETER && byte === OPEN_BRACKET) {
    s.open("plain subscript", PLAIN_SUBSCRIPT);
    return true;
  }
  if (byte === q.open) {
    s.open(q.kind, q, inForHeader(s) ? 3 : -1);
    return true;
  }
  if (inForHeader(s)) return headerByte(s, last, byte);
  if (
    byte === BACKQUOTE && (q.quotes || q === DOUBLE) ||
    q.quotes && (byte === DOUBLE_QUOTE || byte === SINGLE_QUOTE)
  ) {
    s.last = last;
    return openQuote(s, byte);
  } else if (byte === DOLLAR) {
    if (last !== DOLLAR) s.last = DOLLAR;
    else if (isReadTwice(s)) return s.refuse("`$$` in a subscript or in `for ((`");
  } else if (q.angles && (byte === LESS || byte === GREATER)) {
    if (last !== LESS && last !== GREATER || isReadTwice(s)) s.last = byte;
  }
  return true;
}

/** A byte of `for ((a; b; c))` that needs no pairing. */
function headerByte(s: State, last: number, byte: number): boolean {
  if (byte === SEMICOLON) {
    const semicolons = s.frame.semicolons + 1;
    if (semicolons > 2) return s.refuse("one `;` too many in `for ((`");
    s.frame = { ...s.frame, semicolons };
  } else if (byte === OPEN_BRACE && last === DOLLAR) return openExpansion(s, byte);
  else if (byte === DOUBLE_QUOTE) s.open("double", DOUBLE);
  else if (byte === SINGLE_QUOTE || byte === BACKQUOTE) {
    return s.refuse(`\`${CHARACTER[byte]}\` in \`for ((\``);
  } else if (byte === DOLLAR) {
    if (last === DOLLAR) return s.refuse("`$$` in `for ((`");
    s.last = DOLLAR;
  }
  return true;
}

/** A quoted byte of a here-document's delimiter. */
function delimiterByte(s: State, byte: number): boolean {
  if (byte < 0x20 || byte >= 0x7f || byte === DOLLAR || byte === BACKQUOTE) {
    return s.refuse("this here-document delimiter");
  }
  s.document = { ...s.document!, delimiter: s.document!.delimiter + CHARACTER[byte] };
  return true;
}

function closeQuote(s: State, q: QuoteRule): boolean {
  if (q === ARITHMETIC && s.frame.up!.rule === ARITHMETIC_FOR && s.frame.semicolons !== 2) {
    return s.refuse("`for ((` without two `;`");
  }
  s.close();
  if (q === ARITHMETIC_COMMAND) s.at = "closed";
  else if (q === ARITHMETIC_FOR) s.at = "arithmetic for";
  else if (q === SUBSCRIPT && s.frame.rule === undefined) s.shape = "subscripted";
  return true;
}
