/**
 * What the recognizer remembers between two bytes: a stack of unfinished constructs and the word or
 * operator in progress. Nothing here grows with the text, so a copy costs next to nothing.
 *
 * @module
 */

import type { QuoteRule } from "./quotes.ts";

/** Where in the grammar the next token falls. */
export type Position =
  // Where a command may start; only "open" and "substitution start" also let the list end.
  | "need"
  | "open"
  | "substitution start"
  | "pipe"
  | "prefix"
  | "time"
  | "coproc"
  // Inside a simple command: after redirections, after assignments, after its name, …
  | "aimed"
  | "assign"
  | "first"
  | "declare"
  | "args"
  | "coproc name"
  // After a compound command, without and with redirections.
  | "closed"
  | "redirected"
  // Words that other constructs need.
  | "target"
  | "descriptor"
  | "delimiter"
  | "array"
  | "function name"
  | "function named"
  | "function parenthesis"
  | "function body"
  | "for name"
  | "for named"
  | "for words"
  | "for do"
  | "arithmetic for"
  | "arithmetic for do"
  | "case word"
  | "case in"
  | "pattern"
  | "pattern word"
  | "pattern end"
  | "condition"
  | "condition operator"
  | "condition word"
  | "condition pattern"
  | "condition regex"
  | "condition end";

/** What the unquoted text of a word can still be; "whole" lets no byte follow. */
export type Shape =
  | "empty"
  | "digits"
  | "identifier"
  | "identifier["
  | "identifier+"
  | "="
  | "value"
  | "subscripted"
  | "subscripted+"
  | "{"
  | "{identifier"
  | "{identifier}"
  | "{identifier["
  | "name"
  | "other"
  | "whole";

/** A construct that a stack frame stands for. */
export type Kind =
  // Lists of commands.
  | "script"
  | "substitution"
  | "subshell"
  | "group"
  | "if"
  | "then"
  | "else"
  | "while"
  | "loop"
  | "case"
  // Headers, conditions and arrays.
  | "for"
  | "select"
  | "condition"
  | "condition group"
  | "array"
  // Stretches of bytes up to a closing one; each has a rule in quotes.ts.
  | "single"
  | "ansi"
  | "double"
  | "backquote"
  | "parameter"
  | "arithmetic"
  | "bracket"
  | "subscript"
  | "parentheses"
  | "arithmetic command"
  | "arithmetic for"
  | "plain parameter"
  | "plain subscript";

/** A here-document: what ends it, and how its lines are read. */
export interface HereDocument {
  /** The line that ends it, quotes removed. */
  readonly delimiter: string;
  /** Written `<<-`: tabs before the delimiter are ignored. */
  readonly tabs: boolean;
  /** The delimiter was quoted: a backslash means nothing in the body. */
  readonly quoted: boolean;
}

/** One unfinished construct. Never changed once made: copies of a state share the stack. */
export interface Frame {
  readonly kind: Kind;
  readonly up: Frame | undefined;
  /** How bytes are read inside, where they are not commands. */
  readonly rule: QuoteRule | undefined;
  /** The word that a substitution or an array interrupted. */
  readonly saved: Saved | undefined;
  /** Separators seen in `for ((a; b; c))`; -1 where they mean nothing. */
  readonly semicolons: number;
}

/** What a substitution or an array hides until it ends. */
export interface Saved {
  readonly at: Position;
  readonly back: Position;
  readonly inWord: boolean;
  readonly shape: Shape;
  readonly pending: readonly HereDocument[];
}

/** Why a text cannot be valid, and where. */
export interface Fault {
  /** Line of the text, from 1. */
  line: number;
  /** A short clause. */
  message: string;
}

/** {@linkcode State.text} of a word with quotes or expansions in it: equal to no keyword. */
export const QUOTED = "\0";

const NONE: readonly HereDocument[] = [];

/** The recognizer's memory. */
export class State {
  frame: Frame = {
    kind: "script",
    up: undefined,
    rule: undefined,
    saved: undefined,
    semicolons: -1,
  };
  at: Position = "open";
  /** Where a redirection's target leads back to. */
  back: Position = "open";
  inWord = false;
  shape: Shape = "empty";
  /** The word so far while it is unquoted and short enough to be a keyword. */
  text = "";
  /** The byte before, where it can change what this one means; else 0. */
  last = 0;
  /** A backslash was read whose effect depends on the next byte. */
  escape = false;
  comment = false;
  /** Operator in progress: it may still grow. */
  operator = "";
  /** Here-document whose delimiter is being read. */
  document: HereDocument | undefined = undefined;
  /** Here-documents that begin at the next newline. */
  pending: readonly HereDocument[] = NONE;
  /** Here-document being read. */
  body: HereDocument | undefined = undefined;
  /** Bytes of the delimiter that the line equals so far; one more: it goes on; -1: it differs. */
  matched = 0;
  line = 1;
  fault: Fault | undefined = undefined;

  /** An independent copy. */
  copy(): State {
    const s = new State();
    s.frame = this.frame;
    s.at = this.at;
    s.back = this.back;
    s.inWord = this.inWord;
    s.shape = this.shape;
    s.text = this.text;
    s.last = this.last;
    s.escape = this.escape;
    s.comment = this.comment;
    s.operator = this.operator;
    s.document = this.document;
    s.pending = this.pending;
    s.body = this.body;
    s.matched = this.matched;
    s.line = this.line;
    s.fault = this.fault;
    return s;
  }

  /** Opens a construct. */
  open(kind: Kind, rule?: QuoteRule, semicolons = -1): void {
    this.frame = { kind, up: this.frame, rule, saved: undefined, semicolons };
  }

  /** Turns the innermost construct into its next part, such as `if` into `then`. */
  become(kind: Kind): void {
    this.frame = { ...this.frame, kind };
  }

  /** Leaves the innermost construct. */
  close(): void {
    this.frame = this.frame.up!;
  }

  /** Opens a substitution or an array in the middle of a word. */
  interrupt(kind: "substitution" | "array", at: Position): void {
    const { back, inWord, shape, pending } = this;
    const saved = { at: this.at, back, inWord, shape, pending };
    this.frame = { kind, up: this.frame, rule: undefined, saved, semicolons: -1 };
    this.at = at;
    this.inWord = false;
    this.last = 0;
    if (kind === "substitution") this.pending = NONE;
  }

  /** Leaves it and goes on with that word. */
  resume(): void {
    const { at, back, inWord, shape, pending } = this.frame.saved!;
    this.at = at;
    this.back = back;
    this.inWord = inWord;
    this.shape = shape;
    this.text = QUOTED;
    this.last = 0;
    this.pending = pending;
    this.close();
  }

  /** Whether a construct of this kind is unfinished, however deep. */
  isInside(kind: Kind): boolean {
    let frame: Frame | undefined = this.frame;
    while (frame && frame.kind !== kind) frame = frame.up;
    return frame !== undefined;
  }

  /** Refuses the byte. */
  refuse(message: string): false {
    this.fault = { line: this.line, message };
    return false;
  }
}
