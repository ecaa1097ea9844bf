/**
 * What a shell word will be when the script runs, as far as the script itself says: quotes and
 * escapes are removed, braces, variables and substitutions expanded. What the script does not say
 * stays in the word as an unknown.
 *
 * @module
 */

import { expandParameter } from "./expansions.ts";
import { skipExpansion, skipUnit } from "./scan.ts";

/** Where an unknown value comes from, where that matters. */
export type Origin = "network" | "home" | "temporary" | "folder";

/** A piece of a word that the script does not say. */
export interface Unknown {
  /** As the script writes it: `$1`, `$(date)`. */
  source: string;
  /** Whether it may be empty; `guarded`: the script checks that it is not. */
  empty: "may" | "guarded" | "never";
  origin?: Origin;
  /** For a file that the script makes on the way, `<(…)`: what one reads from it. */
  content?: Word;
}

/** Known text or an unknown value. */
export type Part = string | Unknown;

/** One word after expansion and quote removal; the empty word has no parts. */
export type Word = readonly Part[];

/** What expansion has to know about the script so far. */
export interface Environment {
  /** Elements of a variable as of now; one for a plain variable, none for one known to be unset. */
  variable(name: string): Word[];
  /** Sets a variable, as `${x:=y}` does. */
  assign(name: string, value: Word): void;
  /** Notes that a variable was checked not to be empty, as `${x:?}` does. */
  guard(name: string): void;
  /** What the commands of `$(…)` print, without the newlines at the end. */
  substitute(code: string): Word;
}

/** A part on its way to a word; `null` parts one field from the next. */
type Piece = { part: Part; quoted: boolean; expanded: boolean } | null;

const MAX_FIELDS = 256;
const MAX_LENGTH = 1 << 16;
const MAX_BRACES = 64;
const SPLIT = /[ \t\n]+/;

/** The text of a word without unknowns, else `undefined`. */
export function literal(word: Word | undefined): string | undefined {
  if (!word || word.some((part) => typeof part !== "string")) return undefined;
  return word.join("");
}

/** The word in writing: unknowns as the script writes them. */
export function render(word: Word): string {
  return word.map((part) => typeof part === "string" ? part : part.source).join("");
}

/** Joins words into one; one that grows beyond all use becomes unknown. */
export function concat(...words: Word[]): Word {
  const parts: Part[] = [];
  let length = 0;
  for (const part of words.flat()) {
    const last = parts.at(-1);
    if (part === "") continue;
    if (typeof part === "string" && typeof last === "string") parts[parts.length - 1] = last + part;
    else parts.push(part);
    length += typeof part === "string" ? part.length : 1;
  }
  if (length <= MAX_LENGTH && parts.length <= MAX_FIELDS) return parts;
  const network = parts.some((part) => typeof part === "object" && part.origin === "network");
  return unknown("…", "never", network ? "network" : undefined);
}

/** The elements with blanks between them, as `"$*"` joins them. */
export function join(words: Word[], separator = " "): Word {
  return concat(...words.flatMap((word, i) => i > 0 ? [[separator], word] : [word]));
}

/** A word that is wholly unknown. */
export function unknown(source: string, empty: Unknown["empty"], origin?: Origin): Word {
  return [{ source, empty, origin }];
}

/** Expands one word into the fields that the shell makes of it: `a{b,c}` into two, `$x` maybe none. */
export function expandFields(text: string, environment: Environment): Word[] {
  return braces(pieces(text, environment))
    .flatMap((expanded) => fields(tilde(expanded), environment)).slice(0, MAX_FIELDS);
}

/** Expands text where the shell splits nothing: the value of an assignment, a redirection's target. */
export function expandWord(text: string, environment: Environment): Word {
  return joined(tilde(pieces(text, environment)));
}

/** Expands text as between double quotes: the body of a here-document. */
export function expandText(text: string, environment: Environment): Word {
  return joined(doubleQuoted(text, environment, false));
}

function joined(all: Piece[]): Word {
  return concat(...all.map((piece) => piece ? [piece.part] : [" "]));
}

