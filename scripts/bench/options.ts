/**
 * The options of `deno task bench`.
 *
 * @module
 */

import { parseArgs } from "@std/cli";
import { UsageError } from "../../src/cli/usage.ts";
import { type ModelConfig, preset, PRESETS } from "../../src/model/config.ts";
import type { AdapterKind } from "./measure.ts";

export const USAGE =
  `Usage: deno task bench [train] [decode] [generate] [streams] [cold] [matmul] [tokenizer] [memory]
       [roofline] [profile] [count] [cost] [options]
       deno task bench gpu [--output DIR] [--only LIST] [--smoke]

Measures what is named; without a name, all of the first line. Each contender is checked before it is
timed; contenders run in turn and their median counts. Close other programs first. docs/BENCHMARKS.md
tells how each figure is measured.

  --backend LIST       our backends: wasm,webgpu (default: both); peers run on these alone
  --vs LIST            peers: llama.cpp,jax-js,tfjs,pytorch,pytorch-compiled,tokenizers,gpt-tokenizer
                       (default: all), or none
  --preset LIST        tiny, small, base, medium, or nano, 2 layers of 32 channels to try things with
                       (default: small)
  --batch-size LIST    sequences of a training step (default: 1, on a GPU 16)
  --length LIST        tokens of a sequence (default: the preset's context)
  --tokens N           tokens decoded in one run (default: 64)
  --streams LIST       numbers of streams at once (default: 1,4,8,16,32; decode: 1, on a GPU 1,64)
  --rounds N           timed runs of each contender (default: 5)
  --steps N            steps of a round on a GPU, which is waited for once at the end (default: 10 on a
                       GPU, 1 on a software adapter)
  --text FILE          what the tokenizers encode (default: the scripts in src/corpus/bash)
  --weights DIR        what generates (default: the shipped weights)
  --growth N           steps, and generations, over which memory must not grow (default: 1000)
  --threads N          threads on a CPU (default: all cores)
  --python COMMAND     the Python that has PyTorch (default: python3)
  --limit SECONDS      cost: start no cell later than this (default: 240); gpu: for all parts together
                       (default: 570)
  --svg FILE           cost: where its figure is written (default: nowhere)
  --output DIR         gpu: where results are written (default: dist/bench/results)
  --only LIST          gpu: the parts to run; other results in the folder stay
  --smoke              gpu: tiny sizes, to see whether everything runs
  --json               print JSON lines alone: one whenever a case has ended, the last with all rows
  --help               print this

A software adapter does about 1 GFLOP/s, as tfjs's cpu backend does: both get one sequence of 64
tokens and fewer decoded ones. What a software adapter scores says nothing about a GPU.`;

/** Benchmarks that run when none is named, in this order. */
const USUAL = [
  "train",
  "decode",
  "generate",
  "streams",
  "cold",
  "matmul",
  "tokenizer",
  "memory",
] as const;

const BENCHES: readonly string[] = [...USUAL, "roofline", "profile", "count", "cost", "gpu"];
const PEERS: string[] = [
  "llama.cpp",
  "jax-js",
  "tfjs",
  "pytorch",
  "pytorch-compiled",
  "tokenizers",
  "gpt-tokenizer",
];

/** What the user asked for; lists that were not given are absent where a benchmark has its own. */
export interface Options {
  benches: readonly string[];
  backends: string[];
  peers: string[];
  presets?: string[];
  batchSizes?: number[];
  lengths?: number[];
  streams?: number[];
  steps?: number;
  tokens: number;
  rounds: number;
  growth: number;
  limit?: number;
  threads?: number;
  python?: string;
  text?: string;
  weights?: string;
  svg?: string;
  output: string;
  only?: string[];
  smoke: boolean;
  json: boolean;
}

/** Tokens in the cache before decoding is timed. */
export const PROMPT_LENGTH = 32;

/** The smallest model, for trying things. */
const NANO: Readonly<ModelConfig> = Object.freeze({
  vocabSize: 320,
  contextLength: 128,
  layers: 2,
  width: 32,
  heads: 2,
});

/**
 * The shape of a preset or of `nano`, with another context if one is given.
 * @throws {RangeError} if there is no such preset.
 */
export function modelShape(name: string, contextLength?: number): ModelConfig {
  const config = name === "nano" ? NANO : preset(name);
  return contextLength === undefined ? config : { ...config, contextLength };
}

const whole = (name: string, text: string): number => {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1) return value;
  throw new UsageError(`--${name} is ${text}, expected a whole number above 0.`);
};

