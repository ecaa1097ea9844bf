/**
 * Decoding with llama.cpp, through the prebuilt library of node-llama-cpp: a peer of the decoding
 * benchmark.
 *
 * Its binding is driven without the package around it. That package (`LlamaContextSequence.evaluate`)
 * reaches three quarters of this speed on a model so small, and depends on the libraries of every
 * platform and GPU, 700 MB of which Deno would download.
 *
 * @module
 */

import { createRequire } from "node:module";
import process from "node:process";
import type { Weights } from "../../../src/model/weights.ts";
import { median } from "../measure.ts";
import { type GgufMatrixType, writeGguf } from "./gguf.ts";

/** What is used of the library's binding; node-llama-cpp has the whole in `bindings/AddonTypes.d.ts`. */
export interface Binding {
  loadBackends(folder?: string): void;
  setLogger(logger: (level: number, message: string) => void): void;
  setLoggerLogLevel(level: number): void;
  init(): Promise<void>;
  AddonModel: new (
    path: string,
    options: { addonExports: Binding; gpuLayers: number; useMmap: boolean },
  ) => Model;
  AddonContext: new (model: Model, options: {
    contextSize: number;
    batchSize: number;
    sequences: number;
    threads: number;
    flashAttention: "auto";
  }) => Context;
  AddonSampler: new (model: Model) => Sampler;
}

/** Weights that are loaded. */
export interface Model {
  init(): Promise<boolean>;
  dispose(): Promise<void>;
}

/** Draws tokens. */
export interface Sampler {
  applyConfig(config: { temperature: number }): void;
  dispose(): void;
}

/** A cache of several sequences, and a batch of tokens for them. */
export interface Context {
  init(): Promise<boolean>;
  dispose(): Promise<void>;
  setThreads(threads: number): void;
  initBatch(size: number): void;
  /** Returns places of logits, one for each of `wanted`, to sample from. */
  addToBatch(
    sequence: number,
    position: number,
    tokens: Uint32Array,
    wanted: Uint32Array,
  ): Uint32Array;
  decodeBatch(): Promise<void>;
  sampleToken(place: number, sampler: Sampler): Promise<number>;
  /** The second element holds ids and probabilities in turn. */
  sampleToken(
    place: number,
    sampler: Sampler,
    probabilities: true,
  ): Promise<[number, number[], unknown]>;
  removeTokenCellsFromSequence(sequence: number, from: number, to: number): boolean;
}

/** Number of the binding's log level that leaves errors only. */
const ERRORS_ONLY = 2;

/** Options of {@linkcode LlamaDecoder.open}. */
export interface LlamaOptions {
  /** L, longest context in tokens. */
  contextLength: number;
  /** Number of threads; {@linkcode LlamaDecoder.tune} changes it. */
  threads: number;
}

/**
 * Largest error of a log-probability, relative to the spread of the logits, by type of the matrices.
 *
 * F32: llama.cpp rounds keys, values and both sides of GELU to f16, each by up to 2⁻¹¹ = 0.0005, and
 * 0.0003 was measured. Q8_0: weights and activations both lose up to 1/254 of their block's largest
 * element in every product, about 0.008 of a product's deviation; over all blocks, and in the
 * unluckiest of 8,000 logits, 0.011 was measured.
 */
export const LLAMA_TOLERANCE: Record<Exclude<GgufMatrixType, "F16">, number> = {
  F32: 1e-3,
  Q8_0: 3e-2,
};

/** What {@linkcode LlamaDecoder.checked} compares with. */
export interface Expected {
  /** Tokens, two at least. */
  prompt: Uint32Array;
  /** The logits after them (V). */
  logits: Float32Array;
}

/** One stream with a cache of L positions, greedy. */
export class LlamaDecoder implements AsyncDisposable {
  readonly #model: Model;
  readonly #context: Context;
  readonly #greedy: Sampler;
  #threads: number;

