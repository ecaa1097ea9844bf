/**
 * `deno task bench`: speed and memory beside the peers, in one run on one machine. A table, then
 * one JSON line.
 *
 * @module
 */

import { parseArgs } from "@std/cli";
import { UsageError } from "../../src/cli/usage.ts";
import { preset } from "../../src/model/config.ts";
import { benchCold } from "./cold.ts";
import { benchDecode, DECODERS } from "./decode.ts";
import { benchGenerate } from "./generate.ts";
import { benchMatmul, MULTIPLIERS } from "./matmul.ts";
import { adapterKind, reason, type Result, table } from "./measure.ts";
import { benchMemory } from "./memory.ts";
import { benchStreams, STREAM_COUNTS } from "./streams.ts";
import { benchTokenizer, ENCODERS } from "./tokenizer.ts";
import { benchTrain, TRAINEES } from "./train.ts";

const USAGE =
  `Usage: deno task bench [train] [decode] [generate] [streams] [cold] [matmul] [tokenizer] [memory]
       [options]

Measures what is named, or everything. Each contender is checked before it is timed; contenders
run in turn and their median counts. Close other programs first.

  --backend LIST       our backends: wasm,webgpu (default: both)
  --vs LIST            peers: llama.cpp,jax-js,tfjs,tokenizers,gpt-tokenizer (default: all), or none
  --preset NAME        tiny, small, base or medium (default: small)
  --batch-size N       sequences of a training step (default: 1)
  --length N           tokens of a sequence (default: the preset's context)
  --tokens N           tokens decoded in one run (default: 64)
  --rounds N           timed runs of each contender (default: 5)
  --text FILE          what the tokenizers encode (default: the scripts in src/corpus/bash)
  --weights DIR        what generates (default: the shipped weights)
  --streams LIST       numbers of generations at once (default: 1,4,8,16,32)
  --growth N           steps, and generations, over which memory must not grow (default: 1000)
  --threads N          threads of wasm (default: all cores)
  --json               print the JSON line alone
  --help               print this

A software adapter does about 1 GFLOP/s, as tfjs's cpu backend does: both get one sequence of 64
tokens and fewer decoded ones. What a software adapter scores says nothing about a GPU.`;

/** Benchmarks in the order in which they run. */
const BENCHES = [
  "train",
  "decode",
  "generate",
  "streams",
  "cold",
  "matmul",
  "tokenizer",
  "memory",
] as const;

const PEERS: string[] = ["llama.cpp", "jax-js", "tfjs", "tokenizers", "gpt-tokenizer"];

interface Options {
  benches: readonly string[];
  backends: string[];
  peers: string[];
  preset: string;
  batchSize: number;
  length: number;
  tokens: number;
  rounds: number;
  growth: number;
  threads?: number;
  text?: string;
  weights?: string;
  streams: readonly number[];
  json: boolean;
}

function parse(args: string[]): Options | "help" {
  const numbers = ["batch-size", "length", "tokens", "rounds", "growth", "threads"] as const;
  const flags = parseArgs(args, {
    boolean: ["json", "help"],
    string: ["backend", "vs", "preset", "text", "weights", "streams", ...numbers],
    unknown: (arg, key) => {
      if (key !== undefined) throw new UsageError(`There is no option ${arg}.`);
    },
  });
  if (flags.help) return "help";
  const whole = (name: string, text: string): number => {
    const value = Number(text);
    if (Number.isInteger(value) && value >= 1) return value;
    throw new UsageError(`--${name} is ${text}, expected a whole number above 0.`);
  };
  const number = (name: typeof numbers[number], missing: number): number => {
    const text = flags[name];
    return text === undefined ? missing : whole(name, text);
  };
  const oneOf = (what: string, names: string[], known: readonly string[]): string[] => {
    const wrong = names.find((name) => !known.includes(name));
    if (wrong === undefined) return names;
    throw new UsageError(`There is no ${what} "${wrong}". Choose from ${known.join(", ")}.`);
  };
  const name = flags.preset ?? "small";
  const { contextLength } = preset(name);
  const length = number("length", contextLength);
  if (length > contextLength) {
    throw new UsageError(`--length is ${length}, the model's context is ${contextLength}.`);
  }
  const tokens = number("tokens", 64);
  if (PROMPT_LENGTH + tokens > contextLength) {
    throw new UsageError(`--tokens is ${tokens}, expected up to ${contextLength - PROMPT_LENGTH}.`);
  }
  return {
    benches: flags._.length > 0 ? oneOf("benchmark", flags._.map(String), BENCHES) : BENCHES,
    backends: oneOf("backend", (flags.backend ?? "wasm,webgpu").split(","), ["wasm", "webgpu"]),
    peers: flags.vs === "none" ? [] : oneOf("peer", flags.vs?.split(",") ?? PEERS, PEERS),
    preset: name,
    batchSize: number("batch-size", 1),
    length,
    tokens,
    rounds: number("rounds", 5),
    growth: number("growth", 1000),
    threads: flags.threads === undefined ? undefined : number("threads", 1),
    text: flags.text,
    weights: flags.weights,
    streams: flags.streams?.split(",").map((text) => whole("streams", text)) ?? STREAM_COUNTS,
    json: flags.json,
  };
}