/** Cuts one word into pieces and expands those that begin with `$` or a backquote. */
function pieces(text: string, environment: Environment): Piece[] {
  const out: Piece[] = [];
  const plain = (part: string, quoted: boolean) => out.push({ part, quoted, expanded: false });
  let i = 0;
  while (i < text.length) {
    const c = text[i], next = text[i + 1];
    const end = skipUnit(text, i);
    if (c === "\\") {
      if (next !== "\n") plain(next ?? "\\", true);
    } else if (c === "'") {
      plain(inside(text, i + 1, end, "'"), true);
    } else if (c === '"' || (c === "$" && next === '"')) {
      plain("", true);
      out.push(
        ...doubleQuoted(inside(text, i + (c === "$" ? 2 : 1), end, '"'), environment, true),
      );
    } else if (c === "$" && next === "'") {
      plain(ansi(inside(text, i + 2, end, "'")), true);
    } else if (c === "$" || c === "`") {
      out.push(...expansion(text.slice(i, end), environment, false));
    } else if ((c === "<" || c === ">") && next === "(") {
      // What `>(…)` runs is known once there is something to put in.
      const content = c === "<" ? environment.substitute(text.slice(i + 2, end - 1)) : undefined;
      const part: Part = { source: text.slice(i, end), empty: "never", content };
      out.push({ part, quoted: true, expanded: true });
    } else {
      plain(text.slice(i, end), false);
    }
    i = end;
  }
  return out;
}

function inside(text: string, start: number, end: number, mark: string): string {
  return text.slice(start, end > start && text[end - 1] === mark ? end - 1 : end);
}

