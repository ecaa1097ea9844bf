/**
 * Parameter expansion: `$x`, `${x:-y}`, `${x:0:1}`, `${!x}`, `${a[@]}` and so on, computed
 * where the script says the value.
 *
 * @module
 */

import { globSource } from "./glob.ts";
import { concat, type Environment, expandWord, literal, type Part, type Word } from "./words.ts";

const PARAMETER = /^([!#]?)([A-Za-z_]\w*|\d+|[@*#?$!-])(?:\[([^]*?)\](?=$|[^\]]))?([^]*)$/;

/** Variables that every login sets to an absolute path. */
const PATHS = new Set(["HOME", "PATH", "PWD", "OLDPWD", "SHELL", "TMPDIR", "MANPATH", "MAIL"]);

/** Whether a word may be empty when the script runs. */
export function emptiness(word: Word): "may" | "guarded" | "never" {
  let state: "may" | "guarded" | "never" = "may";
  for (const part of word) {
    const one = typeof part === "string" ? "never" : part.empty;
    if (one === "never") return "never";
    if (one === "guarded") state = "guarded";
  }
  return state;
}

/** The word with the knowledge that it is not empty, or (`guarded`) that the script checks it. */
export function filledIn(word: Word, empty: "guarded" | "never"): Word {
  if (emptiness(word) === "never") return word;
  return word.map((part) =>
    typeof part === "string" || part.empty === "never" ? part : { ...part, empty }
  );
}

/**
 * The fields of one expansion.
 * @param body What stands between the braces, or after the `$`.
 * @param source The expansion as it stands.
 */
export function expandParameter(body: string, source: string, environment: Environment): Word[] {
  const match = body.length === 1 ? ["", "", body, undefined, ""] : PARAMETER.exec(body);
  if (!match) return [[{ source, empty: "may" }]];
  const [, prefix, name, index, operation] = match as [string, string, string, string?, string?];
  const all = name === "@" || name === "*" || index === "@" || index === "*";
  const values = element(name!, index, environment);
  const opaque = (word: Word): Word => [{ ...summary(word), source }];
  if (prefix === "#") {
    const text = literal(values[0] ?? []);
    if (all) return [[`${values.length}`]];
    return [text === undefined ? [{ source, empty: "never" }] : [`${text.length}`]];
  }
  if (prefix === "!") {
    const target = literal(values[0]);
    if (target === undefined || all || /^[*@]/.test(operation!)) {
      return [[{ source, empty: "may" }]];
    }
    return expandParameter(target + operation, source, environment);
  }
  if (!operation) return values.length > 0 || all ? values : [[]];
  const alternative = /^(:?)([-=?+])([^]*)$/.exec(operation);
  if (alternative) {
    return substituteDefault(alternative, values, name!, environment, opaque);
  }
  const slice = /^:([^:]*)(?::([^]*))?$/.exec(operation);
  if (slice) {
    const from = integer(slice[1], environment), length = integer(slice[2], environment);
    if (all) return sliceList(values, from, length);
    return values.map((word) => sliceText(word, from, length, name!, environment) ?? opaque(word));
  }
  return values.map((word) => {
    const text = literal(word);
    const changed = text === undefined ? undefined : edit(text, operation, environment);
    return changed === undefined ? opaque(word) : concat([changed]);
  });
}

/** What is unknown about a word as one part. */
function summary(word: Word): Exclude<Part, string> {
  const unknowns = word.filter((part) => typeof part !== "string");
  const origin = unknowns.find((part) => part.origin === "network")?.origin ??
    (word.length === 1 ? unknowns[0]?.origin : undefined);
  return { source: "", empty: emptiness(word), origin };
}

function element(name: string, index: string | undefined, environment: Environment): Word[] {
  const values = environment.variable(name);
  if (index === undefined) {
    return name === "@" || name === "*" ? values : values.slice(0, 1);
  }
  if (index === "@" || index === "*") return values;
  const key = literal(expandWord(index, environment));
  if (key === undefined) return [[{ source: `\${${name}[${index}]}`, empty: "may" }]];
  if (!/^\s*-?\d+\s*$/.test(key)) return environment.variable(`${name}[${key}]`);
  return [values.at(Number(key)) ?? []];
}

function substituteDefault(
  [, colon, operator, rest]: string[],
  values: Word[],
  name: string,
  environment: Environment,
  opaque: (word: Word) => Word,
): Word[] {
  const value = values[0] ?? [];
  const empty = emptiness(value);
  const absent = values.length === 0 || (colon === ":" && value.length === 0);
  switch (operator) {
    case "?": {
      environment.guard(name);
      return [value.length === 0 ? filledIn(opaque(value), "never") : filledIn(value, "never")];
    }
    case "+":
      return [absent ? [] : expandWord(rest, environment)];
    default: {
      if (empty === "never") return values;
      const fallback = expandWord(rest, environment);
      // An unknown value counts as the default that the script names for it.
      const result = fallback.length > 0 || absent ? fallback : value;
      if (operator === "=") environment.assign(name, result);
      return [result];
    }
  }
}

function integer(text: string | undefined, environment: Environment): number | undefined {
  if (text === undefined) return undefined;
  const value = literal(expandWord(text.trim().replace(/^\((.*)\)$/, "$1"), environment));
  if (value === undefined) return NaN;
  if (/^[A-Za-z_]\w*$/.test(value)) return Number(literal(environment.variable(value)[0]) ?? NaN);
  return /^\s*-?\s*\d*\s*$/.test(value) ? Number(value.replace(/\s/g, "")) : NaN;
}

function sliceList(values: Word[], from = 0, length?: number): Word[] {
  // `${@:1}` begins with `$1`, the first of the values.
  const start = Math.max(from - 1, 0);
  return values.slice(start, length === undefined ? undefined : start + length);
}

function sliceText(
  word: Word,
  from: number | undefined,
  length: number | undefined,
  name: string,
  environment: Environment,
): Word | undefined {
  const text = literal(word);
  const environmentPath = PATHS.has(name) && word.length === 1 &&
    environment.variable(name)[0] === word;
  if (text === undefined && environmentPath && from === 0 && length === 1) return ["/"];
  if (text === undefined || Number.isNaN(from) || Number.isNaN(length)) return undefined;
  const rest = text.slice(from);
  return concat([
    length === undefined ? rest : length < 0 ? rest.slice(0, length) : rest.slice(0, length),
  ]);
}

/** Applies `#p ##p %p %%p /p/r //p/r ^ ^^ , ,, @X`; `undefined` where that is not known. */
function edit(text: string, operation: string, environment: Environment): string | undefined {
  const operator = /^(##?|%%?|\/[/#%]?|\^\^?|,,?|@)/.exec(operation)?.[0];
  if (!operator) return undefined;
  const rest = operation.slice(operator.length);
  if (operator === "@") {
    return rest === "U" ? text.toUpperCase() : rest === "L" ? text.toLowerCase() : text;
  }
  if (operator[0] === "^" || operator[0] === ",") {
    const change = (part: string) => operator[0] === "^" ? part.toUpperCase() : part.toLowerCase();
    return operator.length > 1 ? change(text) : change(text.slice(0, 1)) + text.slice(1);
  }
  const cut = operator[0] === "/" ? separator(rest) : rest.length;
  const pattern = literal(expandWord(rest.slice(0, cut), environment));
  const replacement = literal(expandWord(rest.slice(cut + 1), environment));
  if (pattern === undefined || replacement === undefined) return undefined;
  const glob = globSource(pattern);
  const replace = (source: string, flags = "") =>
    text.replace(new RegExp(source, flags), () => replacement);
  switch (operator) {
    case "#":
      return text.replace(new RegExp(`^${glob.replaceAll("[^]*", "[^]*?")}`), "");
    case "##":
      return text.replace(new RegExp(`^${glob}`), "");
    case "%":
      return shortestEnd(text, new RegExp(`^${glob}$`));
    case "%%":
      return text.replace(new RegExp(`${glob}$`), "");
    case "//":
      return replace(glob, "g");
    case "/#":
      return replace(`^${glob}`);
    case "/%":
      return replace(`${glob}$`);
    default:
      return replace(glob);
  }
}

/** Index of the `/` between pattern and replacement. */
function separator(rest: string): number {
  for (let i = 0; i < rest.length; i++) {
    if (rest[i] === "\\") i++;
    else if (rest[i] === "/" && i > 0) return i;
  }
  return rest.length;
}

function shortestEnd(text: string, pattern: RegExp): string {
  for (let i = text.length; i >= 0; i--) {
    if (pattern.test(text.slice(i))) return text.slice(0, i);
  }
  return text;
}
