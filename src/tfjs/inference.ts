/**
 * Generates and scores with TensorFlow.js: `--backend tfjs`.
 *
 * @module
 */

import * as tf from "./tf.ts";
import type { Batch } from "../corpus/batches.ts";
import type { InferenceEngine } from "../generator/engine.ts";
import type { ModelConfig } from "../model/config.ts";
import { TfjsDecoder } from "./decode.ts";
import { TfjsModel } from "./gpt.ts";

/** The generator's engine on TensorFlow.js: webgpu if there is a GPU, else cpu. */
export class TfjsInference implements InferenceEngine {
  readonly name = "tfjs";
  readonly description: string;
  readonly reason = "asked for";
  readonly decoder: TfjsDecoder;
  readonly #model: TfjsModel;

  private constructor(model: TfjsModel, streams: number) {
    this.description = `TensorFlow.js ${tf.version_core}, ${model.device}`;
    this.#model = model;
    this.decoder = new TfjsDecoder(model, streams);
  }

  /** Makes an engine with the parameters of a pool. */
  static async create(
    config: ModelConfig,
    parameters: Float32Array,
    streams: number,
  ): Promise<TfjsInference> {
    return new TfjsInference(await TfjsModel.create(config, parameters), streams);
  }

  async evaluate(batch: Batch): Promise<number> {
    this.#model.activate();
    const loss = tf.tidy(() => this.#model.lossOf(this.#model.tensors, batch, 1));
    try {
      return (await loss.data())[0];
    } finally {
      loss.dispose();
    }
  }

  [Symbol.dispose](): void {
    this.decoder[Symbol.dispose]();
    this.#model[Symbol.dispose]();
  }
}
