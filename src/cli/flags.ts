/**
 * The command line of a subcommand, read by what its help text says.
 *
 * @module
 */

import { parseArgs } from "@std/cli";
import { nearest } from "./nearest.ts";
import { UsageError } from "./usage.ts";

/** A flag as a help text tells of it. */
export interface FlagInfo {
  /** Name without dashes. */
  name: string;
  /** What stands for its value, if it takes one. */
  value?: string;
  /** Whether it may be given more than once. */
  repeatable: boolean;
  /** What it is for. */
  description: string;
}

/** The flags in a help text: lines such as `  --seed N    decides all draws (random)`. */
export function flagsOf(help: string): FlagInfo[] {
  const lines = help.matchAll(
    /^ {2,}(?:-\w, )?--([a-z][\w-]*)(?: (\S+))?(?: {2,}(.*(?:\n {20,}.*)*))?$/gm,
  );
  return [...lines].map(([, name, value, text = ""]) => {
    const description = text.replace(/\s+/g, " ").trim();
    return { name, value, repeatable: /\brepeatable\b/.test(description), description };
  });
}

/** Flags that every subcommand takes. */
export const COMMON_FLAGS = `  -h, --help                 show this text
  --debug                    show where an error comes from`;

/** A parsed command line. */
export class Flags {
  /** Arguments that are no flags, as they were typed. */
  readonly positional: string[];
  readonly #values: Record<string, unknown>;

  /**
   * Parses `args` by the flags in `help`.
   * @param command The subcommand, for messages.
   * @throws {UsageError} if a flag is unknown, lacks its value, or may not be repeated.
   */
  constructor(command: string, help: string, args: string[]) {
    const flags = flagsOf(help);
    const given = flags.filter(({ value }) => value !== undefined).map(({ name }) => name);
    const parsed: Record<string, unknown> = parseArgs(args, {
      string: ["_", ...given],
      boolean: flags.filter(({ value }) => value === undefined).map(({ name }) => name),
      collect: given,
      alias: { help: "h" },
      unknown: (arg: string, key?: string) => {
        if (key === undefined) return true;
        const empty = flags.find(({ name }) => key === `${name}=`); // as in --seed=
        if (empty) throw valueMissing(empty);
        const close = nearest(key, flags.map(({ name }) => name));
        const remedy = close ? `did you mean --${close}?` : `see ${command} --help.`;
        throw new UsageError(`There is no flag ${arg.replace(/=.*$/s, "")}: ${remedy}`);
      },
    });
    const end = args.indexOf("--");
    for (const arg of end < 0 ? args : args.slice(0, end)) {
      const [, name, given] = arg.match(/^--([^=]+)=(.+)$/s) ?? [];
      const isSwitch = flags.some((flag) => flag.name === name && flag.value === undefined);
      if (isSwitch && given !== "true" && given !== "false") {
        throw new UsageError(`--${name} takes no value: leave =${given} out.`);
      }
    }
    this.positional = parsed._ as string[];
    this.#values = parsed;
    for (const flag of flags) {
      const { name, value, repeatable } = flag;
      const values = value === undefined ? [] : parsed[name] as string[];
      if (values.includes("")) {
        throw valueMissing(flag);
      }
      if (values.length > 1 && !repeatable) {
        throw new UsageError(`--${name} was given ${values.length} times: give it once.`);
      }
    }
  }

  /** Whether a flag without a value was given. */
  has(name: string): boolean {
    return this.#values[name] === true;
  }

  /** All values of a flag. */
  list(name: string): string[] {
    return (this.#values[name] ?? []) as string[];
  }

  /** The value of a flag. */
  text(name: string): string | undefined {
    return this.list(name)[0];
  }

  /** All values of a flag as numbers. */
  numbers(name: string): number[] {
    return this.list(name).map((text) => {
      const value = Number(text);
      if (text.trim() === "" || !Number.isFinite(value)) {
        throw new UsageError(`--${name} is ${text}, expected a number.`);
      }
      return value;
    });
  }

  /** The value of a flag as a number. */
  number(name: string): number | undefined {
    return this.numbers(name)[0];
  }

  /** The value of a flag as a whole number. */
  whole(name: string): number | undefined {
    const value = this.number(name);
    if (value !== undefined && !(Number.isSafeInteger(value) && value >= 0)) {
      throw new UsageError(`--${name} is ${this.text(name)}, expected a whole number.`);
    }
    return value;
  }
}

function valueMissing({ name, value }: FlagInfo): UsageError {
  return new UsageError(
    value === undefined
      ? `--${name} takes no value: leave = out.`
      : `--${name} needs a value: write --${name} ${value}, or --${name}=-1.`,
  );
}

/** Turns the library's complaint about an option into one about a flag. */
export function usage<T>(check: () => T): T {
  try {
    return check();
  } catch (error) {
    if (!(error instanceof RangeError || error instanceof TypeError)) throw error;
    throw new UsageError(
      error.message.replace(
        /^([a-z]+[A-Z]?\w*) (is|has)/,
        (_, name, verb) =>
          `--${name.replace(/[A-Z]/g, (letter: string) => `-${letter.toLowerCase()}`)} ${verb}`,
      ),
    );
  }
}