/** Tokens in the cache before decoding is timed. */
const PROMPT_LENGTH = 32;

/** Contenders of a table that the user wants: `wasm`, or `tfjs cpu` where `tfjs` is wanted. */
function wanted(contenders: Record<string, unknown>, { backends, peers }: Options): string[] {
  const names = [...backends, ...peers];
  return Object.keys(contenders).filter((contender) => names.includes(contender.split(" ")[0]));
}

async function run(bench: string, options: Options): Promise<Result[]> {
  const { preset: name, batchSize, length: sequenceLength, rounds, threads } = options;
  const config = preset(name);
  const shared = { config, rounds, threads };
  switch (bench) {
    case "train": {
      const contenders = wanted(TRAINEES, options);
      return await benchTrain({ ...shared, contenders, batchSize, sequenceLength });
    }
    case "decode": {
      const contenders = wanted(DECODERS, options);
      const { tokens } = options;
      return await benchDecode({ ...shared, contenders, tokens, promptLength: PROMPT_LENGTH });
    }
    case "generate": {
      return await benchGenerate({ rounds, threads, weights: options.weights });
    }
    case "streams": {
      return await benchStreams({
        counts: options.streams,
        rounds,
        threads,
        weights: options.weights,
        llama: options.peers.includes("llama.cpp"),
      });
    }
    case "cold": {
      const llama = options.peers.includes("llama.cpp");
      return await benchCold({ rounds, threads, weights: options.weights, llama });
    }
    case "matmul": {
      const contenders = wanted(MULTIPLIERS, options);
      return await benchMatmul({ ...shared, contenders, rows: batchSize * sequenceLength });
    }
    case "tokenizer": {
      const contenders = Object.keys(ENCODERS).filter((contender, i) =>
        i === 0 || options.peers.includes(contender)
      );
      return await benchTokenizer({ contenders, rounds, text: options.text });
    }
    default: {
      // The size of the promise: a batch of 8 whole contexts.
      const task = { preset: name, batchSize: 8, sequenceLength: config.contextLength };
      return await benchMemory({
        ...task,
        growthSteps: options.growth,
        threads,
        weights: options.weights,
      });
    }
  }
}

if (import.meta.main) {
  let options: Options | "help";
  try {
    options = parse(Deno.args);
  } catch (error) {
    console.error(`${reason(error)} See deno task bench --help.`);
    Deno.exit(2);
  }
  if (options === "help") {
    console.log(USAGE);
    Deno.exit();
  }
  const results: Result[] = [];
  let failed = false;
  for (const bench of options.benches) {
    console.error(`${bench} …`);
    try {
      results.push(...await run(bench, options));
    } catch (error) {
      failed = true;
      console.error(`${bench} failed: ${reason(error)}`);
    }
  }
  const { preset, batchSize, length, rounds } = options;
  const machine = {
    deno: Deno.version.deno,
    target: Deno.build.target,
    cores: navigator.hardwareConcurrency,
    adapter: await adapterKind(),
  };
  if (!options.json) console.log(`${table(results)}\n`);
  console.log(JSON.stringify({ machine, preset, batchSize, length, rounds, results }));
  Deno.exit(failed ? 1 : 0); // peers leave workers behind
}
