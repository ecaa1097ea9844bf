/**
 * Tokens per second of whole generations, from prompt to script, and what keeping them valid costs.
 *
 * @module
 */

import { collect } from "../../src/generator/choose.ts";
import { Bashling } from "../../src/generator/generator.ts";
import type { GenerateOptions } from "../../src/generator/options.ts";
import { median, type Result } from "./measure.ts";

/** Options of {@linkcode benchGenerate}. */
export interface GenerateBenchOptions {
  /** Folder of the weights; the shipped ones if absent. */
  weights?: string;
  /** Timed rounds. */
  rounds: number;
  /** Threads of wasm; all cores if absent. */
  threads?: number;
}

/** How scripts are generated, by contender. */
const MODES: Record<string, GenerateOptions> = {
  "syntax off": { syntax: "off" },
  "syntax enforce": { syntax: "enforce" },
};

/** Scripts of one round. */
const SCRIPTS = 20;

const PROMPTS = [
  "Create a backup script",
  "List the ten largest files in a directory",
  "Check disk usage and warn when it is above 90 percent",
  "Restart nginx if it is not running",
];

/**
 * Generates scripts of up to 200 tokens with default options in each mode, in turn. The scripts
 * differ, because enforcing changes draws, so what counts is the time of a token.
 */
export async function benchGenerate(options: GenerateBenchOptions): Promise<Result[]> {
  const { weights, rounds, threads } = options;
  using model = await Bashling.load({ weights, threads, backend: "wasm" });
  const names = Object.keys(MODES);
  const tokens: number[][] = names.map(() => []), bytes: number[][] = names.map(() => []);
  const utf8 = new TextEncoder();
  for (let round = -1; round < rounds; round++) {
    for (const [i, name] of names.entries()) {
      let drawn = 0, written = 0;
      const start = performance.now();
      for (let seed = 0; seed < SCRIPTS; seed++) {
        const { text, completionTokens } = await collect(
          model.generate(PROMPTS[seed % PROMPTS.length], {
            ...MODES[name],
            verdict: false,
            seed: (round + 1) * SCRIPTS + seed,
          }),
        );
        drawn += completionTokens;
        written += utf8.encode(text).length;
      }
      const seconds = (performance.now() - start) / 1000;
      if (round < 0) continue;
      tokens[i].push(drawn / seconds);
      bytes[i].push(written / seconds);
    }
  }
  const { layers, width } = model.config;
  return names.map((contender, i) => ({
    bench: "generate",
    contender,
    input: `${SCRIPTS} scripts, ${layers} layers × ${width}`,
    value: median(tokens[i]),
    unit: "tokens/s",
    note: `${
      Math.round(median(bytes[i]))
    } bytes of script per second; ${model.backend.description}`,
  }));
}
