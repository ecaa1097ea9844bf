/**
 * Measures a model on files that it has never seen.
 *
 * @module
 */

import { readBash } from "./corpus/bash.ts";
import { readLines } from "./corpus/files.ts";
import { readStories } from "./corpus/stories.ts";
import { collect } from "./generator/choose.ts";
import type { Bashling, Score } from "./generator/generator.ts";
import type { GenerateOptions } from "./generator/options.ts";

/** The rule by which texts are scored. */
export const SCORING_RULE =
  "Each document apart; its first token is given, each later one scored once; documents longer than " +
  "the context are read by windows that advance by half of it, and each window scores only tokens " +
  "that none before it has scored. Bytes are those of the scored tokens.";

/** Documents that are scored between two reports. */
const GROUP = 32;

/** How far a measurement has come. */
export interface EvaluationProgress {
  /** Documents or prompts done. */
  done: number;
  /** All of them. */
  total: number;
}

/** Options of the measurements. */
export interface EvaluationOptions {
  /** Only the first so many documents or prompts. */
  limit?: number;
  /** Ends the measurement; it then throws the signal's reason. */
  signal?: AbortSignal;
  /** Called now and then. */
  onProgress?: (progress: EvaluationProgress) => void;
}

/** How well a model foresees the documents of a file. */
export interface FileScore extends Score {
  /** Documents scored. */
  documents: number;
  /** nats / tokens. */
  natsPerToken: number;
}

/** Scores stories: a `.txt` or `.txt.gz` file with `<|endoftext|>` between them. */
export function scoreStories(
  model: Bashling,
  path: string,
  options: EvaluationOptions = {},
): Promise<FileScore> {
  return scoreDocuments(model, readStories(path), options);
}

/**
 * Scores bash in the prompt form: a folder of `*.sh`, one such file, or a `.jsonl[.gz]` file of
 * scripts or of English–command pairs.
 */
export function scoreScripts(
  model: Bashling,
  path: string,
  options: EvaluationOptions = {},
): Promise<FileScore> {
  return scoreDocuments(model, readBash(path), options);
}

async function scoreDocuments(
  model: Bashling,
  source: AsyncIterable<string>,
  { limit = Infinity, signal, onProgress }: EvaluationOptions,
): Promise<FileScore> {
  const documents = await take(source, limit);
  const sum = { nats: 0, tokens: 0, bytes: 0 };
  for (let done = 0; done < documents.length; done += GROUP) {
    signal?.throwIfAborted();
    const group = documents.slice(done, done + GROUP);
    // A group of documents of one token each has nothing to score.
    if (group.some((text) => model.tokenizer.encode(text).length > 1)) {
      const { nats, tokens, bytes } = await model.score(group);
      sum.nats += nats;
      sum.tokens += tokens;
      sum.bytes += bytes;
    }
    onProgress?.({ done: done + group.length, total: documents.length });
  }
  if (sum.tokens === 0) {
    throw new RangeError("No document has two tokens, so there is nothing to score: give others.");
  }
  return {
    documents: documents.length,
    ...sum,
    natsPerToken: sum.nats / sum.tokens,
    bitsPerByte: sum.nats / Math.LN2 / sum.bytes,
  };
}

async function take<T>(source: AsyncIterable<T>, limit: number): Promise<T[]> {
  const items: T[] = [];
  for await (const item of source) {
    if (items.push(item) >= limit) break;
  }
  return items;
}

/** Scripts generated from prompts. */
export interface PromptsScore {
  /** Scripts generated. */
  scripts: number;
  /** Scripts that the model ended itself, within the limit of tokens. */
  finished: number;
  /** Scripts that pass `bash -n`; absent where there is no bash to ask. */
  valid?: number;
  /** Share of them. */
  validShare?: number;
  /** Scripts in which shellcheck finds no error; absent if it was not asked. */
  shellcheck?: number;
  /** Mean number of tokens generated. */
  meanTokens: number;
}

/** Options of {@linkcode scorePrompts}. */
export interface PromptsOptions extends EvaluationOptions {
  /** How to generate. */
  generate?: GenerateOptions;
  /** Temperatures, at each of which every prompt gets its scripts. Default: that of `generate`. */
  temperatures?: number[];
  /** Scripts for each prompt at each temperature. Default 1. */
  repeat?: number;
  /** Ask shellcheck too, at the severity `error`; it takes a tenth of a second a script. */
  shellcheck?: boolean;
}

