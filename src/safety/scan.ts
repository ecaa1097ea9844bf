/**
 * Where words begin and end. The grammar says where a command stands; this scanner cuts the command
 * into words by the shell's own rules, because the grammar splits words that hold line
 * continuations, braces or adjacent expansions in places where the shell does not.
 *
 * @module
 */

/** A redirection as it stands: `2>> log` is descriptor `2`, operator `>>`, target `log`. */
export interface RawRedirect {
  descriptor?: string;
  operator: string;
  target: string;
}

/** One simple command as it stands, nothing expanded. */
export interface RawCommand {
  /** `NAME=value` in front of the command. */
  assignments: string[];
  words: string[];
  redirects: RawRedirect[];
  /** The control operator behind it, if one follows. */
  end: string;
}

const BLANK = /[ \t\r]/;
const META = /[\s|&;()<>]/;
const ASSIGNMENT = /^[A-Za-z_]\w*(\[[^\]]*\])?\+?=/;
const REDIRECT = /^(<<<|<<-|<<|<>|<&|<|&>>|&>|>>|>\||>&|>)/;
const CONTROL = /^(&&|\|\||\|&|;;&|;;|;&|[|&;()\n])/;
const RESERVED = new Set(
  ["if", "then", "elif", "else", "while", "until", "do", "{", "!"],
);

/** Whether a word is an assignment where it stands in front of a command. */
function isAssignment(word: string): boolean {
  return ASSIGNMENT.test(word);
}

/** Index after the unit at `start`: an escape, a quotation, an expansion or one character. */
export function skipUnit(text: string, start: number): number {
  const next = text[start + 1];
  switch (text[start]) {
    case "\\":
      return Math.min(start + 2, text.length);
    case "'":
      return after(text, "'", start + 1);
    case '"':
      return skipDouble(text, start + 1);
    case "`":
      return skipBackquotes(text, start);
    case "$":
      if (next === "'") return skipAnsi(text, start + 2);
      if (next === '"') return skipDouble(text, start + 2);
      return skipExpansion(text, start);
    case "<":
    case ">":
      return next === "(" ? skipParentheses(text, start + 2) : start + 1;
    default:
      return start + 1;
  }
}

