/**
 * What would make an unfinished script whole.
 *
 * @module
 */

import { CHARACTER, NEWLINE, OPEN_BRACE } from "./bytes.ts";
import { beforeCommand, endWord } from "./grammar.ts";
import { endOperator } from "./operators.ts";
import { takeByte, viableOperator } from "./lexer.ts";
import { ARITHMETIC, ARITHMETIC_FOR } from "./quotes.ts";
import type { State } from "./state.ts";
import { CLOSERS, expectedWords } from "./words.ts";

/** Whether the text so far is a whole script, with or without a newline after it. */
export function isComplete(s: State): boolean {
  if (s.escape || s.fault) return false;
  const trial = s.copy();
  return takeByte(trial, NEWLINE) && trial.frame.kind === "script" && trial.at === "open" &&
    trial.body === undefined;
}

/** The text that makes it whole. */
export function closingText(state: State): string {
  if (isComplete(state)) return "";
  const s = state.copy();
  let text = "";
  while (!isComplete(s)) {
    const piece = nextPiece(s);
    for (let i = 0; i < piece.length; i++) {
      if (!takeByte(s, piece.charCodeAt(i))) {
        throw new Error(`closing ${JSON.stringify(text + piece)} is refused: ${s.fault?.message}`);
      }
    }
    text += piece;
  }
  return text;
}

/** A text that brings the state nearer to its end. */
function nextPiece(s: State): string {
  if (s.escape || s.comment) return "\n";
  if (s.body) return s.matched === 0 ? s.body.delimiter : "\n";
  const { rule } = s.frame;
  if (rule) {
    const close = CHARACTER[rule.close];
    if (s.last === OPEN_BRACE) return "_" + close;
    const header = rule === ARITHMETIC && s.frame.up!.rule === ARITHMETIC_FOR;
    return header ? ";".repeat(2 - s.frame.semicolons) + close : close;
  }
  const next = s.copy();
  if (s.operator) {
    const whole = viableOperator(s)!;
    if (whole !== s.operator) return whole.slice(s.operator.length);
    next.operator = "";
    endOperator(next, whole);
  } else if (s.inWord && !endWord(next, false)) return restOfWord(s);
  const piece = nextToken(next);
  return s.inWord && !s.operator && !/^[;)\n]/.test(piece) ? " " + piece : piece;
}

/** What turns the word in progress into one that fits. */
function restOfWord(s: State): string {
  const expected = expectedWords(s.at, s.frame.kind)?.find((word) => word.startsWith(s.text));
  if (expected) return expected.slice(s.text.length);
  if (s.at !== "closed" && s.at !== "redirected") return "_";
  return (s.shape === "{" ? "_}" : s.shape === "{identifier" ? "}" : "") + ">&2";
}

/** A token that leads on from a position with no word in progress. */
function nextToken(s: State): string {
  const { at, frame: { kind } } = s;
  switch (at) {
    case "target":
      return "/dev/null";
    case "descriptor":
      return "2";
    case "delimiter":
      return "EOF";
    case "array":
    case "pattern end":
    case "function parenthesis":
      return ")";
    case "function name":
    case "for name":
    case "case word":
    case "pattern word":
    case "condition":
    case "condition word":
    case "condition pattern":
    case "condition regex":
      return "_";
    case "function named":
    case "function body":
      return "{ :; }";
    case "for named":
    case "for words":
    case "arithmetic for":
      return "; do";
    case "for do":
    case "arithmetic for do":
      return "do";
    case "case in":
      return "in";
    case "pattern":
      return "esac";
    case "condition operator":
    case "condition end":
      return kind === "condition" ? "]]" : ")";
  }
  const open = at === "open" || at === "substitution start";
  if (beforeCommand(at) && !open) return ":";
  if (kind === "script" || kind === "substitution" && s.pending.length > 0) return "\n";
  if (kind === "subshell" || kind === "substitution") return ")";
  return (open ? "" : kind === "case" ? ";; " : "; ") + CLOSERS[kind]![0];
}
