/**
 * What the generator needs of whatever computes the model, and the engine that is one of our backends.
 *
 * @module
 */

import type { Backend, BackendName } from "../backend/backend.ts";
import { type BackendChoice, chooseBackend, GPU_STREAMS } from "../backend/select.ts";
import type { Batch } from "../corpus/batches.ts";
import { Decoder, type StreamLogits } from "../gpt/decode.ts";
import type { LookAhead } from "../gpt/look_ahead.ts";
import type { ModelConfig } from "../model/config.ts";
import { dequantizeModel, type Int8Model, int8Tensors, releaseModel } from "../model/int8.ts";
import { type ModelTensors, parameterTensors } from "../model/parameters.ts";
import type { EvaluationPass } from "./scorer.ts";
import { loadTfjsInference } from "../tfjs/load.ts";

/** Decodes with a key/value cache; see `Decoder`. */
export interface StreamDecoding {
  /** Number of streams that a step can advance together. */
  readonly streams: number;
  /** Most tokens to be put into the cache before others have a turn. */
  readonly prefillRows: number;
  /** Makes several steps at once, where a step alone is dear. */
  readonly lookAhead?: Pick<LookAhead, "mostSteps" | "run">;
  /** Puts tokens into the cache of a stream at positions from `start` on. */
  prefill(slot: number, tokens: Uint32Array, start: number): void;
  /** Advances every stream that is not `INACTIVE` by one token; returns its logits. */
  step(tokens: Uint32Array, positions: Uint32Array): Promise<(StreamLogits | undefined)[]>;
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

/** Bits of the weights: `auto` takes 8 where they make decoding faster, on wasm. */
export type Precision = "auto" | "int8" | "f32";

/** All that a user may ask for. */
export const PRECISIONS: readonly Precision[] = ["auto", "int8", "f32"];

/** Parameters on their way to an engine: a pool of f32, or matrices in 8 bits. */
export type Parameters =
  | { parameters: Float32Array<ArrayBuffer> }
  | { model: Int8Model };

/** An engine that waits for the weights. */
export interface PreparedEngine extends Disposable {
  /** Which form of the weights it wants. */
  readonly precision: "int8" | "f32";
  /** Makes the engine, which from then on owns whatever was prepared. */
  make(config: ModelConfig, parameters: Parameters): Promise<InferenceEngine>;
}

/** Backends that can generate. */
export type InferenceChoice = BackendChoice | "tfjs";

/** Options of {@linkcode prepareEngine}. */
export interface EngineOptions {
  backend: InferenceChoice;
  precision: Precision;
  streams: number;
  threads?: number;
}

/**
 * Starts a backend, or loads TensorFlow.js, without waiting for the weights.
 * @throws {RangeError} if there is no such backend, or `threads` or `precision` cannot be.
 * @throws {Error} saying why, if the backend cannot run here.
 */
export async function prepareEngine(options: EngineOptions): Promise<PreparedEngine> {
  const { backend: choice, precision, streams, threads } = options;
  if (!PRECISIONS.includes(precision)) {
    throw new RangeError(
      `precision is ${precision}, expected one of ${PRECISIONS.join(", ")}.`,
    );
  }
  if (choice === "tfjs") {
    if (threads !== undefined) {
      throw new RangeError("The tfjs backend has no threads to set: leave threads out.");
    }
    if (precision === "int8") {
      throw new RangeError("The tfjs backend computes in f32 only: leave precision out.");
    }
    const { TfjsInference } = await loadTfjsInference();
    return {
      precision: "f32",
      make: (config, weights) => TfjsInference.create(config, poolOf(config, weights), streams),
      [Symbol.dispose]() {},
    };
  }
  const chosen = await chooseBackend({ backend: choice, purpose: "generate", streams, threads });
  const { backend } = chosen;
  return {
    precision: precision === "auto" ? backend.name === "wasm" ? "int8" : "f32" : precision,
    make: async (config, weights) => {
      const engine = new BackendInference(chosen, config, weights, streams);
      if (streams >= GPU_STREAMS) await engine.decoder.tune();
      return engine;
    },
    [Symbol.dispose]: () => backend[Symbol.dispose](),
  };
}

function poolOf(config: ModelConfig, weights: Parameters): Float32Array {
  return "parameters" in weights ? weights.parameters : dequantizeModel(config, weights.model);
}

/** Computes on a {@linkcode Backend}. */
class BackendInference implements InferenceEngine {
  readonly name: BackendName;
  readonly description: string;
  readonly reason: string;
  readonly decoder: Decoder;
  readonly #backend: Backend;
  readonly #config: ModelConfig;
  readonly #params: ModelTensors;
  /** Made when it is first needed. */
  #evaluation?: Promise<EvaluationPass>;

  constructor(
    { backend, reason }: { backend: Backend; reason: string },
    config: ModelConfig,
    weights: Parameters,
    streams: number,
  ) {
    this.name = backend.name;
    this.description = `${backend.description}, ${"model" in weights ? "8-bit" : "f32"} weights`;
    this.reason = reason;
    this.#backend = backend;
    this.#config = config;
    if ("model" in weights) {
      this.#params = int8Tensors(backend, config, weights.model);
      releaseModel(weights.model);
    } else {
      const params = this.#params = parameterTensors(backend, config);
      backend.write(params.pool, weights.parameters);
    }
    this.decoder = new Decoder(backend, config, this.#params, streams);
  }

  async evaluate(batch: Batch): Promise<number> {
    this.#evaluation ??= import("./scorer.ts").then(({ EvaluationPass }) =>
      new EvaluationPass(this.#backend, this.#config, this.#params)
    );
    return await (await this.#evaluation).run(batch);
  }

  [Symbol.dispose](): void {
    this.#backend[Symbol.dispose]();
  }
}