/** Index after the expansion whose `$` or backquote is at `start`. */
export function skipExpansion(text: string, start: number): number {
  if (text[start] === "`") return skipBackquotes(text, start);
  const next = text[start + 1];
  if (next === "(") return skipParentheses(text, start + 2);
  if (next === "{") return skipBraces(text, start + 2);
  if (next === "[") return after(text, "]", start + 2);
  const name = /^([A-Za-z_]\w*|[0-9@*#?$!-])/.exec(text.slice(start + 1, start + 129));
  return start + 1 + (name ? name[0].length : 0);
}

/** Index after the `"` that ends a quotation whose text begins at `start`. */
function skipDouble(text: string, start: number): number {
  let i = start;
  while (i < text.length && text[i] !== '"') {
    if (text[i] === "\\") i += 2;
    else if (text[i] === "$" || text[i] === "`") i = skipExpansion(text, i);
    else i++;
  }
  return Math.min(i + 1, text.length);
}

function skipAnsi(text: string, start: number): number {
  let i = start;
  while (i < text.length && text[i] !== "'") i += text[i] === "\\" ? 2 : 1;
  return Math.min(i + 1, text.length);
}

function skipBackquotes(text: string, start: number): number {
  let i = start + 1;
  while (i < text.length && text[i] !== "`") i += text[i] === "\\" ? 2 : 1;
  return Math.min(i + 1, text.length);
}

/** Index after the `)` that matches a `(` just before `start`; comments and here-documents count. */
function skipParentheses(text: string, start: number): number {
  let i = start, depth = 1;
  const bodies: string[] = [];
  while (i < text.length) {
    const c = text[i];
    if (c === "(") depth++;
    else if (c === ")" && --depth === 0) return i + 1;
    else if (c === "#" && /[\s;(]/.test(text[i - 1] ?? " ")) {
      i = text.indexOf("\n", i);
      if (i < 0) return text.length;
      continue;
    } else if (c === "\n" && bodies.length > 0) {
      i = skipBody(text, i + 1, bodies.shift()!);
      continue;
    } else if (c === "<") {
      const here = /^<<-?\s*(\\?[\w.-]+|'[^']*'|"[^"]*")/.exec(text.slice(i, i + 80));
      if (here && text[i - 1] !== "<") {
        bodies.push(here[1].replace(/['"\\]/g, ""));
        i += here[0].length;
        continue;
      }
    }
    i = skipUnit(text, i);
  }
  return text.length;
}

/** Index of the end of the line that closes a here-document whose body begins at `start`. */
function skipBody(text: string, start: number, delimiter: string): number {
  for (let i = start; i < text.length;) {
    const end = text.indexOf("\n", i);
    const line = text.slice(i, end < 0 ? text.length : end);
    if (line.trim() === delimiter) return i + line.length;
    if (end < 0) break;
    i = end + 1;
  }
  return text.length;
}

function skipBraces(text: string, start: number): number {
  let i = start;
  while (i < text.length && text[i] !== "}") i = skipUnit(text, i);
  return Math.min(i + 1, text.length);
}

function after(text: string, mark: string, start: number): number {
  const i = text.indexOf(mark, start);
  return i < 0 ? text.length : i + 1;
}

/** Index after the word at `start`; `start` itself if no word begins there. */
function skipWord(text: string, start: number): number {
  let i = start;
  while (i < text.length) {
    const c = text[i];
    if ((c === "<" || c === ">") && text[i + 1] === "(" && i === start) i = skipUnit(text, i);
    else if (c === "(" && (/[?*+@!]/.test(text[i - 1] ?? "") && i > start)) {
      i = skipParentheses(text, i + 1);
    } else if (
      c === "(" && i > start && isAssignment(text.slice(start, i)) && text[i - 1] === "="
    ) {
      i = skipParentheses(text, i + 1);
    } else if (META.test(c)) return i;
    else i = skipUnit(text, i);
  }
  return i;
}

/** Cuts text into simple commands at control operators; reserved words are passed over. */
export function scanCommands(text: string): RawCommand[] {
  const commands: RawCommand[] = [];
  let command: RawCommand = { assignments: [], words: [], redirects: [], end: "" };
  const finish = (end: string) => {
    const { assignments, words, redirects } = command;
    if (assignments.length + words.length + redirects.length > 0) {
      command.end = end;
      commands.push(command);
    }
    command = { assignments: [], words: [], redirects: [], end: "" };
  };
  let i = 0;
  while (i < text.length) {
    if (BLANK.test(text[i])) {
      i++;
    } else if (text.startsWith("\\\n", i)) {
      i += 2;
    } else if (text[i] === "#") {
      const end = text.indexOf("\n", i);
      i = end < 0 ? text.length : end;
    } else {
      i = scanToken(text, i, command, finish);
    }
  }
  finish("");
  return commands;
}

function scanToken(
  text: string,
  start: number,
  command: RawCommand,
  finish: (end: string) => void,
): number {
  const rest = text.slice(start, start + 3);
  const substitution = /^[<>]\(/.test(rest);
  const redirect = substitution ? null : REDIRECT.exec(rest);
  if (redirect) return scanRedirect(text, start, redirect[0], command);
  const control = CONTROL.exec(rest);
  if (control) {
    finish(control[0]);
    return start + control[0].length;
  }
  const end = Math.max(skipWord(text, start), start + 1);
  const word = text.slice(start, end);
  const descriptor = /^(\d+|\{\w+\})$/.test(word) && /[<>]/.test(text[end] ?? "") &&
    text[end + 1] !== "(";
  if (descriptor) {
    const operator = REDIRECT.exec(text.slice(end, end + 3))!;
    return scanRedirect(text, end, operator[0], command, word);
  }
  if (command.words.length === 0 && RESERVED.has(word)) return end;
  if (command.words.length === 0 && isAssignment(word)) command.assignments.push(word);
  else command.words.push(word);
  return end;
}

function scanRedirect(
  text: string,
  start: number,
  operator: string,
  command: RawCommand,
  descriptor?: string,
): number {
  let i = start + operator.length;
  while (i < text.length && (BLANK.test(text[i]) || text.startsWith("\\\n", i))) {
    i += text[i] === "\\" ? 2 : 1;
  }
  const end = skipWord(text, i);
  command.redirects.push({ descriptor, operator, target: text.slice(i, end) });
  return end;
}
