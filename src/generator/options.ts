/**
 * The options of generation and what they may be.
 *
 * @module
 */

import type { SamplingOptions } from "./sampler.ts";

/**
 * Options of `Bashling.generate` and `Bashling.complete`.
 *
 * @example Focused, repeatable and short
 * ```ts
 * import { Bashling, type GenerateOptions } from "@bashling/bashling";
 *
 * const options: GenerateOptions = { temperature: 0.2, seed: 42, maxTokens: 30, stop: ["\n\n"] };
 * using model = await Bashling.load();
 * for await (const { text } of model.generate("Print the date", options)) console.log(text);
 * ```
 */
export interface GenerateOptions {
  /** Most tokens to generate, from 1 up. Default 200. */
  maxTokens?: number;
  /** 0 (always the likeliest token) to 100; below 1 focused, above 1 wild. Default 0.8. */
  temperature?: number;
  /** Draw from the k likeliest tokens only; 0 for all. Default 50. */
  topK?: number;
  /** Draw from the fewest likeliest tokens that together reach this probability. Default 0.9. */
  topP?: number;
  /** Draw from tokens at least this many times as likely as the likeliest, 0 to 1. Default 0. */
  minP?: number;
  /** Above 1, up to 10, makes tokens that the context has already less likely. Default 1. */
  repetitionPenalty?: number;
  /**
   * Makes a token less likely by this much for each time that it was drawn, −2 to 2: taken from its
   * logit. Default 0.
   */
  frequencyPenalty?: number;
  /** Makes a token less likely by this much once it was drawn at all, −2 to 2. Default 0. */
  presencePenalty?: number;
  /** Makes tokens, by their ids, likelier or less likely: −100 to 100, added to the logits. */
  logitBias?: Record<number, number>;
  /** End before the first of these strings in what is generated; at most 16. Default none. */
  stop?: string[];
  /** Decides all draws: a whole number. Default: a new one each time, told in the result. */
  seed?: number;
  /** Ends the generation within one token, during the prompt too. */
  signal?: AbortSignal;
  /**
   * Cut a prompt that is longer than the context instead of refusing it. A number cuts it to so many
   * tokens, its end and the shebang line. Default false.
   */
  truncate?: boolean | number;
  /**
   * `enforce`: only tokens are drawn with which a script can become valid bash, and what is open at
   * the end is closed, so that every script passes `bash -n`. `check`: the result tells whether it
   * is valid. `off`: neither. Default `enforce`.
   */
  syntax?: "off" | "check" | "enforce";
  /** Let the result tell what the script may do. Default true. */
  verdict?: boolean;
  /** Let each piece tell its tokens' probabilities and their rivals. Default false. */
  explain?: boolean;
}

/** Options of `Bashling.complete` and `Bashling.choose`. */
export interface CompleteOptions extends GenerateOptions {
  /** Scripts to generate, of which the best is taken, 1 to 64. Default 1. */
  bestOf?: number;
  /** Make scripts anew whose verdict is this or worse. Default `none`. */
  refuse?: "none" | "caution" | "destructive";
}

/** {@linkcode GenerateOptions}, complete and checked. */
export type CheckedOptions =
  & Required<Omit<GenerateOptions, "signal">>
  & Pick<GenerateOptions, "signal">
  & SamplingOptions;

const DEFAULTS = {
  maxTokens: 200,
  temperature: 0.8,
  topK: 50,
  topP: 0.9,
  minP: 0,
  repetitionPenalty: 1,
  frequencyPenalty: 0,
  presencePenalty: 0,
};

/** Least and largest value of each number, and whether it has to be whole. */
const RANGES: Record<
  keyof typeof DEFAULTS | "seed",
  [least: number, most: number, whole: boolean]
> = {
  maxTokens: [1, Number.MAX_SAFE_INTEGER, true],
  temperature: [0, 100, false],
  topK: [0, Number.MAX_SAFE_INTEGER, true],
  topP: [0, 1, false],
  minP: [0, 1, false],
  repetitionPenalty: [0.1, 10, false],
  frequencyPenalty: [-2, 2, false],
  presencePenalty: [-2, 2, false],
  seed: [0, Number.MAX_SAFE_INTEGER, true],
};

const MOST_STOPS = 16;

/** Most tokens that `logitBias` may name. */
export const MOST_BIASES = 300;

/** Fewest tokens to which a prompt can be cut: its shebang line and a few words. */
export const LEAST_PROMPT = 8;

const OTHERS = ["logitBias", "stop", "signal", "truncate", "syntax", "verdict", "explain"];

/** What `syntax` may be. */
export const SYNTAX_MODES = ["off", "check", "enforce"] as const;

/** What `refuse` may be. */
export const REFUSALS = ["none", "caution", "destructive"] as const;

