/**
 * The grammar of commands: what a finished word or a newline does at each position; operators.ts has
 * the rest.
 *
 * @module
 */

import type { Kind, Position, State } from "./state.ts";
import {
  BINARY,
  canNameDescriptor,
  CLOSERS,
  COMPOUND,
  DECLARATIONS,
  expectedWords,
  isAssignment,
  isFunctionName,
  isUnary,
  RESERVED,
} from "./words.ts";

/** What each construct is called in a message. */
function named(kind: Kind): string {
  return kind === "script" ? "the script" : kind === "loop" ? "`do`" : `\`${kind}\``;
}

/** Ends the word in progress. `redirects`: a redirection follows without a blank. */
export function endWord(s: State, redirects: boolean): boolean {
  const { text, shape } = s;
  s.inWord = false;
  s.last = 0;
  if (redirects && (shape === "digits" || shape.startsWith("{"))) {
    if (shape === "digits" ? s.at !== "descriptor" : shape !== "{") return namesDescriptor(s);
  }
  switch (s.at) {
    case "need":
    case "open":
    case "substitution start":
    case "pipe":
    case "prefix":
    case "time":
    case "coproc":
      return commandWord(s);
    case "aimed":
      if (isAssignment(shape)) s.at = "assign";
      else s.at = DECLARATIONS.has(text) ? "declare" : "args";
      return true;
    case "assign":
      if (!isAssignment(shape)) s.at = DECLARATIONS.has(text) ? "declare" : "args";
      return true;
    case "first":
      s.at = "args";
      return true;
    case "args":
    case "declare":
    case "array":
    case "for words":
      return true;
    case "coproc name":
      if (COMPOUND.includes(text)) return compound(s, text);
      if (RESERVED.has(text)) return s.refuse(`\`${text}\` after \`coproc\``);
      s.at = "args";
      return true;
    case "target":
    case "descriptor":
      // After `f() ((1))` bash takes it for the body's beginning.
      if (text === "{" && s.back === "redirected") return s.refuse("`{` as a file");
      s.at = s.back;
      return true;
    case "delimiter":
      if (s.document!.delimiter === "") return s.refuse("an empty here-document delimiter");
      s.pending = [...s.pending, s.document!];
      s.document = undefined;
      s.at = s.back;
      return true;
    case "function name":
      s.at = "function named";
      return true;
    case "function named":
    case "function body":
      return COMPOUND.includes(text) ? compound(s, text) : unexpected(s);
    case "for name":
      s.at = "for named";
      return true;
    case "for named":
      if (text === "in") {
        s.at = "for words";
        return true;
      }
      return text === "do" ? beginLoop(s, "loop") : unexpected(s);
    case "for do":
    case "arithmetic for":
    case "arithmetic for do":
      if (text === "do") return beginLoop(s, "loop");
      return text === "{" ? beginLoop(s, "group") : unexpected(s);
    case "case word":
      s.at = "case in";
      return true;
    case "case in":
      if (text !== "in") return unexpected(s);
      s.at = "pattern";
      return true;
    case "pattern":
      if (text === "esac") return closeCompound(s);
      s.at = "pattern end";
      return true;
    case "pattern word":
      s.at = "pattern end";
      return true;
    case "condition":
      if (text === "]]") return s.refuse("an expression is missing before `]]`");
      if (text !== "!") s.at = isUnary(text) ? "condition word" : "condition operator";
      return true;
    case "condition operator":
      return conditionOperator(s, text);
    case "condition word":
    case "condition pattern":
    case "condition regex":
      if (text === "]]") return s.refuse("an operand is missing before `]]`");
      s.at = "condition end";
      return true;
    case "condition end":
      return text === "]]" && s.frame.kind === "condition" ? closeCompound(s) : unexpected(s);
    case "closed":
      return CLOSERS[s.frame.kind]?.includes(text) ? reserved(s, text) : unexpected(s);
    case "redirected":
    case "pattern end":
    case "function parenthesis":
      return unexpected(s);
  }
}

/** Says that the word just ended does not fit. */
function unexpected(s: State): false {
  const expected = expectedWords(s.at, s.frame.kind) ?? [];
  return s.refuse(expected.length === 0 ? "an operator expected" : `\`${expected[0]}\` expected`);
}

/** The word just ended is the descriptor of the redirection that follows. */
function namesDescriptor(s: State): boolean {
  switch (s.at) {
    case "need":
    case "open":
    case "substitution start":
    case "pipe":
    case "prefix":
    case "time":
    case "coproc":
    case "coproc name":
    case "aimed":
    case "assign":
    case "first":
    case "declare":
    case "args":
    case "closed":
    case "redirected":
      if (s.shape.startsWith("{") && s.shape !== "{identifier}" && s.shape !== "{identifier[") {
        return s.at === "closed" || s.at === "redirected" ? unexpected(s) : endWord(s, false);
      }
      return canNameDescriptor(s) || s.refuse("this file descriptor");
    default:
      return s.refuse("a redirection after a number");
  }
}

