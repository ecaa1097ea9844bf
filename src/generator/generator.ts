/**
 * The model as a library: load it, then generate, complete and score.
 *
 * @module
 */

import type { BackendName } from "../backend/backend.ts";
import { PREFILL_ROWS } from "../gpt/decode.ts";
import type { Batch } from "../corpus/batches.ts";
import type { ModelConfig } from "../model/config.ts";
import { SHIPPED_WEIGHTS } from "../model/shipped.ts";
import { type GenerationConfig, loadWeights } from "../model/weights.ts";
import { Tokenizer } from "../tokenizer/tokenizer.ts";
import { type InferenceEngine, prepareEngine } from "./engine.ts";
import { type CheckedOptions, checkOptions, type GenerateOptions } from "./options.ts";
import { type PromptTokens, promptTokens, scriptBeginning } from "./prompt.ts";
import { Sampler } from "./sampler.ts";
import { StopMatcher } from "./stop.ts";
import { Streams, turn } from "./streams.ts";

/** Options of {@linkcode Bashling.load}. */
export interface LoadOptions {
  /** Folder of the weights: a path, or a `file:`, `http:` or `https:` URL. Default: the shipped. */
  weights?: string | URL;
  /** What computes. Default `auto`: whatever is fastest here for this many streams. */
  backend?: "auto" | "wasm" | "webgpu" | "reference" | "tfjs";
  /** Generations that run at once; more of them wait their turn. 1 to 256, default 1. */
  streams?: number;
  /** Threads of the WebAssembly backend. Default: all cores. */
  threads?: number;
}

/** A piece of a script as it is generated. */
export interface Piece {
  /** Text, whole characters only. The first piece is the script's beginning, the prompt's. */
  text: string;
  /** Ids of the tokens read or drawn since the last piece. */
  tokens: number[];
  /** Log-probability in nats of the tokens drawn, their sum; 0 for the first piece. */
  logprob: number;
}