const oneOf = (what: string, names: string[], known: readonly string[]): string[] => {
  const wrong = names.find((name) => !known.includes(name));
  if (wrong === undefined) return names;
  throw new UsageError(`There is no ${what} "${wrong}". Choose from ${known.join(", ")}.`);
};

/**
 * Reads the command line.
 * @throws {UsageError} for what cannot be.
 */
export function parse(args: string[]): Options | "help" {
  const numbers = ["tokens", "rounds", "steps", "growth", "limit", "threads"] as const;
  const lists = ["batch-size", "length", "streams"] as const;
  const texts = [
    "backend",
    "vs",
    "preset",
    "text",
    "weights",
    "python",
    "svg",
    "output",
    "only",
  ] as const;
  const flags = parseArgs(args, {
    boolean: ["json", "help", "smoke"],
    string: [...texts, ...numbers, ...lists],
    unknown: (arg, key) => {
      if (key !== undefined) throw new UsageError(`There is no option ${arg}.`);
    },
  });
  if (flags.help) return "help";
  const number = <Missing>(name: typeof numbers[number], missing: Missing): number | Missing => {
    const text = flags[name];
    return text === undefined ? missing : whole(name, text);
  };
  const list = (name: typeof lists[number]): number[] | undefined =>
    flags[name]?.split(",").map((text) => whole(name, text));
  const presets = flags.preset?.split(",");
  if (presets) oneOf("preset", presets, ["nano", ...Object.keys(PRESETS)]);
  const benches = flags._.length > 0 ? oneOf("benchmark", flags._.map(String), BENCHES) : USUAL;
  const options: Options = {
    benches,
    backends: oneOf("backend", (flags.backend ?? "wasm,webgpu").split(","), ["wasm", "webgpu"]),
    peers: flags.vs === "none" ? [] : oneOf("peer", flags.vs?.split(",") ?? PEERS, PEERS),
    presets,
    batchSizes: list("batch-size"),
    lengths: list("length"),
    streams: list("streams"),
    steps: number("steps", undefined),
    tokens: number("tokens", 64),
    rounds: number("rounds", 5),
    growth: number("growth", 1000),
    limit: number("limit", undefined),
    threads: number("threads", undefined),
    python: flags.python,
    text: flags.text,
    weights: flags.weights,
    svg: flags.svg,
    output: flags.output ?? "dist/bench/results",
    only: flags.only?.split(","),
    smoke: flags.smoke,
    json: flags.json,
  };
  checkContext(options);
  return options;
}

/** Only `cost` may ask for longer contexts: it makes the model anew for each. */
function checkContext({ benches, presets = ["small"], lengths = [], tokens }: Options): void {
  for (const name of presets) {
    const { contextLength } = modelShape(name);
    const long = lengths.find((length) => length > contextLength);
    if (long !== undefined && benches.some((bench) => bench !== "cost")) {
      throw new UsageError(`--length is ${long}, the context of ${name} is ${contextLength}.`);
    }
    if (PROMPT_LENGTH + tokens > contextLength) {
      const most = contextLength - PROMPT_LENGTH;
      throw new UsageError(`--tokens is ${tokens}, expected up to ${most}.`);
    }
  }
}

/**
 * Contenders of a table that the user wants: `wasm`; `tfjs cpu` where `tfjs` is wanted and `wasm`
 * stands for the CPU; `pytorch`, which finds its own device.
 */
export function wanted(
  contenders: Record<string, unknown>,
  { backends, peers }: Options,
): string[] {
  return Object.keys(contenders).filter((contender) => {
    const [name, device] = contender.split(" ");
    if (backends.includes(name)) return true;
    if (device === "webgpu") return peers.includes(name) && backends.includes("webgpu");
    if (device === "wasm" || device === "cpu") {
      return peers.includes(name) && backends.includes("wasm");
    }
    return peers.includes(name);
  });
}

/** One model and one batch to measure. */
export interface Case {
  preset: string;
  config: ModelConfig;
  batchSize: number;
  sequenceLength: number;
}

/** Every combination of the presets, batch sizes and lengths asked for, or what suits the adapter. */
export function cases(options: Options, adapter: AdapterKind): Case[] {
  const isGpu = adapter === "real" && options.backends.includes("webgpu");
  const { presets = ["small"], batchSizes = [isGpu ? 16 : 1], lengths } = options;
  return presets.flatMap((preset) => {
    const config = modelShape(preset);
    return batchSizes.flatMap((batchSize) =>
      (lengths ?? [config.contextLength]).map((sequenceLength) => {
        return { preset, config, batchSize, sequenceLength };
      })
    );
  });
}