function doubleQuoted(text: string, environment: Environment, quotes: boolean): Piece[] {
  const out: Piece[] = [];
  let i = 0, start = 0;
  const flush = (end: number) => {
    if (end > start) out.push({ part: text.slice(start, end), quoted: true, expanded: false });
  };
  while (i < text.length) {
    const c = text[i];
    if (c === "\\" && (/[$`\\\n]/.test(text[i + 1] ?? "") || (quotes && text[i + 1] === '"'))) {
      flush(i);
      start = text[i + 1] === "\n" ? i + 2 : i + 1;
      i += 2;
    } else if (c === "$" || c === "`") {
      const end = skipExpansion(text, i);
      flush(i);
      out.push(...expansion(text.slice(i, end), environment, true));
      start = i = end;
    } else {
      i++;
    }
  }
  flush(text.length);
  return out;
}

/** Expands `$x`, `${…}`, `$(…)`, `` `…` `` or `$((…))`. */
function expansion(source: string, environment: Environment, quoted: boolean): Piece[] {
  const piece = (part: Part): Piece => ({ part, quoted, expanded: true });
  if (source === "$") return [{ part: "$", quoted, expanded: false }];
  if (source[0] === "`") {
    const code = source.slice(1, -1).replace(/\\([\\`$])/g, "$1");
    return environment.substitute(code).map(piece);
  }
  if (source.startsWith("$((") && source.endsWith("))")) {
    // Only the substitutions inside matter: a number does no harm by itself.
    expandText(source.slice(3, -2), environment);
    return [piece({ source, empty: "never" })];
  }
  if (source.startsWith("$[")) return [piece({ source, empty: "never" })];
  if (source.startsWith("$(")) return environment.substitute(source.slice(2, -1)).map(piece);
  const name = source.startsWith("${") ? source.slice(2, -1) : source.slice(1);
  const words = expandParameter(name, source, environment);
  const one = name === "*" || name.endsWith("[*]");
  if (quoted && one) return join(words).map(piece);
  return words.flatMap((word, i) => [...(i > 0 ? [null] : []), ...filled(word).map(piece)]);
}

function filled(word: Word): Word {
  return word.length === 0 ? [""] : word;
}

/** Decodes the escapes of `$'…'`, which are those of `echo -e` and `printf` too. */
export function ansi(text: string): string {
  const named: Record<string, string> = {
    a: "\x07",
    b: "\b",
    e: "\x1b",
    E: "\x1b",
    f: "\f",
    n: "\n",
    r: "\r",
    t: "\t",
    v: "\v",
  };
  return text.replace(
    /\\(x[0-9a-fA-F]{1,2}|u[0-9a-fA-F]{1,4}|U[0-9a-fA-F]{1,8}|0?[0-7]{1,3}|c.|.)/gs,
    (_, escape: string) => {
      if (/^[xuU]./.test(escape)) return codePoint(parseInt(escape.slice(1), 16));
      if (/^[0-7]/.test(escape)) return codePoint(parseInt(escape, 8) & 255);
      if (/^c./s.test(escape)) return codePoint(escape.charCodeAt(1) & 31);
      return named[escape] ?? escape;
    },
  );
}

function codePoint(code: number): string {
  return code <= 0x10ffff ? String.fromCodePoint(code) : "";
}

/** Brace expansion, before all else as in bash: only braces that are neither quoted nor expanded. */
function braces(all: Piece[]): Piece[][] {
  const chars: Piece[] = all.flatMap((piece) =>
    piece && typeof piece.part === "string" && !piece.quoted && !piece.expanded
      ? [...piece.part].map((part) => ({ ...piece, part }))
      : [piece]
  );
  const groups = chars.filter((piece) => mark(piece) === "{").length;
  return groups > 0 && groups <= MAX_BRACES ? expandBraces(chars) : [all];
}

function mark(piece: Piece | undefined): string {
  return piece && !piece.quoted && !piece.expanded && typeof piece.part === "string"
    ? piece.part
    : "";
}

function expandBraces(chars: Piece[]): Piece[][] {
  for (let open = 0; open < chars.length; open++) {
    if (mark(chars[open]) !== "{") continue;
    const group = braceGroup(chars, open);
    if (!group) continue;
    const rests = expandBraces(chars.slice(group.end));
    const choices = group.choices.flatMap(expandBraces);
    const count = Math.min(choices.length * rests.length, MAX_FIELDS);
    return Array.from({ length: count }, (_, i) => [
      ...chars.slice(0, open),
      ...choices[Math.floor(i / rests.length)],
      ...rests[i % rests.length],
    ]);
  }
  return [chars];
}

/** The alternatives of the group that opens at `open`; none for `{a}`, which is not a group. */
function braceGroup(
  chars: Piece[],
  open: number,
): { choices: Piece[][]; end: number } | undefined {
  const choices: Piece[][] = [];
  let depth = 0, start = open + 1;
  for (let i = open; i < chars.length; i++) {
    const c = mark(chars[i]);
    if (c === "{") depth++;
    else if (c === "," && depth === 1) {
      choices.push(chars.slice(start, i));
      start = i + 1;
    } else if (c === "}" && --depth === 0) {
      const last = chars.slice(start, i);
      const range = choices.length === 0 ? sequence(last.map(mark).join("")) : undefined;
      if (range) return { choices: range, end: i + 1 };
      return choices.length > 0 ? { choices: [...choices, last], end: i + 1 } : undefined;
    }
  }
  return undefined;
}

/** `1..3` or `a..e`. */
function sequence(text: string): Piece[][] | undefined {
  const range = /^(-?\d+|[A-Za-z])\.\.(-?\d+|[A-Za-z])(?:\.\.(-?\d+))?$/.exec(text);
  if (!range) return undefined;
  const number = /\d/.test(range[1]) && /\d/.test(range[2]);
  const value = (bound: string) => number ? Number(bound) : bound.charCodeAt(0);
  const from = value(range[1]), to = value(range[2]);
  const step = (Math.abs(Number(range[3] ?? 1)) || 1) * (from <= to ? 1 : -1);
  const count = Math.min(Math.floor((to - from) / step) + 1, MAX_FIELDS);
  return Array.from({ length: count }, (_, i) => {
    const item = from + i * step;
    return [{
      part: number ? `${item}` : String.fromCharCode(item),
      quoted: false,
      expanded: false,
    }];
  });
}

/** Turns an unquoted `~` or `~name` at the beginning into the home folder. */
function tilde(all: Piece[]): Piece[] {
  const first = all.findIndex((piece) => mark(piece) === "");
  const lead = all.slice(0, first < 0 ? all.length : first).map(mark).join("");
  const home = /^~([\w.-]*)(?=\/|$)/.exec(lead);
  if (!home || (home[0].length === lead.length && first >= 0 && all[first] !== null)) return all;
  const part: Part = { source: home[0], empty: "never", origin: "home" };
  const rest: Piece = { part: lead.slice(home[0].length), quoted: false, expanded: false };
  return [{ part, quoted: true, expanded: true }, rest, ...(first < 0 ? [] : all.slice(first))];
}

/** Splits expanded text at blanks and drops what is empty and unquoted. */
function fields(all: Piece[], environment: Environment): Word[] {
  const separators = literal(environment.variable("IFS")[0]);
  const out: Word[] = [];
  let word: Word = [], kept = false;
  const finish = () => {
    if (kept || word.length > 0) out.push(word);
    word = [];
    kept = false;
  };
  for (const piece of all) {
    if (!piece) {
      finish();
    } else if (piece.expanded && !piece.quoted && typeof piece.part === "string") {
      piece.part.split(splitter(separators)).forEach((text, i) => {
        if (i > 0) finish();
        word = concat(word, [text]);
      });
    } else {
      word = concat(word, [piece.part]);
      if (piece.quoted) kept = true;
    }
  }
  finish();
  return out.slice(0, MAX_FIELDS);
}

function splitter(separators: string | undefined): RegExp {
  if (separators === undefined) return SPLIT;
  if (separators === "") return /(?!)/;
  return new RegExp(`[${separators.replace(/[\\\]^-]/g, "\\$&")}]+`);
}