  private constructor(model: Model, context: Context, greedy: Sampler, threads: number) {
    this.#model = model;
    this.#context = context;
    this.#greedy = greedy;
    this.#threads = threads;
    greedy.applyConfig({ temperature: 0 });
  }

  /**
   * Loads a GGUF file.
   * @throws {Error} if llama.cpp cannot be had here, or does not take the file.
   */
  static async open(path: string, options: LlamaOptions): Promise<LlamaDecoder> {
    const { contextLength, threads } = options;
    const binding = await loadBinding();
    // Without mmap the weights are copied, and may be laid out anew for this machine's kernels.
    const model = new binding.AddonModel(path, {
      addonExports: binding,
      gpuLayers: 0,
      useMmap: false,
    });
    if (!await model.init()) throw new Error("llama.cpp does not take our GGUF file");
    const context = new binding.AddonContext(model, {
      contextSize: contextLength,
      batchSize: contextLength,
      sequences: 1,
      threads,
      flashAttention: "auto",
    });
    if (!await context.init()) {
      await model.dispose();
      throw new Error(`llama.cpp cannot make a context of ${contextLength} tokens`);
    }
    return new LlamaDecoder(model, context, new binding.AddonSampler(model), threads);
  }

  /**
   * Makes a decoder with Q8_0 matrices whose cache holds the prompt but for its last token, after it
   * has given the expected probabilities: closely with F32 matrices, so that our file is known to
   * say the same model, then with Q8_0. It has the fastest number of threads up to `threads`.
   *
   * @throws {Error} if a probability is off, or llama.cpp cannot be had here.
   */
  static async checked(
    weights: Pick<Weights, "config" | "parameters" | "tokenizerJson">,
    { prompt, logits }: Expected,
    threads: number,
  ): Promise<LlamaDecoder> {
    const last = prompt.length - 1;
    const load = async (type: keyof typeof LLAMA_TOLERANCE): Promise<LlamaDecoder> => {
      const { contextLength } = weights.config;
      const decoder = await withGguf(
        weights,
        type,
        (path) => LlamaDecoder.open(path, { contextLength, threads }),
      );
      await decoder.tune(threads);
      await decoder.prefill(prompt.subarray(0, last));
      const error = probabilityError(await decoder.probabilities(prompt[last], last), logits);
      if (error <= LLAMA_TOLERANCE[type]) return decoder;
      await decoder[Symbol.asyncDispose]();
      throw new Error(`its probabilities with ${type} are off by ${error} of the logits' spread`);
    };
    await (await load("F32"))[Symbol.asyncDispose]();
    return await load("Q8_0");
  }

  /** What computes, in words. */
  get description(): string {
    const { threads } = this;
    return `llama.cpp, Q8_0, ${threads} ${threads === 1 ? "thread" : "threads"}`;
  }

  /** Number of threads. */
  get threads(): number {
    return this.#threads;
  }

