/**
 * The model as a library: load it, then generate, complete and score.
 *
 * @module
 */

import type { BackendName } from "../backend/backend.ts";
import type { Batch } from "../corpus/batches.ts";
import type { ModelConfig } from "../model/config.ts";
import { SHIPPED_WEIGHTS } from "../model/shipped.ts";
import { type GenerationConfig, loadInt8Weights, loadWeights } from "../model/weights.ts";
import { Tokenizer } from "../tokenizer/tokenizer.ts";
import { chooseScript, type Script } from "./choose.ts";
import { type InferenceEngine, prepareEngine } from "./engine.ts";
import { Generation, type GenerationResult, type Piece } from "./generation.ts";
import {
  checkCompleteOptions,
  checkOptions,
  type CompleteOptions,
  type GenerateOptions,
} from "./options.ts";
import { promptTokens, scriptBeginning } from "./prompt.ts";
import { Streams } from "./streams.ts";

/**
 * Options of {@linkcode Bashling.load}.
 *
 * @example Weights of one's own, on two threads
 * ```ts
 * import { Bashling } from "@bashling/bashling";
 *
 * using model = await Bashling.load({ weights: "weights", backend: "wasm", threads: 2 });
 * console.log(model.backend.description);
 * ```
 */
export interface LoadOptions {
  /** Folder of the weights: a path, or a `file:`, `http:` or `https:` URL. Default: the shipped. */
  weights?: string | URL;
  /** What computes. Default `auto`: whatever is fastest here for this many streams. */
  backend?: "auto" | "wasm" | "webgpu" | "reference" | "tfjs";
  /**
   * Bits of the weights: `int8` or `f32`. Default `auto`: 8 bits on wasm, where decoding is bound by
   * reading them, f32 elsewhere.
   */
  precision?: "auto" | "int8" | "f32";
  /** Generations that run at once; more of them wait their turn. 1 to 256, default 1. */
  streams?: number;
  /** Threads of the WebAssembly backend. Default: all cores. */
  threads?: number;
}

/** How well a text was foreseen. */
export interface Score {
  /** Negative log-probability of the scored tokens in nats. */
  nats: number;
  /** Tokens scored: all but each document's first. */
  tokens: number;
  /** Bytes of UTF-8 that the scored tokens stand for. */
  bytes: number;
  /** nats / ln 2 / bytes, which compares across tokenizers. */
  bitsPerByte: number;
}

/**
 * A language model that reads English and writes bash.
 *
 * Calls may overlap: each generation has a stream of its own, and those that find none free wait in
 * the order in which they came. A generation holds its stream until it ends or its loop is left.
 *
 * @example
 * ```ts
 * import { Bashling } from "@bashling/bashling";
 *
 * using model = await Bashling.load();
 * const options = { seed: 1, maxTokens: 40 };
 * for await (const piece of model.generate("Create a backup script", options)) {
 *   console.log(piece.text);
 * }
 * ```
 */
export class Bashling implements Disposable, AsyncDisposable {
  /** Shape of the model. */
  readonly config: Readonly<ModelConfig>;
  /** Its tokenizer. */
  readonly tokenizer: Tokenizer;
  /** What computes, and why it was chosen. */
  readonly backend: { name: BackendName | "tfjs"; description: string; reason: string };
  /** SHA-256 of the file of its parameters, which tells which weights these are. */
  readonly fingerprint: string;
  /** How it generates unless told otherwise. */
  readonly generation: Readonly<GenerationConfig>;
  readonly #engine: InferenceEngine;
  readonly #streams: Streams;
  /** The last call of `score`; calls wait for one another. */
  #scoring: Promise<unknown> = Promise.resolve();
  #disposed = false;

  private constructor(
    engine: InferenceEngine,
    { config, generation, fingerprint }: {
      config: ModelConfig;
      generation: GenerationConfig;
      fingerprint: string;
    },
    tokenizer: Tokenizer,
  ) {
    const { name, description, reason } = engine;
    this.config = Object.freeze({ ...config });
    this.tokenizer = tokenizer;
    this.backend = { name, description, reason };
    this.#engine = engine;
    this.generation = Object.freeze({ ...generation });
    this.fingerprint = fingerprint;
    this.#streams = new Streams(engine.decoder);
  }

  /**
   * Loads a model.
   * @throws {TypeError | RangeError} if an option is wrong.
   * @throws {Deno.errors.NotFound} if a file is missing.
   * @throws {SyntaxError | RangeError} if the weights are damaged or not a GPT-2 model's.
   * @throws {Error} if the backend asked for cannot run here.
   *
   * @example
   * ```ts
   * import { Bashling } from "@bashling/bashling";
   *
   * using model = await Bashling.load(); // gives memory and threads back at the end of the block
   * console.log(model.config, model.backend);
   * ```
   */
  static async load(options: LoadOptions = {}): Promise<Bashling> {
    const { weights = SHIPPED_WEIGHTS, backend: choice = "auto", streams = 1, threads } = options;
    const { precision = "auto" } = options;
    if (!Number.isInteger(streams) || streams < 1 || streams > 256) {
      throw new RangeError(`streams is ${streams}, expected a whole number from 1 to 256.`);
    }
    // What is most often wanted is read while the backend starts.
    const early = precision !== "f32" && (choice === "auto" || choice === "wasm")
      ? loadInt8Weights(weights)
      : undefined;
    early?.catch(() => {}); // told below
    const prepared = await prepareEngine({ backend: choice, precision, streams, threads });
    try {
      const read = prepared.precision === "f32"
        ? await loadWeights(weights)
        : await (early ?? loadInt8Weights(weights));
      const tokenizer = Tokenizer.fromJSON(read.tokenizerJson);
      const parameters = "model" in read ? { model: await read.model } : read;
      const engine = await prepared.make(read.config, parameters);
      return new Bashling(engine, { ...read, fingerprint: await read.fingerprint }, tokenizer);
    } catch (error) {
      prepared[Symbol.dispose]();
      throw error;
    }
  }