/** Figures of all scripts, and of those of each temperature where there are several. */
export interface PromptsEvaluation extends PromptsScore {
  /** By temperature. */
  byTemperature?: (PromptsScore & { temperature: number })[];
}

/**
 * Generates scripts for every line of a file and asks `bash -n` about them, which parses and never
 * runs anything. The seed of script i is `seed` + i.
 */
export async function scorePrompts(
  model: Bashling,
  path: string,
  options: PromptsOptions = {},
): Promise<PromptsEvaluation> {
  const { limit = Infinity, signal, onProgress, generate = {}, repeat = 1 } = options;
  const { temperatures = [generate.temperature] } = options;
  const { seed = 0 } = generate;
  const lines = await take(readPrompts(path), limit);
  if (lines.length === 0) {
    throw new RangeError(`${path} holds no prompt: give a file with an English sentence a line.`);
  }
  const bash = await checker("bash", ["-n"]);
  const shellcheck = options.shellcheck
    ? await checker("shellcheck", ["--severity=error", "--shell=bash", "-"])
    : undefined;
  if (options.shellcheck && !shellcheck) {
    throw new Error("shellcheck cannot be run: install it, and allow it with --allow-run.");
  }
  const total = temperatures.length * lines.length * repeat;
  const tallies: Tally[] = [];
  for (const temperature of temperatures) {
    const tally: Tally = { scripts: 0, finished: 0, valid: 0, shellcheck: 0, tokens: 0 };
    tallies.push(tally);
    for (let i = 0; i < lines.length * repeat; i++) {
      const { text, reason, completionTokens } = await collect(
        model.generate(lines[i % lines.length], {
          verdict: false,
          ...generate,
          temperature,
          seed: seed + i,
          signal,
        }),
      );
      signal?.throwIfAborted();
      tally.scripts++;
      tally.tokens += completionTokens;
      if (reason === "stop") tally.finished++;
      if (await bash?.(text)) tally.valid++;
      if (await shellcheck?.(text)) tally.shellcheck++;
      onProgress?.({ done: tallies.reduce((sum, { scripts }) => sum + scripts, 0), total });
    }
  }
  const score = ({ scripts, finished, valid, shellcheck: clean, tokens }: Tally): PromptsScore => ({
    scripts,
    finished,
    ...(bash ? { valid, validShare: valid / scripts } : {}),
    ...(shellcheck ? { shellcheck: clean } : {}),
    meanTokens: tokens / scripts,
  });
  const sum = (key: keyof Tally) => tallies.reduce((total, tally) => total + tally[key], 0);
  const all = {
    scripts: sum("scripts"),
    finished: sum("finished"),
    valid: sum("valid"),
    shellcheck: sum("shellcheck"),
    tokens: sum("tokens"),
  };
  if (temperatures.length === 1) return score(all);
  const byTemperature = tallies.map((tally, i) => ({
    temperature: temperatures[i]!,
    ...score(tally),
  }));
  return { ...score(all), byTemperature };
}

/** Counts over the scripts of one temperature. */
interface Tally {
  scripts: number;
  finished: number;
  valid: number;
  shellcheck: number;
  tokens: number;
}

async function* readPrompts(path: string): AsyncGenerator<string, void, unknown> {
  for await (const { line } of readLines(path)) if (line.trim()) yield line.trim();
}

/**
 * A function that tells whether a script parses, by `bash -n`; `undefined` where there is no bash, or
 * no permission to run it.
 */
export function bashChecker(): Promise<((script: string) => Promise<boolean>) | undefined> {
  return checker("bash", ["-n"]);
}

/** Asks a program about scripts on its stdin; `undefined` if it cannot be run. */
async function checker(
  program: string,
  args: string[],
): Promise<((script: string) => Promise<boolean>) | undefined> {
  const check = async (script: string): Promise<boolean> => {
    const child = new Deno.Command(program, {
      args,
      stdin: "piped",
      stdout: "null",
      stderr: "null",
    }).spawn();
    const writer = child.stdin.getWriter();
    // It may leave before it has read everything, at the first error.
    await writer.write(new TextEncoder().encode(script)).catch(() => {});
    await writer.close().catch(() => {});
    return (await child.status).success;
  };
  try {
    await check(":\n");
    return check;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotCapable) {
      return undefined;
    }
    throw error;
  }
}