  /** Evaluates tokens at `position`, `position` + 1, …; returns where the last one's logits are. */
  async #evaluate(tokens: Uint32Array, position: number, head: boolean): Promise<number> {
    const context = this.#context;
    context.initBatch(tokens.length);
    const wanted = head ? Uint32Array.of(tokens.length - 1) : new Uint32Array();
    const [place] = context.addToBatch(0, position, tokens, wanted);
    await context.decodeBatch();
    return place;
  }

  /** Empties the cache from `position` on: llama.cpp does not write over what it holds. */
  #rewind(position: number): void {
    if (!this.#context.removeTokenCellsFromSequence(0, position, -1)) {
      throw new Error(`llama.cpp cannot go back to position ${position}`);
    }
  }

  /** Puts `tokens` into the empty cache. */
  async prefill(tokens: Uint32Array): Promise<void> {
    this.#rewind(0);
    await this.#evaluate(tokens, 0, false);
  }

  /** Puts `token` into the cache at `position`; returns the probability of each next token (V). */
  async probabilities(token: number, position: number): Promise<Float32Array> {
    this.#rewind(position);
    const place = await this.#evaluate(Uint32Array.of(token), position, true);
    const [, pairs] = await this.#context.sampleToken(place, this.#greedy, true);
    const probabilities = new Float32Array(pairs.length / 2);
    for (let i = 0; i < pairs.length; i += 2) probabilities[pairs[i]] = pairs[i + 1];
    return probabilities;
  }

  /** Puts `token` into the cache at `position`, then draws the likeliest token `count` times. */
  async decode(token: number, position: number, count: number): Promise<Uint32Array> {
    this.#rewind(position);
    const drawn = new Uint32Array(count), input = Uint32Array.of(token);
    for (let i = 0; i < count; i++) {
      const place = await this.#evaluate(input, position + i, true);
      drawn[i] = input[0] = await this.#context.sampleToken(place, this.#greedy);
    }
    return drawn;
  }

  /**
   * Finds the fastest of 1, 2, 4 … `most` threads and stays with it. More are often slower: the
   * library starts its threads anew for every token, and they wait for one another spinning.
   */
  async tune(most: number, rounds: number = 5, tokens: number = 16): Promise<void> {
    let best = Infinity, chosen = 1;
    for (let threads = 1; threads <= most; threads = Math.min(2 * threads, most)) {
      this.#context.setThreads(threads);
      const times: number[] = [];
      for (let round = -1; round < rounds; round++) {
        const start = performance.now();
        await this.decode(0, 0, tokens);
        if (round >= 0) times.push(performance.now() - start);
      }
      const time = median(times);
      if (time < best) [best, chosen] = [time, threads];
      if (threads === most) break;
    }
    this.#context.setThreads(chosen);
    this.#threads = chosen;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#greedy.dispose();
    await this.#context.dispose();
    await this.#model.dispose();
  }
}

/** Lends the path of a GGUF file, which is gone afterwards. */
export async function withGguf<T>(
  weights: Pick<Weights, "config" | "parameters" | "tokenizerJson">,
  type: GgufMatrixType,
  use: (path: string) => Promise<T>,
): Promise<T> {
  const path = await Deno.makeTempFile({ suffix: ".gguf" });
  try {
    await Deno.writeFile(path, writeGguf(weights, type));
    return await use(path);
  } finally {
    await Deno.remove(path);
  }
}

/** Largest error of log-probabilities, relative to the spread of the expected logits. */
export function probabilityError(probabilities: Float32Array, logits: Float32Array): number {
  let most = -Infinity, least = Infinity, sum = 0, error = 0;
  for (const logit of logits) {
    most = Math.max(most, logit);
    least = Math.min(least, logit);
  }
  for (const logit of logits) sum += Math.exp(logit - most);
  const normalizer = most + Math.log(sum);
  // NaN must not pass as no error.
  for (let id = 0; id < logits.length; id++) {
    const off = Math.abs(Math.log(probabilities[id]) - (logits[id] - normalizer));
    if (!(off <= error)) error = off;
  }
  return error / (most - least);
}

let loading: Promise<Binding> | undefined;

/** Loads the library once. */
export function loadBinding(): Promise<Binding> {
  return loading ??= (async () => {
    if (process.platform !== "linux" || process.arch !== "x64") {
      throw new Error("llama.cpp is raced on Linux x64 only: its library there is a pinned one");
    }
    const { getBinsDir } = await import("npm:@node-llama-cpp/linux-x64@3.22.1");
    const folder = `${getBinsDir().binsDir}/linux-x64`;
    const binding: Binding = createRequire(import.meta.url)(`${folder}/llama-addon.node`);
    binding.setLogger((_level, message) => console.error(`llama.cpp: ${message.trimEnd()}`));
    binding.setLoggerLogLevel(ERRORS_ONLY);
    binding.loadBackends(folder);
    await binding.init();
    return binding;
  })();
}
