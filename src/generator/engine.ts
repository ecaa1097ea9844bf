/**
 * What the generator needs of whatever computes the model, and the engine that is one of our backends.
 *
 * @module
 */

import type { Backend, BackendName } from "../backend/backend.ts";
import { type BackendChoice, chooseBackend } from "../backend/select.ts";
import type { Batch } from "../corpus/batches.ts";
import { Decoder } from "../gpt/decode.ts";
import type { ModelConfig } from "../model/config.ts";
import { type ParameterTensors, parameterTensors } from "../model/parameters.ts";
import type { EvaluationPass } from "./scorer.ts";

/** Decodes with a key/value cache; see `Decoder`. */
export interface StreamDecoding {
  /** Number of streams that a step advances together. */
  readonly streams: number;
  /** Puts tokens into the cache of a stream at positions from `start` on. */
  prefill(slot: number, tokens: Uint32Array, start: number): void;
  /** Advances every stream that is not `INACTIVE` by one token; returns logits (streams, V). */
  step(tokens: Uint32Array, positions: Uint32Array): Promise<Float32Array>;
}

/** Computes a model. */
export interface InferenceEngine extends Disposable {
  /** The backend's name. */
  readonly name: BackendName | "tfjs";
  /** The hardware in words. */
  readonly description: string;
  /** Why it was chosen. */
  readonly reason: string;
  /** Its decoder. */
  readonly decoder: StreamDecoding;
  /** Summed loss in nats of a batch of one row of L tokens. */
  evaluate(batch: Batch): Promise<number>;
}

/** An engine that waits for the weights. */
export interface PreparedEngine extends Disposable {
  /** Makes the engine, which from then on owns whatever was prepared. */
  make(config: ModelConfig, parameters: Float32Array): Promise<InferenceEngine>;
}

/** Backends that can generate. */
export type InferenceChoice = BackendChoice | "tfjs";

/**
 * Starts a backend, or loads TensorFlow.js, without waiting for the weights.
 * @throws {RangeError} if there is no such backend, or `threads` cannot be.
 * @throws {Error} saying why, if the backend cannot run here.
 */
export async function prepareEngine(
  options: { backend: InferenceChoice; streams: number; threads?: number },
): Promise<PreparedEngine> {
  const { backend: choice, streams, threads } = options;
  if (choice === "tfjs") {
    if (threads !== undefined) {
      throw new RangeError("The tfjs backend has no threads to set: leave threads out.");
    }
    const { TfjsInference } = await import("../tfjs/inference.ts");
    return {
      make: (config, parameters) => TfjsInference.create(config, parameters, streams),
      [Symbol.dispose]() {},
    };
  }
  const chosen = await chooseBackend({ backend: choice, purpose: "generate", streams, threads });
  return {
    make: (config, parameters) =>
      Promise.resolve().then(() => new BackendInference(chosen, config, parameters, streams)),
    [Symbol.dispose]: () => chosen.backend[Symbol.dispose](),
  };
}

/** Computes on a {@linkcode Backend}. */
class BackendInference implements InferenceEngine {
  readonly name: BackendName;
  readonly description: string;
  readonly reason: string;
  readonly decoder: Decoder;
  readonly #backend: Backend;
  readonly #config: ModelConfig;
  readonly #params: ParameterTensors;
  /** Made when it is first needed. */
  #evaluation?: Promise<EvaluationPass>;

  constructor(
    { backend, reason }: { backend: Backend; reason: string },
    config: ModelConfig,
    parameters: Float32Array,
    streams: number,
  ) {
    this.name = backend.name;
    this.description = backend.description;
    this.reason = reason;
    this.#backend = backend;
    this.#config = config;
    this.#params = parameterTensors(backend, config);
    backend.write(this.#params.pool, parameters);
    this.decoder = new Decoder(backend, config, this.#params, streams);
  }

  async evaluate(batch: Batch): Promise<number> {
    this.#evaluation ??= import("./scorer.ts").then(({ EvaluationPass }) =>
      new EvaluationPass(this.#backend, this.#config, this.#params)
    );
    return await (await this.#evaluation).run(batch);
  }

  [Symbol.dispose](): void {
    this.decoder[Symbol.dispose]();
    this.#backend.free(this.#params.pool);
    this.#backend[Symbol.dispose]();
  }
}