  /**
   * Generates a script piece by piece. The pieces joined are the whole script, its shebang and its
   * comment included; the value that the generator returns tells why it ended. The same seed gives
   * the same script on the same backend.
   *
   * @param prompt English, or the beginning of a script: a text that starts with `#`.
   * @throws {TypeError | RangeError} if the prompt or an option is wrong, or the prompt is longer
   * than the context leaves room for.
   * @throws {SyntaxError} if the prompt is a beginning that no valid script has.
   *
   * @example Print a script as it comes, then why it ended
   * ```ts
   * import { Bashling } from "@bashling/bashling";
   *
   * using model = await Bashling.load();
   * const generation = model.generate("Count lines of code", { seed: 1, maxTokens: 40 });
   * let next = await generation.next();
   * for (; !next.done; next = await generation.next()) console.log(next.value.text);
   * console.log(next.value.reason, next.value.verdict?.level);
   * ```
   */
  generate(
    prompt: string,
    options: GenerateOptions = {},
  ): AsyncGenerator<Piece, GenerationResult, undefined> {
    if (this.#disposed) throw new Error("This Bashling was disposed of: load another.");
    const checked = checkOptions(options, this.generation);
    const beginning = scriptBeginning(prompt);
    const tokens = promptTokens(this.tokenizer, beginning, {
      ...checked,
      contextLength: this.config.contextLength,
    });
    const shared = { tokenizer: this.tokenizer, streams: this.#streams };
    const { contextLength } = this.config;
    return new Generation({ ...shared, contextLength }, tokens, checked).run();
  }

  /**
   * Generates a whole script, shebang and comment included.
   *
   * @param prompt English, or the beginning of a script: a text that starts with `#`.
   * @throws as {@linkcode Bashling.choose} does.
   * @throws the signal's reason, if the signal was aborted.
   *
   * @example
   * ```ts
   * import { Bashling } from "@bashling/bashling";
   *
   * using model = await Bashling.load();
   * console.log(await model.complete("Show free disk space", { seed: 1, maxTokens: 40 }));
   * ```
   */
  async complete(prompt: string, options: CompleteOptions = {}): Promise<string> {
    const { text, reason } = await this.choose(prompt, options);
    if (reason === "abort") throw options.signal!.reason;
    return text;
  }

  /**
   * Generates `bestOf` scripts and returns the best, with how its generation ended. Scripts whose
   * verdict is `refuse` or worse are made anew.
   *
   * @param prompt English, or the beginning of a script: a text that starts with `#`.
   * @throws {TypeError | RangeError | SyntaxError} as {@linkcode Bashling.generate} does.
   * @throws {Error} if eight times as many scripts as are wanted were refused.
   *
   * @example
   * ```ts
   * import { Bashling } from "@bashling/bashling";
   *
   * using model = await Bashling.load();
   * const { text, verdict } = await model.choose("Show free disk space", {
   *   bestOf: 3,
   *   refuse: "destructive",
   *   seed: 1,
   *   maxTokens: 40,
   * });
   * console.log(text, verdict?.level);
   * ```
   */
  async choose(prompt: string, options: CompleteOptions = {}): Promise<Script> {
    checkCompleteOptions(options);
    return await chooseScript((options) => this.generate(prompt, options), options);
  }

  /**
   * How well the model foresees a text: one document, or several that do not see one another.
   *
   * A document's first token is given and each later one scored once. Documents longer than the
   * context L are read by windows of L tokens that advance by L/2, and only tokens that no window
   * has scored before are scored, so that each has at least L/2 tokens or the document's beginning
   * before it.
   *
   * @throws {RangeError} if no document has two tokens.
   *
   * @example A usual script is foreseen better than an unusual one
   * ```ts
   * import { Bashling } from "@bashling/bashling";
   * import { assert } from "@std/assert";
   *
   * using model = await Bashling.load();
   * const usual = await model.score("#!/bin/bash\n# Show free disk space\ndf -h\n");
   * const unusual = await model.score("#!/bin/bash\n# Show free disk space\nqz -7\n");
   * assert(usual.bitsPerByte < unusual.bitsPerByte);
   * ```
   */
  async score(text: string | string[]): Promise<Score> {
    if (this.#disposed) throw new Error("This Bashling was disposed of: load another.");
    const { scoreDocuments } = await import("./scorer.ts");
    const evaluate = (batch: Batch) => {
      if (this.#disposed) throw new Error("This Bashling was disposed of: load another.");
      return this.#engine.evaluate(batch);
    };
    const before = this.#scoring;
    const score = before.catch(() => {}).then(() =>
      scoreDocuments([text].flat(), this.tokenizer, this.config.contextLength, evaluate)
    );
    this.#scoring = score;
    return await score;
  }

  /** Gives back the model's memory and the backend's threads. Generations under way fail. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#streams.close();
    this.#engine[Symbol.dispose]();
  }

  /** The same as {@linkcode Bashling.dispose}, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  /** The same as {@linkcode Bashling.dispose}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    this.dispose();
    return Promise.resolve();
  }
}
