/**
 * From bytes to words and operators.
 *
 * @module
 */

import {
  BACKQUOTE,
  BACKSLASH,
  CHARACTER,
  CLASS,
  Class,
  DASH,
  DOLLAR,
  HASH,
  NEWLINE,
  OPEN_BRACE,
  OPEN_BRACKET,
  OPEN_PAREN,
} from "./bytes.ts";
import { beforeCommand, beginWord, endLine, endWord } from "./grammar.ts";
import { endOperator } from "./operators.ts";
import { bodyByte } from "./heredoc.ts";
import {
  openArithmetic,
  openExpansion,
  openQuote,
  openSubstitution,
  PARENTHESES,
  quoteByte,
  SUBSCRIPT,
} from "./quotes.ts";
import { type Position, QUOTED, type State } from "./state.ts";
import { extendWord, isTarget, quoteWord, wordFits } from "./words.ts";

/** What each operator that can grow may grow into; `<(` and `>(` begin a word. */
export const LONGER: Readonly<Record<string, readonly string[]>> = {
  ";": [";;", ";&"],
  ";;": [";;&"],
  "&": ["&&", "&>"],
  "&>": ["&>>"],
  "|": ["||", "|&"],
  "<": ["<(", "<<", "<&", "<>"],
  "<<": ["<<<", "<<-"],
  ">": [">(", ">>", ">&", ">|"],
  "(": ["(("],
};

/** Takes one byte. False: no valid script goes on so. */
export function takeByte(s: State, byte: number): boolean {
  if (byte === 0 || byte === 0x01 || byte === 0x7f) {
    return s.refuse("a control byte"); // the latter two are marks of bash's own
  }
  if (s.body) return bodyByte(s, s.body, byte);
  if (s.comment) {
    if (byte !== NEWLINE) return true;
    s.comment = false;
    return endLine(s);
  }
  if (s.escape) {
    s.escape = false;
    return byte === NEWLINE || escapedByte(s, byte);
  }
  if (s.frame.rule) return quoteByte(s, s.frame.rule, byte);
  return commandByte(s, byte);
}

/** A byte after a backslash, other than a newline: those two are as if they were not there. */
function escapedByte(s: State, byte: number): boolean {
  s.last = 0;
  if (s.frame.rule) return true;
  if (s.operator !== "" && !endOperatorNow(s)) return false;
  if (s.at === "array" && s.isInside("substitution")) {
    return s.refuse("a backslash in an array in a substitution"); // bash loses it
  }
  if (!beginQuoted(s)) return false;
  return s.at !== "delimiter" || delimiterByte(s, byte, true);
}

/** Ends the operator in progress. */
function endOperatorNow(s: State): boolean {
  const operator = s.operator;
  s.operator = "";
  return endOperator(s, operator);
}

function commandByte(s: State, byte: number): boolean {
  if (s.operator !== "") {
    if (byte === BACKSLASH) {
      s.escape = true;
      return true;
    }
    const longer = s.operator + CHARACTER[byte];
    if (LONGER[s.operator].includes(longer)) return growOperator(s, longer);
    if (!endOperatorNow(s)) return false;
  }
  switch (CLASS[byte]) {
    case Class.BLANK:
      s.last = 0;
      return !s.inWord || endWord(s, false);
    case Class.NEWLINE:
      return (!s.inWord || endWord(s, false)) && endLine(s);
    case Class.OPERATOR:
      return operatorByte(s, byte);
    case Class.SPECIAL:
      return specialByte(s, byte);
    default:
      return wordByte(s, byte);
  }
}

/** A byte that belongs to words and nothing else. */
function wordByte(s: State, byte: number): boolean {
  if (!s.inWord) {
    if (byte === HASH) {
      if (!endLine(s.copy())) return s.refuse("a comment is misplaced");
      s.comment = true;
      return true;
    }
    if (!beginWord(s)) return false;
    if (s.at === "descriptor" && byte === DASH) {
      // `>&-` is whole; bash would take what follows for another word.
      s.text = "-";
      s.shape = "whole";
      return true;
    }
  }
  if (s.shape === "whole") return s.refuse("a blank or an operator expected");
  if (s.last === DOLLAR && (byte === OPEN_BRACE || byte === OPEN_BRACKET)) {
    return openExpansion(s, byte);
  }
  s.last = byte;
  if (s.at === "delimiter") return delimiterByte(s, byte, false);
  if (byte === OPEN_BRACKET && s.shape === "identifier" && isTarget(s.at) && s.back === "aimed") {
    return s.refuse("a subscript in a redirection");
  }
  if (byte === OPEN_BRACKET && opensSubscript(s)) {
    s.open("subscript", SUBSCRIPT);
    s.text = QUOTED;
    s.last = 0;
    return true;
  }
  if (s.shape === "other" && s.text === QUOTED) return true;
  extendWord(s, byte);
  return wordFits(s) || s.refuse("this word does not fit here");
}