/**
 * Completes and checks options.
 * @param defaults What the model's `generation_config.json` says.
 * @throws {TypeError} if an option is of a wrong type or unknown.
 * @throws {RangeError} if a value is out of range.
 */
export function checkOptions(
  options: GenerateOptions,
  defaults: Partial<typeof DEFAULTS> = {},
): CheckedOptions {
  for (const key of Object.keys(options)) {
    if (!Object.hasOwn(RANGES, key) && !OTHERS.includes(key)) {
      throw new TypeError(
        `There is no option ${key}: choose among ${
          [...Object.keys(RANGES), ...OTHERS].join(", ")
        }.`,
      );
    }
  }
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  const checked: CheckedOptions = {
    ...DEFAULTS,
    seed: crypto.getRandomValues(new Uint32Array(1))[0],
    logitBias: {},
    stop: [],
    truncate: false,
    syntax: "enforce",
    verdict: true,
    explain: false,
    ...defaults,
    ...Object.fromEntries(given),
  };
  for (const [key, [least, most, whole]] of Object.entries(RANGES)) {
    const value = checked[key as keyof typeof RANGES];
    if (typeof value !== "number") {
      throw new TypeError(`${key} is of type ${typeof value}, expected a number.`);
    }
    if (!(value >= least && value <= most) || (whole && !Number.isInteger(value))) {
      const range = most < Number.MAX_SAFE_INTEGER
        ? `from ${least} to ${most}`
        : `from ${least} up`;
      throw new RangeError(
        `${key} is ${value}, expected a ${whole ? "whole " : ""}number ${range}.`,
      );
    }
  }
  const { stop, truncate, signal, syntax, verdict, explain } = checked;
  checkLogitBias(checked.logitBias);
  if (!Array.isArray(stop) || stop.some((text) => typeof text !== "string")) {
    throw new TypeError("stop is no array of strings: give one, even for a single string.");
  }
  if (stop.length > MOST_STOPS) {
    throw new RangeError(`stop has ${stop.length} strings, expected at most ${MOST_STOPS}.`);
  }
  if (stop.some((text) => text === "" || !text.isWellFormed())) {
    throw new RangeError("stop has an empty string or half a character: leave it out.");
  }
  if (typeof truncate === "number") {
    if (!Number.isInteger(truncate) || truncate < LEAST_PROMPT) {
      throw new RangeError(
        `truncate is ${truncate}, expected a whole number from ${LEAST_PROMPT} up, or true.`,
      );
    }
  } else if (typeof truncate !== "boolean") {
    throw new TypeError(`truncate is of type ${typeof truncate}, expected a boolean or a number.`);
  }
  for (const [name, value] of Object.entries({ verdict, explain })) {
    if (typeof value !== "boolean") {
      throw new TypeError(`${name} is of type ${typeof value}, expected a boolean.`);
    }
  }
  checkOneOf("syntax", syntax, SYNTAX_MODES);
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new TypeError("signal is no AbortSignal: give the signal of an AbortController.");
  }
  return checked;
}

function checkLogitBias(bias: unknown): void {
  if (typeof bias !== "object" || bias === null || Array.isArray(bias)) {
    throw new TypeError(
      'logitBias is no object: give one from token ids to numbers, as { "7": -1 }.',
    );
  }
  const entries = Object.entries(bias);
  if (entries.length > MOST_BIASES) {
    throw new RangeError(
      `logitBias has ${entries.length} tokens, expected at most ${MOST_BIASES}.`,
    );
  }
  for (const [token, value] of entries) {
    if (!/^\d{1,7}$/.test(token) || typeof value !== "number" || !(Math.abs(value) <= 100)) {
      throw new RangeError(
        `logitBias has ${token}: ${value}, expected a token's id and a number from -100 to 100.`,
      );
    }
  }
}

/**
 * Checks the options that `Bashling.complete` has beside those of `generate`.
 * @throws {TypeError | RangeError} if one cannot be.
 */
export function checkCompleteOptions(
  { bestOf = 1, refuse = "none", verdict = true }: CompleteOptions,
): void {
  if (!Number.isInteger(bestOf) || bestOf < 1 || bestOf > MOST_SCRIPTS) {
    throw new RangeError(`bestOf is ${bestOf}, expected a whole number from 1 to ${MOST_SCRIPTS}.`);
  }
  checkOneOf("refuse", refuse, REFUSALS);
  if (refuse !== "none" && !verdict) {
    throw new RangeError(`refuse is ${refuse}, which needs a verdict: leave verdict out.`);
  }
}

/** Most scripts of which the best is taken. */
const MOST_SCRIPTS = 64;

function checkOneOf(name: string, value: unknown, allowed: readonly string[]): void {
  if (allowed.includes(value as string)) return;
  throw new RangeError(`${name} is ${value}, expected one of ${allowed.join(", ")}.`);
}
