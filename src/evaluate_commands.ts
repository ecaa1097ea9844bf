/**
 * Measures commands that were made for English sentences against those that were wanted.
 *
 * @module
 */

import { commandScore, firstCommand, templateOf, utilitiesOf } from "./command_form.ts";
import { readLines } from "./corpus/files.ts";
import type { EvaluationOptions } from "./evaluate.ts";
import { collect } from "./generator/choose.ts";
import type { Bashling } from "./generator/generator.ts";

/** An English sentence and the command that does what it says. */
export interface Pair {
  nl: string;
  cmd: string;
}

/** Guesses for each sentence. */
export const GUESSES = 5;

/** How good guesses are, each number a mean over all pairs. */
export interface CommandsScore {
  /** Pairs. */
  pairs: number;
  /** Whether the first guess has the template of the command wanted. */
  template: number;
  /** Whether one of the five has. */
  templateOfFive: number;
  /** The NLC2CMD score of five guesses: the best if any is above 0, else their mean. */
  nlc2cmd: number;
  /** Whether the first utility of the first guess is right. */
  firstUtility: number;
}

/** The rule by which commands are compared. */
export const COMMAND_RULE =
  "The first guess is what it writes at temperature 0, the others are the likeliest of 16 drawn at 0.8. " +
  "The first command of a script counts. Templates have strings, numbers, paths and patterns taken " +
  "out. NLC2CMD compares utilities and flags only, from −1 to 1; of five guesses the best counts if " +
  "it is above 0, else their mean.";

/** Pairs of a `.jsonl` or `.jsonl.gz` file with `nl` and `cmd`. */
export async function readPairs(path: string, limit: number = Infinity): Promise<Pair[]> {
  const pairs: Pair[] = [];
  for await (const { line, number } of readLines(path)) {
    if (pairs.length >= limit) break;
    if (!line.trim()) continue;
    let record: Partial<Pair> | null;
    try {
      record = JSON.parse(line);
    } catch {
      throw new SyntaxError(`Line ${number} of ${path} is no JSON: mend or remove it.`);
    }
    const { nl, cmd } = record ?? {};
    if (typeof nl !== "string" || typeof cmd !== "string") {
      throw new SyntaxError(`Line ${number} of ${path} has no "nl" and "cmd": mend or remove it.`);
    }
    pairs.push({ nl, cmd });
  }
  if (pairs.length === 0) throw new RangeError(`${path} holds no pair: give one with nl and cmd.`);
  return pairs;
}

/**
 * Compares guesses with what was wanted.
 * @param guesses For each pair up to {@linkcode GUESSES} commands, the surest first.
 */
export function compareCommands(
  pairs: readonly Pair[],
  guesses: readonly (readonly string[])[],
): CommandsScore {
  const sum = { template: 0, templateOfFive: 0, nlc2cmd: 0, firstUtility: 0 };
  pairs.forEach(({ cmd }, i) => {
    const mine = guesses[i], wanted = templateOf(cmd);
    const hits = mine.map((guess) => templateOf(guess) === wanted);
    const scores = mine.map((guess) => commandScore(guess, cmd));
    const best = Math.max(...scores);
    sum.template += hits[0] ? 1 : 0;
    sum.templateOfFive += hits.includes(true) ? 1 : 0;
    sum.nlc2cmd += best > 0 ? best : scores.reduce((a, b) => a + b) / scores.length;
    sum.firstUtility += utilitiesOf(mine[0])[0]?.name === utilitiesOf(cmd)[0]?.name ? 1 : 0;
  });
  const mean = (value: number) => value / pairs.length;
  return {
    pairs: pairs.length,
    template: mean(sum.template),
    templateOfFive: mean(sum.templateOfFive),
    nlc2cmd: mean(sum.nlc2cmd),
    firstUtility: mean(sum.firstUtility),
  };
}

/** Scripts drawn for each sentence, of which the likeliest are guesses. */
const DRAWS = 16;

/** Streams with which a model makes all scripts of a sentence at once. */
export const COMMAND_STREAMS = 1 + DRAWS;

/**
 * Lets a model guess the commands of a file: what it writes at temperature 0, then the four likeliest
 * others of 16 scripts drawn at `temperature`.
 * @param options `seed` is that of the first draw; each further one has one more.
 */
export async function scoreCommands(
  model: Bashling,
  path: string,
  options: EvaluationOptions & { temperature?: number; seed?: number; maxTokens?: number } = {},
): Promise<CommandsScore> {
  const { limit, signal, onProgress, temperature = 0.8, seed = 0, maxTokens = 64 } = options;
  const pairs = await readPairs(path, limit), guesses: string[][] = [];
  const rules = { maxTokens, verdict: false, truncate: true, signal };
  for (const [done, { nl }] of pairs.entries()) {
    const [surest, ...drawn] = await Promise.all([
      collect(model.generate(nl, { ...rules, temperature: 0 })),
      ...Array.from({ length: DRAWS }, (_, i) => {
        const own = { ...rules, temperature, seed: seed + DRAWS * done + i };
        return collect(model.generate(nl, own));
      }),
    ]);
    signal?.throwIfAborted();
    const likeliest = drawn.toSorted((a, b) => b.logprob - a.logprob);
    const commands = new Set([surest, ...likeliest].map(({ text }) => firstCommand(text)));
    guesses.push([...commands].slice(0, GUESSES));
    onProgress?.({ done: done + 1, total: pairs.length });
  }
  return compareCommands(pairs, guesses);
}
