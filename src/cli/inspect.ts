/**
 * `bashling inspect`.
 *
 * @module
 */

import { parameterLayout } from "../model/parameters.ts";
import { openFolder, readJson } from "../model/shards.ts";
import { SHIPPED_WEIGHTS } from "../model/shipped.ts";
import { loadWeights } from "../model/weights.ts";
import { Tokenizer } from "../tokenizer/tokenizer.ts";
import { COMMON_FLAGS, Flags } from "./flags.ts";
import { bytesText, grouped, table, writeOut } from "./output.ts";
import { UsageError } from "./usage.ts";

/** Text of `bashling inspect --help`. */
export const INSPECT_HELP = `Show what is in a folder of weights or a checkpoint.

Usage: bashling inspect [options] [DIR]       (the shipped weights)

  --parameters               list every parameter: name, shape, elements, mean, deviation
  --json                     one line of JSON
${COMMON_FLAGS}`;

/** A parameter in numbers. */
interface ParameterSummary {
  name: string;
  shape: number[];
  elements: number;
  mean: number;
  deviation: number;
}

/** Runs `bashling inspect`. */
export async function inspect(args: string[]): Promise<number> {
  const flags = new Flags("inspect", INSPECT_HELP, args);
  if (flags.positional.length > 1) {
    throw new UsageError(`inspect takes one folder, not ${flags.positional.length}: give one.`);
  }
  const source = flags.positional[0] ?? SHIPPED_WEIGHTS;
  const { config, parameters, tokenizerJson, generation } = await loadWeights(source);
  const folder = openFolder(source);
  const state = await readJson(folder, "trainer_state.json");
  const files = await fileSizes(source);
  const layout = parameterLayout(config);
  const tokenizer = Tokenizer.fromJSON(tokenizerJson);
  const summaries = layout.specs.map(({ name, shape, offset, size }): ParameterSummary => {
    const { mean, deviation } = moments(parameters.subarray(offset, offset + size));
    return { name, shape, elements: size, mean, deviation };
  });
  const longest = longestTokens(tokenizer, 8);
  if (flags.has("json")) {
    writeOut(
      JSON.stringify({
        folder: folder.name,
        config,
        parameters: layout.count,
        generation,
        tokenizer: { tokens: tokenizer.vocabSize, endOfText: tokenizer.endOfText, longest },
        step: state?.step,
        files,
        tensors: summaries,
      }) + "\n",
    );
    return 0;
  }
  writeOut(table([
    ["folder", folder.name],
    ["parameters", grouped(layout.count)],
    ["layers", grouped(config.layers)],
    ["width", grouped(config.width)],
    ["heads", `${config.heads} of ${config.width / config.heads}`],
    ["context", `${grouped(config.contextLength)} tokens`],
    ["vocabulary", `${grouped(config.vocabSize)} tokens`],
    ["longest tokens", longest.map((text) => JSON.stringify(text)).join(" ")],
    [
      "generates",
      `${generation.maxTokens} tokens, temperature ${generation.temperature}, ` +
      `top-k ${generation.topK}, top-p ${generation.topP}`,
    ],
    ...(state ? [["checkpoint", `of step ${state.step}`]] : []),
  ]));
  if (files) {
    writeOut("\n" + table(files.map(({ name, bytes }) => [name, bytesText(bytes)])));
  }
  if (flags.has("parameters")) {
    const rows = summaries.map(({ name, shape, elements, mean, deviation }) => [
      name,
      shape.join("×"),
      elements,
      mean.toFixed(5),
      deviation.toFixed(5),
    ]);
    writeOut("\n" + table([["name", "shape", "elements", "mean", "deviation"], ...rows]));
  }
  return 0;
}

/** Files of a local folder by name. */
async function fileSizes(
  source: string | URL,
): Promise<{ name: string; bytes: number }[] | undefined> {
  if (/^https?:/.test(String(source))) return undefined;
  const isUrl = source instanceof URL || source.startsWith("file:");
  const path = isUrl ? new URL(source) : source.replace(/(?<=.)\/+$/, "");
  const files: { name: string; bytes: number }[] = [];
  for await (const { name, isFile } of Deno.readDir(path)) {
    if (!isFile) continue;
    const file = path instanceof URL ? new URL(name, path) : `${path}/${name}`;
    files.push({ name, bytes: (await Deno.stat(file)).size });
  }
  return files.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Mean and standard deviation. */
function moments(values: Float32Array): { mean: number; deviation: number } {
  let sum = 0, squares = 0;
  for (const value of values) {
    sum += value;
    squares += value * value;
  }
  const mean = sum / values.length;
  return { mean, deviation: Math.sqrt(Math.max(0, squares / values.length - mean * mean)) };
}

/** Texts of the tokens with the most bytes. */
function longestTokens(tokenizer: Tokenizer, count: number): string[] {
  const ids = Array.from({ length: tokenizer.vocabSize }, (_, id) => id)
    .filter((id) => id !== tokenizer.endOfText);
  ids.sort((a, b) => tokenizer.byteLength(b) - tokenizer.byteLength(a) || a - b);
  return ids.slice(0, count).map((id) => tokenizer.decode([id]));
}
