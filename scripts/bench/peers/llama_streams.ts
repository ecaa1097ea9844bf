/**
 * Decoding of many sequences at once with llama.cpp, one batch a step: a peer of the benchmark of
 * streams. As in `llama_decode.ts` the library's binding is driven without the package around it.
 *
 * @module
 */

import { median } from "../measure.ts";
import {
  type Context,
  LLAMA_TOLERANCE,
  loadBinding,
  type Model,
  probabilityError,
  type Sampler,
} from "./llama_decode.ts";

/** Options of {@linkcode LlamaStreams.open}. */
export interface LlamaStreamsOptions {
  /** L, longest context of a sequence in tokens. */
  contextLength: number;
  /** Sequences that share a step. */
  streams: number;
  /** Most threads. */
  threads: number;
  /** Tokens before what is decoded, two at least. */
  prompt: Uint32Array;
  /** The logits after them (V), which Q8_0 must come near. */
  expected: Float32Array;
}

/** Sequences that all begin with the same prompt, greedy. */
export class LlamaStreams implements AsyncDisposable {
  readonly #model: Model;
  readonly #context: Context;
  readonly #greedy: Sampler;
  readonly #streams: number;
  readonly #prompt: Uint32Array;
  #threads = 1;

  private constructor(
    model: Model,
    context: Context,
    greedy: Sampler,
    { streams, prompt }: LlamaStreamsOptions,
  ) {
    this.#model = model;
    this.#context = context;
    this.#greedy = greedy;
    this.#streams = streams;
    this.#prompt = prompt;
    greedy.applyConfig({ temperature: 0 });
  }

  /**
   * Loads a GGUF file with Q8_0 matrices, checks the probabilities after the prompt, and finds the
   * fastest number of threads.
   * @throws {Error} if llama.cpp cannot be had here, or a probability is off.
   */
  static async open(path: string, options: LlamaStreamsOptions): Promise<LlamaStreams> {
    const { contextLength, streams, threads, prompt } = options;
    const binding = await loadBinding();
    const model = new binding.AddonModel(path, {
      addonExports: binding,
      gpuLayers: 0,
      useMmap: false,
    });
    if (!await model.init()) throw new Error("llama.cpp does not take our GGUF file");
    const context = new binding.AddonContext(model, {
      contextSize: contextLength * streams,
      batchSize: Math.max(streams, prompt.length),
      sequences: streams,
      threads,
      flashAttention: "auto",
    });
    if (!await context.init()) {
      await model.dispose();
      throw new Error(`llama.cpp cannot make a context of ${streams} × ${contextLength} tokens`);
    }
    const made = new LlamaStreams(model, context, new binding.AddonSampler(model), options);
    try {
      await made.#check(options.expected);
      await made.#tune(threads);
    } catch (error) {
      await made[Symbol.asyncDispose]();
      throw error;
    }
    return made;
  }

  /** What computes, in words. */
  get description(): string {
    const threads = this.#threads;
    return `llama.cpp, Q8_0, ${threads} ${threads === 1 ? "thread" : "threads"}`;
  }

  /** Puts the prompt but for its last token into the cache of each sequence, and nothing else. */
  async #prefill(): Promise<void> {
    const context = this.#context, tokens = this.#prompt.subarray(0, -1);
    for (let sequence = 0; sequence < this.#streams; sequence++) {
      if (!context.removeTokenCellsFromSequence(sequence, 0, -1)) {
        throw new Error(`llama.cpp cannot empty the cache of sequence ${sequence}`);
      }
      context.initBatch(tokens.length);
      context.addToBatch(sequence, 0, tokens, new Uint32Array());
      await context.decodeBatch();
    }
  }

  /** Advances all sequences by a token each; returns where their logits are. */
  async #step(tokens: ArrayLike<number>, position: number): Promise<number[]> {
    const context = this.#context;
    context.initBatch(tokens.length);
    const places = Array.from(
      tokens,
      (token, sequence) =>
        context.addToBatch(sequence, position, Uint32Array.of(token), Uint32Array.of(0))[0],
    );
    await context.decodeBatch();
    return places;
  }

  /** Checks the probabilities of the last sequence while all of them are in the batch. */
  async #check(expected: Float32Array): Promise<void> {
    await this.#prefill();
    const last = this.#prompt.length - 1;
    const tokens = new Uint32Array(this.#streams).fill(this.#prompt[last]);
    const places = await this.#step(tokens, last);
    const [, pairs] = await this.#context.sampleToken(places.at(-1)!, this.#greedy, true);
    const probabilities = new Float32Array(pairs.length / 2);
    for (let i = 0; i < pairs.length; i += 2) probabilities[pairs[i]] = pairs[i + 1];
    const error = probabilityError(probabilities, expected);
    if (error <= LLAMA_TOLERANCE.Q8_0) return;
    throw new Error(`its probabilities are off by ${error} of the logits' spread`);
  }

  async #tune(most: number): Promise<void> {
    let best = Infinity, chosen = 1;
    for (let threads = 1; threads <= most; threads++) {
      this.#context.setThreads(threads);
      const times: number[] = [];
      for (let round = -1; round < 3; round++) {
        const { seconds } = await this.decode(8);
        if (round >= 0) times.push(seconds);
      }
      if (median(times) < best) [best, chosen] = [median(times), threads];
    }
    this.#context.setThreads(chosen);
    this.#threads = chosen;
  }

  /** Draws the likeliest token of each sequence `count` times; the prompt's time does not count. */
  async decode(count: number): Promise<{ seconds: number; latencies: number[] }> {
    await this.#prefill();
    const last = this.#prompt.length - 1, latencies: number[] = [];
    let tokens: ArrayLike<number> = new Uint32Array(this.#streams).fill(this.#prompt[last]);
    const start = performance.now();
    for (let i = 0, before = start; i < count; i++) {
      const places = await this.#step(tokens, last + i);
      tokens = await Promise.all(
        places.map((place) => this.#context.sampleToken(place, this.#greedy)),
      );
      const now = performance.now();
      latencies.push(now - before);
      before = now;
    }
    return { seconds: (performance.now() - start) / 1000, latencies };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#greedy.dispose();
    await this.#context.dispose();
    await this.#model.dispose();
  }
}
