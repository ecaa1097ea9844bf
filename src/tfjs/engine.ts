/**
 * Training with TensorFlow.js: automatic differentiation, then AdamW as the `adamw` op defines it.
 *
 * @module
 */

import * as tf from "./tf.ts";
import { HYPER } from "../backend/backend.ts";
import type { Batch } from "../corpus/batches.ts";
import type { ModelConfig } from "../model/config.ts";
import { parameterLayout } from "../model/parameters.ts";
import type { TrainingEngine, TrainingState, TrainingStats } from "../trainer/engine.ts";
import { type TfjsDevice, TfjsModel } from "./gpt.ts";

/** What a {@linkcode TfjsEngine} is made for. */
export interface TfjsEngineOptions {
  /** B, sequences of a batch. */
  batchSize: number;
  /** Probability of dropping an element, in [0, 1). */
  dropout: number;
  /** `auto`, the default, is webgpu if there is a real adapter, else cpu. */
  device?: TfjsDevice | "auto";
}

/** The training engine of `--backend tfjs`. */
export class TfjsEngine implements TrainingEngine {
  readonly name = "tfjs";
  readonly description: string;
  readonly reportEvery: number;
  readonly #model: TfjsModel;
  readonly #options: TfjsEngineOptions;
  /** First and second moments, one tensor for each parameter. */
  #moments: { m: tf.Tensor[]; v: tf.Tensor[] };
  #lossSum: tf.Scalar;
  #norm: tf.Scalar;
  #counted = 0;

  private constructor(model: TfjsModel, options: TfjsEngineOptions) {
    this.#model = model;
    this.#options = options;
    this.description = `TensorFlow.js ${tf.version_core}, ${model.device}`;
    this.reportEvery = model.device === "webgpu" ? 10 : 1;
    const zeros = () => model.specs.map(({ shape }) => tf.zeros(shape));
    this.#moments = { m: zeros(), v: zeros() };
    this.#lossSum = tf.scalar(0);
    this.#norm = tf.scalar(0);
  }

  /**
   * Makes an engine with all parameters and moments zero; `writeState` gives them their values.
   * @throws {Error} if webgpu is asked for and there is no adapter.
   */
  static async create(config: ModelConfig, options: TfjsEngineOptions): Promise<TfjsEngine> {
    const { device } = options;
    const zeros = new Float32Array(parameterLayout(config).poolSize);
    return new TfjsEngine(await TfjsModel.create(config, zeros, { device }), options);
  }

  async trainStep(batches: Batch[], hyper: Float32Array, seed: number): Promise<void> {
    const count = batches.reduce((sum, batch) => sum + batch.count, 0);
    const { batchSize, dropout: rate } = this.#options;
    let total: tf.Tensor[] = [];
    for (const [i, batch] of batches.entries()) {
      await tf.nextFrame(); // lets signals and timers through
      this.#model.activate();
      const micro = (seed + Math.imul(i, 0x9e3779b1)) >>> 0;
      const dropout = rate > 0 ? { rate, seed: micro } : undefined;
      const { loss, gradients } = this.#model.differentiate(batch, batchSize, 1 / count, dropout);
      this.#lossSum = replace(this.#lossSum, tf.add(this.#lossSum, loss));
      loss.dispose();
      const sum = total.length > 0 ? gradients.map((g, p) => tf.add(g, total[p])) : gradients;
      if (total.length > 0) tf.dispose([...total, ...gradients]);
      total = sum;
    }
    this.#update(total, hyper);
    tf.dispose(total);
    this.#counted += count;
  }

  /** The `adamw` op: matrices decay, vectors do not. */
  #update(gradients: tf.Tensor[], hyper: Float32Array): void {
    const h = Object.fromEntries(
      Object.entries(HYPER).map(([name, place]) => [name, hyper[place]]),
    ) as Record<keyof typeof HYPER, number>;
    const { decay } = parameterLayout(this.#model.config);
    const { tensors, specs } = this.#model;
    const { m, v } = this.#moments;
    const next = tf.tidy(() => {
      const norm = gradients.map((g) => g.square().sum()).reduce((a, b) => a.add(b))
        .sqrt() as tf.Scalar;
      // clip / max(norm, clip) is min(1, clip / norm) without a division by zero.
      const shrink = h.clip > 0 ? tf.div(h.clip, norm.maximum(h.clip)) : tf.scalar(1);
      const updated = gradients.map((gradient, i) => {
        const g = gradient.mul(shrink);
        const m1 = m[i].mul(h.beta1).add(g.mul(1 - h.beta1));
        const m2 = v[i].mul(h.beta2).add(g.square().mul(1 - h.beta2));
        const step = m1.mul(h.correction1).div(m2.mul(h.correction2).sqrt().add(h.eps));
        const decayed = specs[i].offset < decay ? tensors[i].mul(h.weightDecay).add(step) : step;
        return { parameter: tensors[i].sub(decayed.mul(h.lr)), m: m1, v: m2 };
      });
      return { norm, updated };
    });
    this.#norm = replace(this.#norm, next.norm);
    this.#model.tensors = next.updated.map(({ parameter }) => parameter);
    tf.dispose([m, v]);
    this.#moments = {
      m: next.updated.map(({ m }) => m),
      v: next.updated.map(({ v }) => v),
    };
  }

  async readStats(): Promise<TrainingStats> {
    const loss = (await this.#lossSum.data())[0] / this.#counted;
    const gradNorm = (await this.#norm.data())[0];
    this.#model.activate();
    this.#lossSum = replace(this.#lossSum, tf.scalar(0));
    this.#counted = 0;
    return { loss, gradNorm };
  }

  async evaluate(batch: Batch): Promise<number> {
    this.#model.activate();
    const { tensors } = this.#model;
    const loss = tf.tidy(() => this.#model.lossOf(tensors, batch, this.#options.batchSize));
    try {
      return (await loss.data())[0];
    } finally {
      loss.dispose();
    }
  }

  async readState(): Promise<TrainingState> {
    const { m, v } = this.#moments;
    return {
      parameters: await this.#model.parameters(),
      m: await this.#model.toPool(m),
      v: await this.#model.toPool(v),
    };
  }

  writeState({ parameters, m, v }: TrainingState): Promise<void> {
    this.#model.activate();
    this.#model.tensors = this.#model.fromPool(parameters);
    tf.dispose([this.#moments.m, this.#moments.v]);
    this.#moments = { m: this.#model.fromPool(m), v: this.#model.fromPool(v) };
    return Promise.resolve();
  }

  [Symbol.dispose](): void {
    tf.dispose([this.#moments.m, this.#moments.v, this.#lossSum, this.#norm]);
    this.#model.dispose();
  }
}

/** Disposes of `old` and returns what takes its place. */
function replace(old: tf.Scalar, value: tf.Scalar): tf.Scalar {
  old.dispose();
  return value;
}