/** Whether `[` begins a subscript, in which blanks and quotes are paired. */
function opensSubscript(s: State): boolean {
  if (s.at === "array") return s.shape === "empty";
  return s.shape === "identifier" && takesAssignment(s.at);
}

/** Bytes that would make more of an unquoted delimiter than a word. */
const UNSURE_IN_DELIMITER = "[={}";

/** Adds a byte to the delimiter of a here-document. */
function delimiterByte(s: State, byte: number, quoted: boolean): boolean {
  if (
    byte < 0x20 || byte >= 0x7f || !quoted && UNSURE_IN_DELIMITER.includes(CHARACTER[byte])
  ) return s.refuse("this here-document delimiter");
  const document = s.document!;
  s.document = {
    ...document,
    delimiter: document.delimiter + CHARACTER[byte],
    quoted: document.quoted || quoted,
  };
  if (!quoted) extendWord(s, byte);
  return true;
}

/** Goes on with the word in progress, or begins one, by something that is no plain text. */
function beginQuoted(s: State): boolean {
  if (!s.inWord && !beginWord(s)) return false;
  if (s.shape === "whole") return s.refuse("a blank or an operator expected");
  quoteWord(s);
  return wordFits(s) || s.refuse("this word does not fit here");
}

/** A byte that begins a quote, an escape or an expansion. */
function specialByte(s: State, byte: number): boolean {
  if (byte === BACKSLASH) {
    s.escape = true;
    return true;
  }
  const last = s.inWord ? s.last : 0;
  if (!beginQuoted(s)) return false;
  if (s.at === "delimiter") {
    if (byte === DOLLAR || byte === BACKQUOTE) return s.refuse("this here-document delimiter");
    s.document = { ...s.document!, quoted: true };
  }
  if (byte === DOLLAR) s.last = last === DOLLAR ? 0 : DOLLAR;
  else {
    s.last = last;
    return openQuote(s, byte);
  }
  return true;
}

/** Bytes that make `(` begin an extended glob in `[[ … == pattern`. */
const GLOB = "?*+@!";

/** A byte that begins an operator, unless it goes on with a word. */
function operatorByte(s: State, byte: number): boolean {
  if (byte === OPEN_PAREN) {
    if (!s.inWord && s.at === "substitution start" && s.last === OPEN_PAREN) {
      openArithmetic(s);
      return true;
    }
    if (s.inWord && s.last === DOLLAR) {
      return openExpansion(s, byte);
    }
    if (s.inWord && s.shape === "=" && takesArray(s.at)) {
      s.interrupt("array", "array");
      return true;
    }
    if (
      s.at === "condition regex" ||
      s.at === "condition pattern" && s.inWord && s.last !== 0 && GLOB.includes(CHARACTER[s.last])
    ) {
      if (!beginQuoted(s)) return false;
      s.open("parentheses", PARENTHESES);
      s.last = 0;
      return true;
    }
  }
  if (s.at === "condition regex" && CHARACTER[byte] === "|") return wordByte(s, byte);
  return growOperator(s, CHARACTER[byte]);
}

/** Whether a word can set an array. */
function takesArray(at: Position): boolean {
  return beforeCommand(at) || at === "assign" || at === "declare";
}

/** Whether a word can set a variable. */
function takesAssignment(at: Position): boolean {
  return beforeCommand(at) && at !== "coproc" || at === "aimed" || at === "assign";
}

/** Makes this the operator in progress, and ends it if it cannot grow. */
function growOperator(s: State, operator: string): boolean {
  if (operator === "<(" || operator === ">(") return openProcess(s);
  if (LONGER[operator] === undefined) {
    s.operator = "";
    return endOperator(s, operator);
  }
  s.operator = operator;
  return viableOperator(s) !== undefined;
}

/** The operator in progress, or the shortest longer one that fits; undefined, and a fault, if none. */
export function viableOperator(s: State): string | undefined {
  const { operator } = s;
  let fault: State["fault"];
  for (const candidate of [operator, ...LONGER[operator]]) {
    const trial = s.copy();
    const process = candidate === "<(" || candidate === ">(";
    if (process ? openProcess(trial) : endOperator(trial, candidate)) return candidate;
    fault ??= trial.fault;
  }
  s.fault = fault;
}

/** Begins `<(…)` or `>(…)`, which are words or parts of one. */
function openProcess(s: State): boolean {
  s.operator = "";
  if (s.at === "declare" && !s.inWord) s.at = "args"; // bash forgets about arrays
  if (!beginQuoted(s)) return false;
  if (s.at === "delimiter") return s.refuse("this here-document delimiter");
  return openSubstitution(s);
}
