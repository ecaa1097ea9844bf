/**
 * Words: what their first bytes let them become, which of them are keywords, and where only certain
 * ones may stand.
 *
 * @module
 */

import { CHARACTER, CLOSE_BRACE, isDigit, isLetter, OPEN_BRACKET } from "./bytes.ts";
import type { Kind, Position, Shape, State } from "./state.ts";
import { QUOTED } from "./state.ts";

/** Longest text worth comparing with a keyword; longer words are only looked at by shape. */
const LONGEST_KEYWORD = 12;

/** Longest number that is surely a file descriptor to bash, which wants it to fit an integer. */
const LONGEST_DESCRIPTOR = 9;

/** Commands whose arguments may be arrays, as `declare a=(1 2)`. */
export const DECLARATIONS: ReadonlySet<string> = new Set(
  ["alias", "declare", "eval", "export", "let", "local", "readonly", "typeset"],
);

/** Words that begin a compound command. */
export const COMPOUND: readonly string[] = [
  "{",
  "if",
  "while",
  "until",
  "for",
  "case",
  "select",
  "[[",
];

/** Words that may not begin a simple command; the last ones end a part of a compound command. */
export const RESERVED: ReadonlySet<string> = new Set([
  ...COMPOUND,
  ..."function ! time coproc then elif else fi do done } esac in ]]".split(" "),
]);

/** The words that can end each kind of list. */
export const CLOSERS: Partial<Record<Kind, readonly string[]>> = {
  group: ["}"],
  if: ["then"],
  then: ["fi", "else", "elif"],
  else: ["fi"],
  while: ["do"],
  loop: ["done"],
  case: ["esac"],
};

/** Operators of `[[ … ]]` that are words and take a word each side. */
export const BINARY: readonly string[] = "== = != =~ -eq -ne -lt -le -gt -ge -nt -ot -ef".split(
  " ",
);

const UNARY = /^-[a-hknoprstuvwxzGLNORS]$/;

/** Whether a word is an operator of `[[ … ]]` with one operand. */
export function isUnary(text: string): boolean {
  return UNARY.test(text);
}

const NOTHING: readonly string[] = [];
const CONDITION_OPERATORS = ["]]", ...BINARY];

/** The only words that fit the position, or undefined if any does. */
export function expectedWords(at: Position, frame: Kind): readonly string[] | undefined {
  switch (at) {
    case "closed":
      return CLOSERS[frame] ?? NOTHING;
    case "function named":
    case "function body":
      return COMPOUND;
    case "for named":
      return ["do", "in"];
    case "for do":
      return ["do"];
    case "arithmetic for":
    case "arithmetic for do":
      return ["do", "{"];
    case "case in":
      return ["in"];
    case "condition operator":
      return frame === "condition" ? CONDITION_OPERATORS : BINARY;
    case "condition end":
      return frame === "condition" ? ["]]"] : NOTHING;
    case "redirected":
    case "pattern end":
    case "function parenthesis":
      return NOTHING;
  }
}

/** Whether the word in progress can still become one that fits the position. */
export function wordFits(s: State): boolean {
  if (s.at === "for name") return s.shape === "identifier";
  if (s.at === "function name") return isFunctionName(s.shape);
  // bash takes an assignment for one even here, where it has to be a word.
  if (isTarget(s.at) && s.back === "aimed" && isAssignment(s.shape)) return false;
  // bash looks for keywords and assignments in odd places there.
  if (s.at === "coproc" || s.at === "coproc name") {
    return s.shape !== "identifier[" && !isAssignment(s.shape);
  }
  const expected = expectedWords(s.at, s.frame.kind);
  if (expected === undefined || expected.some((word) => word.startsWith(s.text))) return true;
  return (s.at === "closed" || s.at === "redirected") && canNameDescriptor(s);
}

/** Whether the word is what a redirection leads to. */
export function isTarget(at: Position): boolean {
  return at === "target" || at === "descriptor" || at === "delimiter";
}

/** Whether the word in progress can be the `2` of `2>file` or the `{fd}` of `{fd}>file`. */
export function canNameDescriptor(s: State): boolean {
  return s.shape === "digits" ? s.text.length <= LONGEST_DESCRIPTOR : s.shape.startsWith("{") &&
    !s.shape.endsWith("[");
}

/** Whether a function may have such a name. bash takes more, but not all of it can be called. */
export function isFunctionName(shape: Shape): boolean {
  return shape === "identifier" || shape === "identifier+" || shape === "name" ||
    shape === "digits";
}

/** Whether a word of this shape sets a variable. */
export function isAssignment(shape: Shape): boolean {
  return shape === "=" || shape === "value" || shape === "whole";
}

/** Bytes of a function's name beyond letters and digits. */
const NAME_BYTES = "-+.:/,%";

function isNameByte(byte: number): boolean {
  return isLetter(byte) || isDigit(byte) || NAME_BYTES.includes(CHARACTER[byte]);
}

/** Shape of a word that had one and got this plain byte. */
export function nextShape(shape: Shape, byte: number): Shape {
  switch (shape) {
    case "other":
    case "value":
      return shape;
    case "empty":
      if (isLetter(byte)) return "identifier";
      if (isDigit(byte)) return "digits";
      if (CHARACTER[byte] === "{") return "{";
      break;
    case "digits":
      if (isDigit(byte)) return "digits";
      break;
    case "identifier":
      if (isLetter(byte) || isDigit(byte)) return "identifier";
      if (CHARACTER[byte] === "=") return "=";
      if (CHARACTER[byte] === "+") return "identifier+";
      if (byte === OPEN_BRACKET) return "identifier[";
      break;
    case "identifier+":
      if (CHARACTER[byte] === "=") return "=";
      break;
    case "=":
      return "value";
    case "subscripted":
      if (CHARACTER[byte] === "=") return "value";
      return CHARACTER[byte] === "+" ? "subscripted+" : "other";
    case "subscripted+":
      return CHARACTER[byte] === "=" ? "value" : "other";
    case "{":
      return isLetter(byte) ? "{identifier" : "other";
    case "{identifier":
      if (isLetter(byte) || isDigit(byte)) return shape;
      if (byte === CLOSE_BRACE) return "{identifier}";
      return byte === OPEN_BRACKET ? "{identifier[" : "other";
    case "{identifier[":
    case "identifier[":
      return shape;
    case "{identifier}":
      return "other";
  }
  return isNameByte(byte) ? "name" : "other";
}

/** Adds a plain byte to the word in progress. */
export function extendWord(s: State, byte: number): void {
  s.shape = nextShape(s.shape, byte);
  if (s.text.length < LONGEST_KEYWORD && s.text !== QUOTED) s.text += CHARACTER[byte];
}

/** Marks that the word in progress has a quote or an expansion in it. */
export function quoteWord(s: State): void {
  s.text = QUOTED;
  if (!s.shape.endsWith("[")) s.shape = isAssignment(s.shape) ? "value" : "other";
}