/** How a generation ended. */
export interface GenerationResult {
  /**
   * `stop`: the model ended the script, or a stop string came; `length`: `maxTokens` or the context
   * was reached; `abort`: the signal was aborted.
   */
  reason: "stop" | "length" | "abort";
  /** The stop string that ended it, if one did. */
  stop?: string;
  /** Tokens of the prompt. */
  promptTokens: number;
  /** Tokens drawn, the one that ends a script included. */
  completionTokens: number;
  /** Log-probability in nats of all tokens drawn. */
  logprob: number;
  /** The seed, which repeats this generation on the same backend. */
  seed: number;
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
 * ```ts ignore
 * using model = await Bashling.load();
 * for await (const piece of model.generate("Create a backup script", { seed: 1 })) {
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
  readonly #engine: InferenceEngine;
  readonly #defaults: GenerationConfig;
  readonly #streams: Streams;
  /** The last call of `score`; calls wait for one another. */
  #scoring: Promise<unknown> = Promise.resolve();
  #disposed = false;

  private constructor(
    engine: InferenceEngine,
    config: ModelConfig,
    tokenizer: Tokenizer,
    defaults: GenerationConfig,
  ) {
    const { name, description, reason } = engine;
    this.config = Object.freeze({ ...config });
    this.tokenizer = tokenizer;
    this.backend = { name, description, reason };
    this.#engine = engine;
    this.#defaults = defaults;
    this.#streams = new Streams(engine.decoder, config.vocabSize);
  }

  /**
   * Loads a model.
   * @throws {TypeError | RangeError} if an option is wrong.
   * @throws {Deno.errors.NotFound} if a file is missing.
   * @throws {SyntaxError | RangeError} if the weights are damaged or not a GPT-2 model's.
   * @throws {Error} if the backend asked for cannot run here.
   */
  static async load(options: LoadOptions = {}): Promise<Bashling> {
    const { weights = SHIPPED_WEIGHTS, backend: choice = "auto", streams = 1, threads } = options;
    if (!Number.isInteger(streams) || streams < 1 || streams > 256) {
      throw new RangeError(`streams is ${streams}, expected a whole number from 1 to 256.`);
    }
    const [read, prepared] = await Promise.allSettled([
      loadWeights(weights),
      prepareEngine({ backend: choice, streams, threads }),
    ]);
    if (prepared.status === "rejected") throw prepared.reason;
    try {
      if (read.status === "rejected") throw read.reason;
      const { config, parameters, tokenizerJson, generation } = read.value;
      const tokenizer = Tokenizer.fromJSON(tokenizerJson);
      const engine = await prepared.value.make(config, parameters);
      return new Bashling(engine, config, tokenizer, generation);
    } catch (error) {
      prepared.value[Symbol.dispose]();
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
   */
  generate(
    prompt: string,
    options: GenerateOptions = {},
  ): AsyncGenerator<Piece, GenerationResult, undefined> {
    if (this.#disposed) throw new Error("This Bashling was disposed of: load another.");
    const checked = checkOptions(options, this.#defaults);
    const beginning = scriptBeginning(prompt);
    const tokens = promptTokens(this.tokenizer, beginning, {
      ...checked,
      contextLength: this.config.contextLength,
    });
    return this.#generate(tokens, checked);
  }

  async *#generate(
    { ids, forced }: PromptTokens,
    options: CheckedOptions,
  ): AsyncGenerator<Piece, GenerationResult, undefined> {
    const { signal, seed } = options;
    const slot = await this.#streams.acquire(signal);
    const result: GenerationResult = {
      reason: "abort",
      promptTokens: ids.length,
      completionTokens: 0,
      logprob: 0,
      seed,
    };
    if (slot === undefined) return result;
    try {
      const given = [...this.tokenizer.decodeBytes(ids), ...forced];
      const text = new TextDecoder().decode(Uint8Array.from(given));
      yield { text, tokens: [...ids], logprob: 0 };
      const last = ids.length - 1;
      for (let at = 0; at < last; at += PREFILL_ROWS) {
        if (signal?.aborted) return result;
        this.#streams.prefill(slot, ids.subarray(at, Math.min(at + PREFILL_ROWS, last)), at);
        await turn();
      }
      return yield* this.#draw(slot, { ids, forced }, options, result);
    } finally {
      this.#streams.release(slot);
    }
  }

  /** Draws tokens after a prompt that is in the cache but for its last token. */
  async *#draw(
    slot: number,
    { ids, forced }: PromptTokens,
    options: CheckedOptions,
    result: GenerationResult,
  ): AsyncGenerator<Piece, GenerationResult, undefined> {
    const { tokenizer, config: { contextLength } } = this;
    const { signal } = options;
    const sampler = new Sampler(options);
    sampler.see(ids);
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    const matcher = new StopMatcher(options.stop);
    const most = Math.min(options.maxTokens, contextLength - ids.length);
    let piece: Piece = { text: "", tokens: [], logprob: 0 };
    let token = ids[ids.length - 1];
    result.reason = "length";
    while (result.completionTokens < most) {
      const position = ids.length - 1 + result.completionTokens;
      const logits = await this.#streams.step(slot, token, position);
      if (signal?.aborted) {
        result.reason = "abort";
        break;
      }
      const allowed = this.#allowed(forced, logits.length > tokenizer.vocabSize);
      const drawn = sampler.draw(logits, allowed);
      token = drawn.token;
      result.completionTokens++;
      result.logprob += drawn.logprob;
      piece.tokens.push(token);
      piece.logprob += drawn.logprob;
      if (token === tokenizer.endOfText) {
        result.reason = "stop";
        break;
      }
      const bytes = tokenizer.tokenBytes(token);
      const fresh = bytes.subarray(Math.min(bytes.length, forced.length));
      forced = forced.subarray(Math.min(bytes.length, forced.length));
      const match = matcher.push(decoder.decode(fresh, { stream: true }));
      piece.text += match.text;
      if (match.stop !== undefined) {
        result.reason = "stop";
        result.stop = match.stop;
        break;
      }
      if (piece.text) {
        yield piece;
        piece = { text: "", tokens: [], logprob: 0 };
      }
    }
    if (result.stop === undefined) piece.text += matcher.flush();
    if (piece.text) yield piece;
    return result;
  }

  /**
   * Which tokens may be drawn while bytes are still forced: those that begin with the bytes, or
   * with which the bytes begin. Ids of a padded vocabulary, which have no token, never may.
   */
  #allowed(forced: Uint8Array, padded: boolean): ((token: number) => boolean) | undefined {
    const { tokenizer } = this;
    if (forced.length === 0) {
      return padded ? (token) => token < tokenizer.vocabSize : undefined;
    }
    return (token) => {
      if (token >= tokenizer.vocabSize || token === tokenizer.endOfText) return false;
      const bytes = tokenizer.tokenBytes(token);
      for (let i = 0; i < bytes.length && i < forced.length; i++) {
        if (bytes[i] !== forced[i]) return false;
      }
      return true;
    };
  }

  /**
   * Generates a whole script, shebang and comment included.
   *
   * @param prompt English, or the beginning of a script: a text that starts with `#`.
   * @throws {TypeError | RangeError} as {@linkcode Bashling.generate} does.
   * @throws the signal's reason, if the signal was aborted.
   */
  async complete(prompt: string, options: GenerateOptions = {}): Promise<string> {
    let script = "";
    const pieces = this.generate(prompt, options);
    for (let next = await pieces.next();; next = await pieces.next()) {
      if (next.done) {
        if (next.value.reason === "abort") throw options.signal!.reason;
        return script;
      }
      script += next.value.text;
    }
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
