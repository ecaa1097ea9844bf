/**
 * Local stand-in for `parseArgs` of `jsr:@std/cli`: same name and the same behaviour for the options
 * that this project uses, so that a clone needs no JSR. The published package resolves the real one.
 *
 * @module
 */

type OneOrMany<T extends string> = T | readonly T[];

/** Options of {@linkcode parseArgs}. */
export interface ParseOptions<
  B extends string = string,
  S extends string = string,
  C extends string = string,
> {
  /** Other names of a flag. */
  alias?: Record<string, string | readonly string[]>;
  /** Flags without a value; they are false unless given. */
  boolean?: OneOrMany<B>;
  /** Flags whose value stays a string. */
  string?: OneOrMany<S>;
  /** Flags that may be repeated and give an array. */
  collect?: OneOrMany<C>;
  /** Flags that `--no-` in front of them makes false. */
  negatable?: OneOrMany<string>;
  /** Values of flags that are not given. */
  default?: Record<string, unknown>;
  /** Take everything after the first argument that is no flag as it is. */
  stopEarly?: boolean;
  /** Called for each argument that no option names; `false` leaves it out. */
  unknown?: (arg: string, key?: string, value?: unknown) => unknown;
}

/** What {@linkcode parseArgs} returns. */
export type Args<B extends string, S extends string, C extends string> =
  & { [K in B]: boolean }
  & { [K in Exclude<S, C>]?: string }
  & { [K in S & C]: string[] }
  & {
    /** Arguments that are no flags. */
    _: (string | number)[];
  };

type Value = string | number | boolean;
type Tree = { [key: string]: Tree | Value | Value[] | unknown };

const list = <T extends string>(names: OneOrMany<T> | undefined): T[] =>
  names === undefined ? [] : typeof names === "string" ? [names] : [...names];

const isNumeric = (text: string): boolean => text.trim() !== "" && Number.isFinite(Number(text));

const isBooleanText = (text: string | undefined): boolean => text === "true" || text === "false";

/** Parses command line arguments into flags by name, and `_`, the arguments that are no flags. */
export function parseArgs<
  const B extends string = never,
  const S extends string = never,
  const C extends string = never,
>(args: string[], options: ParseOptions<B, S, C> = {}): Args<B, S, C> {
  const { stopEarly = false, unknown = () => true } = options;
  /** The names of each flag that has more than one, its own first. */
  const names = new Map<string, string[]>();
  for (const [key, others] of Object.entries(options.alias ?? {})) {
    const all = [key, ...list(others)];
    for (const name of all) {
      names.set(name, [
        name,
        ...all.filter((other) => other !== name),
      ]);
    }
  }
  const namesOf = (key: string): string[] => names.get(key) ?? [key];
  const withNames = (keys: string[]): Set<string> => new Set(keys.flatMap(namesOf));
  const booleans = withNames(list(options.boolean));
  const strings = withNames(list(options.string));
  const collects = withNames(list(options.collect));
  const negatables = withNames(list(options.negatable));
  const result: Tree & { _: Value[] } = { _: [] };

  const place = (path: string[]): Tree => {
    let tree: Tree = result;
    for (const part of path.slice(0, -1)) tree = (tree[part] ??= {}) as Tree;
    return tree;
  };
  const put = (key: string, value: unknown, collect = false): void => {
    const path = key.split(".");
    const last = path.at(-1)!;
    const tree = place(path);
    const before = tree[last];
    if (!collect) tree[last] = value;
    else if (Array.isArray(before)) before.push(value);
    else tree[last] = before ? [before, value] : [value];
  };
  const has = (key: string): boolean => {
    let tree: unknown = result;
    for (const part of key.split(".")) {
      if (
        typeof tree !== "object" || tree === null || !Object.hasOwn(tree, part)
      ) return false;
      tree = (tree as Tree)[part];
    }
    return true;
  };
  const set = (
    key: string,
    value: Value,
    arg: string,
    collect = true,
  ): void => {
    const known = booleans.has(key) || strings.has(key) || names.has(key);
    if (!known && unknown(arg, key, value) === false) return;
    const converted = typeof value === "string" && !strings.has(key) && isNumeric(value)
      ? Number(value)
      : value;
    for (const name of namesOf(key)) {
      put(name, converted, collect && collects.has(key));
    }
  };
  const bare = (key: string): Value => strings.has(key) ? "" : true;
  const takesValue = (key: string): boolean => !namesOf(key).some((name) => booleans.has(name));

  const end = args.indexOf("--");
  const rest = end < 0 ? [] : args.slice(end + 1);
  const flags = end < 0 ? args : args.slice(0, end);
  let i = 0;

  /** `--key=value`, `--key value`, `--key`, `--no-key`. */
  const long = (arg: string): void => {
    const [, key, value] = arg.match(/^--(.+?)(?:=(.+))?$/s)!;
    if (value !== undefined) {
      return set(key, booleans.has(key) ? value !== "false" : value, arg);
    }
    const negated = key.match(/^no-(.+)$/s)?.[1];
    if (negated !== undefined && negatables.has(negated)) {
      return set(negated, false, arg, false);
    }
    const next = flags[i + 1];
    if (next && takesValue(key) && !next.startsWith("-")) {
      i++;
      set(key, next, arg);
    } else if (isBooleanText(next)) {
      i++;
      set(key, next === "true", arg);
    } else set(key, bare(key), arg);
  };

  /** `-k value`, `-kvalue` for numbers and values that start with a sign, `-abc`. */
  const short = (arg: string): void => {
    const letters = arg.slice(1);
    for (let j = 0; j < letters.length - 1; j++) {
      const letter = letters[j];
      const after = letters.slice(j + 1);
      if (after === "-") {
        set(letter, after, arg);
        continue;
      }
      if (/[A-Za-z]/.test(letter)) {
        const value = after.match(/=(.+)/)?.[1];
        if (value !== undefined) return set(letter, value, arg);
        if (/-?\d+(\.\d*)?(e-?\d+)?$/.test(after)) {
          return set(letter, after, arg);
        }
      }
      if (after.length > 1 && /\W/.test(after[0])) {
        return set(letter, after, arg);
      }
      set(letter, bare(letter), arg);
    }
    const key = letters.at(-1)!;
    if (key === "-") return;
    const next = flags[i + 1];
    if (next && takesValue(key) && !/^--?[^-]/.test(next)) {
      i++;
      set(key, next, arg);
    } else if (isBooleanText(next)) {
      i++;
      set(key, next === "true", arg);
    } else set(key, bare(key), arg);
  };

  for (; i < flags.length; i++) {
    const arg = flags[i];
    if (/^--./s.test(arg)) long(arg);
    else if (/^-./s.test(arg)) short(arg);
    else {
      if (unknown(arg) !== false) {
        result._.push(isNumeric(arg) && !strings.has("_") ? +arg : arg);
      }
      if (stopEarly) {
        result._.push(...flags.slice(i + 1));
        break;
      }
    }
  }
  for (const [key, value] of Object.entries(options.default ?? {})) {
    if (!has(key)) { for (const name of namesOf(key)) put(name, value); }
  }
  for (const key of booleans) {
    if (!has(key)) put(key, collects.has(key) ? [] : false);
  }
  for (const key of strings) if (!has(key) && collects.has(key)) put(key, []);
  result._.push(...rest);
  return result as Args<B, S, C>;
}