/** A word where a command may begin. */
function commandWord(s: State): boolean {
  const { text, shape } = s;
  if (RESERVED.has(text)) {
    if (text === "time" && s.at === "substitution start") {
      s.at = "args";
      return true;
    }
    return reserved(s, text);
  }
  if (s.at === "time" && (text === "-p" || text === "--")) s.at = "prefix";
  else if (s.at === "prefix" && text === "--") return s.refuse("`--` as a command");
  else if (isAssignment(shape)) s.at = "assign";
  else if (s.at === "coproc") s.at = "coproc name";
  else if (DECLARATIONS.has(text)) s.at = "declare";
  else s.at = isFunctionName(shape) ? "first" : "args";
  return true;
}

/** A reserved word where one is recognized. */
function reserved(s: State, text: string): boolean {
  if (COMPOUND.includes(text)) return compound(s, text);
  const { at, frame } = s;
  if (text === "!" || text === "time" || text === "function" || text === "coproc") {
    if (at === "coproc" || at === "pipe" && (text === "!" || text === "time")) {
      return s.refuse(`\`${text}\` after \`${at === "pipe" ? "|" : at}\``);
    }
    s.at = text === "!" ? "prefix" : text === "function" ? "function name" : text;
    return true;
  }
  if (!CLOSERS[frame.kind]?.includes(text)) {
    return s.refuse(`\`${text}\` does not belong in ${named(frame.kind)}`);
  }
  if (at !== "open" && at !== "closed") return s.refuse(`a command is missing before \`${text}\``);
  if (text === "fi" || text === "done" || text === "}" || text === "esac") return closeCompound(s);
  s.become(text === "do" ? "loop" : text === "elif" ? "if" : text as "then" | "else");
  s.at = "need";
  return true;
}

/** Begins a compound command. */
function compound(s: State, text: string): boolean {
  switch (text) {
    case "if":
      s.open("if");
      s.at = "need";
      return true;
    case "while":
    case "until":
      s.open("while");
      s.at = "need";
      return true;
    case "for":
    case "select":
      s.open(text);
      s.at = "for name";
      return true;
    case "case":
      s.open("case");
      s.at = "case word";
      return true;
    case "[[":
      s.open("condition");
      s.at = "condition";
      return true;
    default:
      s.open("group");
      s.at = "need";
      return true;
  }
}

function closeCompound(s: State): boolean {
  s.close();
  s.at = "closed";
  return true;
}

/** Begins the body of a `for`. */
function beginLoop(s: State, kind: "loop" | "group"): boolean {
  s.become(kind);
  s.at = "need";
  return true;
}

function conditionOperator(s: State, text: string): boolean {
  if (text === "]]" && s.frame.kind === "condition") return closeCompound(s);
  if (!BINARY.includes(text)) return unexpected(s);
  s.at = text === "=~"
    ? "condition regex"
    : text.startsWith("-")
    ? "condition word"
    : "condition pattern";
  return true;
}

/** Takes a newline. */
export function endLine(s: State): boolean {
  switch (s.at) {
    case "substitution start":
    case "first":
    case "args":
    case "declare":
    case "aimed":
    case "assign":
    case "coproc name":
    case "closed":
    case "redirected":
      s.at = "open";
      break;
    case "function named":
      s.at = "function body";
      break;
    case "for named": // bash takes an `in` on the next line, but not everywhere
    case "for words":
      s.at = "for do";
      break;
    case "arithmetic for":
      s.at = "arithmetic for do";
      break;
    case "array":
      if (s.pending.length > 0) return s.refuse("a here-document inside an array");
      break;
    case "need":
    case "open":
    case "pipe":
    case "function body":
    case "for do":
    case "arithmetic for do":
    case "pattern":
    case "condition":
    case "condition end":
      break;
    default:
      return s.refuse("the line ends too early");
  }
  if (s.pending.length > 0) {
    s.body = s.pending[0];
    s.pending = s.pending.slice(1);
    s.matched = 0;
  }
  return true;
}

/** Whether a command has just been read to its end. */
export function afterCommand(at: Position): boolean {
  return at === "first" || at === "args" || at === "declare" || at === "assign" || at === "aimed" ||
    at === "coproc name" || at === "closed" || at === "redirected";
}

/** Whether a command may begin. */
export function beforeCommand(at: Position): boolean {
  return at === "need" || at === "open" || at === "substitution start" || at === "pipe" ||
    at === "prefix" || at === "time" || at === "coproc";
}

/** Whether a byte of a word may come next, were no word in progress. */
export function beginWord(s: State): boolean {
  const expected = expectedWords(s.at, s.frame.kind);
  if (expected?.length === 0 && s.at !== "closed" && s.at !== "redirected") {
    return s.refuse("an operator expected");
  }
  s.inWord = true;
  s.shape = "empty";
  s.text = "";
  s.last = 0;
  return true;
}
