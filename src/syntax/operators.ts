/**
 * The grammar of commands, second part: what a finished operator does at each position.
 *
 * @module
 */

import { afterCommand, beforeCommand, endWord } from "./grammar.ts";
import { ARITHMETIC, ARITHMETIC_COMMAND, ARITHMETIC_FOR } from "./quotes.ts";
import type { State } from "./state.ts";

/** Takes an operator, the word before it included. */
export function endOperator(s: State, operator: string): boolean {
  const redirects = operator[0] === "<" || operator[0] === ">";
  if (s.inWord && !endWord(s, redirects)) return false;
  switch (operator) {
    case ";":
      if (afterCommand(s.at)) s.at = "open";
      else if (s.at === "for words" || s.at === "for named") s.at = "for do";
      else if (s.at === "arithmetic for") s.at = "arithmetic for do";
      else return misplaced(s, operator);
      return true;
    case "&":
      if (!afterCommand(s.at)) return misplaced(s, operator);
      s.at = "open";
      return true;
    case "&&":
    case "||":
      if (afterCommand(s.at)) s.at = "need";
      else if (s.at === "condition end" || s.at === "condition operator") s.at = "condition";
      else return misplaced(s, operator);
      return true;
    case "|":
      if (s.at === "pattern end") s.at = "pattern word";
      else if (afterCommand(s.at)) s.at = "pipe";
      else return misplaced(s, operator);
      return true;
    case "|&":
      if (!afterCommand(s.at)) return misplaced(s, operator);
      s.at = "pipe";
      return true;
    case ";;":
    case ";&":
    case ";;&":
      if (s.frame.kind !== "case") return s.refuse(`\`${operator}\` outside \`case\``);
      if (!afterCommand(s.at) && s.at !== "open") return misplaced(s, operator);
      s.at = "pattern";
      return true;
    case "(":
      return openParenthesis(s);
    case "((":
      return openDouble(s);
    case ")":
      return closeParenthesis(s);
    default:
      return redirection(s, operator);
  }
}

function misplaced(s: State, operator: string): false {
  return s.refuse(`\`${operator}\` is misplaced`);
}

function openParenthesis(s: State): boolean {
  if (
    beforeCommand(s.at) || s.at === "coproc name" || s.at === "function body"
  ) {
    s.open("subshell");
    s.at = "need";
  } else if (s.at === "first" || s.at === "function named") s.at = "function parenthesis";
  else if (s.at === "pattern") s.at = "pattern word";
  else if (s.at === "condition") s.open("condition group");
  else return misplaced(s, "(");
  return true;
}

function openDouble(s: State): boolean {
  if (s.at === "condition") {
    s.open("condition group");
    s.open("condition group");
  } else if (s.at === "for name" && s.frame.kind === "for") {
    s.open("arithmetic for", ARITHMETIC_FOR);
    s.open("arithmetic", ARITHMETIC, 0);
  } else if (beforeCommand(s.at) || s.at === "function body") {
    s.open("arithmetic command", ARITHMETIC_COMMAND);
    s.open("arithmetic", ARITHMETIC);
  } else return misplaced(s, "((");
  return true;
}

function closeParenthesis(s: State): boolean {
  const { at, frame: { kind } } = s;
  if (kind === "array") {
    s.resume();
    s.shape = "whole";
  } else if (at === "pattern end") s.at = "open";
  else if (at === "function parenthesis") s.at = "function body";
  else if (kind === "condition group" && (at === "condition operator" || at === "condition end")) {
    s.close();
    s.at = "condition end";
  } else if (kind === "subshell" && (afterCommand(at) || at === "open")) {
    s.close();
    s.at = "closed";
  } else if (
    kind === "substitution" && (afterCommand(at) || at === "open" || at === "substitution start")
  ) {
    if (s.pending.length > 0) return s.refuse("`)` before the here-document");
    s.resume();
  } else return misplaced(s, ")");
  return true;
}

function redirection(s: State, operator: string): boolean {
  if (s.at === "condition operator" && (operator === "<" || operator === ">")) {
    s.at = "condition word";
    return true;
  }
  if (s.at === "closed" || s.at === "redirected") s.back = "redirected";
  else if (beforeCommand(s.at) || s.at === "aimed") s.back = "aimed";
  else if (afterCommand(s.at)) s.back = "args";
  else return misplaced(s, operator);
  s.at = operator.endsWith("&") ? "descriptor" : "target";
  if (operator === "<<" || operator === "<<-") {
    s.at = "delimiter";
    s.document = { delimiter: "", tabs: operator === "<<-", quoted: false };
  }
  return true;
}
