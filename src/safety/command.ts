/**
 * A simple command with its words expanded, as the rules see it.
 *
 * @module
 */

import { literal, type Word } from "./words.ts";

/** How bad a finding is. */
export type Level = "caution" | "destructive";

/** What a rule has to say: level and reason. */
export type Report = readonly [level: Level, reason: string];

/** `2>> log`: descriptor `2`, operator `>>`. */
export interface Redirect {
  /** The descriptor as written, else the operator's own: `0` or `1`. */
  descriptor: string;
  operator: string;
  target: Word;
}

/** One simple command. */
export interface Command {
  /** Last component of the command's path; empty where it is unknown. */
  name: string;
  args: Word[];
  redirects: Redirect[];
  /** What is known to come in. */
  stdin?: Word;
  /** Runs in the background. */
  background: boolean;
  /** The folder that relative paths start from. */
  folder: Word;
}

/** Looks at one command. */
export type Rule = (command: Command) => Report[];

/** The words of a command parted into options and operands, by the conventions of GNU `getopt`. */
export class Options {
  readonly operands: Word[] = [];
  readonly #short = new Set<string>();
  readonly #long: string[] = [];

  /**
   * @param values Short options that take the next word as their value, which is then no operand.
   */
  constructor(args: Word[], values = "") {
    let plain = false;
    for (let i = 0; i < args.length; i++) {
      const text = literal(args[i]);
      if (plain || text === undefined || !/^-./.test(text)) {
        this.operands.push(args[i]);
      } else if (text === "--") {
        plain = true;
      } else if (text.startsWith("--")) {
        this.#long.push(text.slice(2));
      } else {
        for (const letter of text.slice(1)) this.#short.add(letter);
        if (values.includes(text.at(-1)!)) i++;
      }
    }
  }

  /** Whether a short option was given, or a long one, which may be shortened to any clear start. */
  has(letters: string, ...names: string[]): boolean {
    return [...letters].some((letter) => this.#short.has(letter)) ||
      this.#long.some((given) => {
        const start = given.split("=")[0];
        return names.some((name) => name === start || (start.length > 2 && name.startsWith(start)));
      });
  }
}

/** The words that are known, in writing; unknown ones are empty. */
export function texts(words: Word[]): string[] {
  return words.map((word) => literal(word) ?? "");
}
