/**
 * GPT-2 once more, in TensorFlow.js operations: its automatic differentiation checks every gradient
 * of src/gpt/backward.ts, and it is the model of `--backend tfjs`.
 *
 * Letters as everywhere: `B` sequences of `T` tokens, `N = B·T` rows, `C` width, `NH` heads of `HS`.
 *
 * @module
 */

import * as tf from "./tf.ts";
import { dropoutKeeps, dropoutThreshold } from "../backend/backend.ts";
import { dropoutSite } from "../gpt/forward.ts";
import type { ModelConfig } from "../model/config.ts";
import { parameterLayout, type ParameterSpec } from "../model/parameters.ts";

tf.enableProdMode(); // or its cpu backend advises to install another package

/** TensorFlow.js backends that the model runs on. */
export type TfjsDevice = "cpu" | "webgpu";

/** Rows of packed documents. */
export interface TfjsRows {
  /** Inputs (N). */
  tokens: Uint32Array;
  /** Each row's place in its document (N). */
  positions: Uint32Array;
}

/** Rows and what is to be predicted at each. */
export interface TfjsBatch extends TfjsRows {
  /** Next tokens (N), `IGNORED` where nothing is to be predicted. */
  targets: Uint32Array;
}

/** Dropout of one training pass. */
export interface TfjsDropout {
  /** Probability of dropping an element, in [0, 1). */
  rate: number;
  /** Decides the masks, as in the `dropout` op. */
  seed: number;
}

/** Attention of one layer: (N, 3C) query, key and value to (N, C). */
export type Attend = (qkv: tf.Tensor2D, layer: number) => tf.Tensor2D;

const GELU_SCALE = Math.sqrt(2 / Math.PI);

/** Added to the scores of keys that a query may not see; finite, as GPU compilers want it. */
export const MASKED = -1e9;

function gelu(x: tf.Tensor2D): tf.Tensor2D {
  const inner = x.add(x.square().mul(x).mul(0.044715)).mul(GELU_SCALE);
  return x.mul(inner.tanh().add(1)).mul(0.5);
}

/** A 32-bit view of ids: `IGNORED` becomes −1, which is no token. */
const ids = (words: Uint32Array): tf.Tensor1D => tf.tensor1d(Int32Array.from(words), "int32");

/**
 * weight[rows]. The gradient of `tf.gather` visits the whole weight once for each of its rows on the
 * cpu backend, four fifths of a training step; scattering does the same sum in one pass.
 */
function embedding(weight: tf.Tensor2D, rows: Uint32Array): tf.Tensor2D {
  const { shape } = weight;
  const lookUp = tf.customGrad((weight) => ({
    value: tf.gather(weight as tf.Tensor2D, ids(rows)),
    gradFunc: (dout: tf.Tensor) => tf.scatterND(ids(rows).expandDims(1), dout, shape),
  }));
  return lookUp(weight) as tf.Tensor2D;
}

/** (B·T, C) to (B, NH, T, HS). */
export function splitHeads(x: tf.Tensor2D, B: number, NH: number): tf.Tensor4D {
  const [N, C] = x.shape;
  return x.reshape([B, N / B, NH, C / NH]).transpose([0, 2, 1, 3]) as tf.Tensor4D;
}

/** (B, NH, T, HS) to (B·T, C). */
export function joinHeads(x: tf.Tensor4D): tf.Tensor2D {
  const [B, NH, T, HS] = x.shape;
  return x.transpose([0, 2, 1, 3]).reshape([B * T, NH * HS]);
}

/** softmax(q · kᵀ / √HS + mask) · v. */
export function attention(
  q: tf.Tensor4D,
  k: tf.Tensor4D,
  v: tf.Tensor4D,
  mask?: tf.Tensor,
): tf.Tensor4D {
  const scores = tf.matMul(q, k, false, true).mul(1 / Math.sqrt(q.shape[3]));
  return tf.matMul(tf.softmax(mask ? scores.add(mask) : scores), v) as tf.Tensor4D;
}

/** (B, 1, T, T): 0 where query t sees key s, that is t − positions[t] ≤ s ≤ t, else very low. */
function documentMask(positions: tf.Tensor1D, B: number): tf.Tensor {
  const T = positions.size / B;
  const index = tf.range(0, T, 1, "int32");
  const distance = index.expandDims(1).sub(index.expandDims(0)); // (T, T), t − s
  const visible = distance.greaterEqual(0).logicalAnd(
    distance.lessEqual(positions.reshape([B, 1, T, 1])),
  );
  return tf.scalar(1).sub(visible.cast("float32")).mul(MASKED);
}

/** Inverted dropout with the masks of the `dropout` op, made on the host. */
function dropoutLayer(x: tf.Tensor2D, site: number, { rate, seed }: TfjsDropout): tf.Tensor2D {
  const keep = dropoutThreshold(rate), factor = 1 / (1 - rate);
  const mask = new Float32Array(x.size);
  for (let i = 0; i < mask.length; i++) mask[i] = dropoutKeeps(seed, site, i, keep) ? factor : 0;
  return x.mul(tf.tensor2d(mask, x.shape));
}

/** A GPT-2 model whose parameters are TensorFlow.js tensors. */
export class TfjsModel implements Disposable {
  /** The model's shape. */
  readonly config: ModelConfig;
  /** The TensorFlow.js backend that computes. */
  readonly device: TfjsDevice;
  /** Names, shapes and places of the parameters, in the order of {@linkcode tensors}. */
  readonly specs: readonly ParameterSpec[];
  readonly #place: Map<string, number>;
  #tensors: tf.Tensor[] = [];

  private constructor(config: ModelConfig, device: TfjsDevice) {
    this.config = config;
    this.device = device;
    this.specs = parameterLayout(config).specs;
    this.#place = new Map(this.specs.map(({ name }, i) => [name, i]));
  }

  /**
   * Makes a model with the parameters of `pool`.
   *
   * @param pool All parameters, laid out by `parameterLayout(config)`.
   * @param options `auto` is webgpu if there is a real adapter, else cpu.
   * @throws {RangeError} if the pool has another size than the layout.
   * @throws {Error} if webgpu is asked for and there is no adapter.
   */
  static async create(
    config: ModelConfig,
    pool: Float32Array,
    options: { device?: TfjsDevice | "auto" } = {},
  ): Promise<TfjsModel> {
    const device = await chooseDevice(options.device ?? "auto");
    const model = new TfjsModel(config, device);
    if (!await tf.setBackend(device)) {
      throw new Error(`TensorFlow.js cannot start its ${device} backend: use another device.`);
    }
    model.#tensors = model.fromPool(pool);
    return model;
  }

  /**
   * Makes this model's device the current one; TensorFlow.js has one for the whole process. Every
   * method that computes begins so. A device that has been started is switched to at once.
   */
  activate(): void {
    if (tf.getBackend() !== this.device) void tf.setBackend(this.device);
  }

  /** The parameters, in the order of `specs`. */
  get tensors(): readonly tf.Tensor[] {
    return this.#tensors;
  }

  /** Replaces the parameters; the old tensors are disposed of, the new ones are owned. */
  set tensors(tensors: tf.Tensor[]) {
    tf.dispose(this.#tensors);
    this.#tensors = tensors;
  }

  /**
   * Copies a pool into one tensor for each parameter.
   * @throws {RangeError} if the pool has another size than the layout.
   */
  fromPool(pool: Float32Array): tf.Tensor[] {
    const { poolSize } = parameterLayout(this.config);
    if (pool.length !== poolSize) {
      throw new RangeError(
        `Cannot load parameters: the pool has ${pool.length} elements, expected ${poolSize}.`,
      );
    }
    return this.specs.map(({ shape, offset, size }) =>
      tf.tensor(pool.slice(offset, offset + size), shape, "float32")
    );
  }

  /** Copies one tensor for each parameter into a pool; gaps are 0. */
  async toPool(tensors: readonly tf.Tensor[]): Promise<Float32Array<ArrayBuffer>> {
    const pool = new Float32Array(parameterLayout(this.config).poolSize);
    for (const [i, { offset }] of this.specs.entries()) {
      pool.set(await tensors[i].data() as Float32Array, offset);
    }
    return pool;
  }

  /** Copies the parameters out, in the pool's order. */
  parameters(): Promise<Float32Array<ArrayBuffer>> {
    return this.toPool(this.#tensors);
  }

  /** The blocks, from tokens to the last LayerNorm (N, C). Call inside `tf.tidy`. */
  hidden(
    tensors: readonly tf.Tensor[],
    rows: TfjsRows,
    attend: Attend,
    dropout?: TfjsDropout,
  ): tf.Tensor2D {
    const get = <Rank extends tf.Tensor>(name: string) =>
      tensors[this.#place.get(`transformer.${name}`)!] as Rank;
    const linear = (x: tf.Tensor2D, name: string): tf.Tensor2D =>
      tf.matMul(x, get<tf.Tensor2D>(`${name}.weight`)).add(get(`${name}.bias`));
    const layernorm = (x: tf.Tensor2D, name: string): tf.Tensor2D => {
      const centred = x.sub(x.mean(-1, true));
      const rstd = centred.square().mean(-1, true).add(1e-5).rsqrt();
      return centred.mul(rstd).mul(get(`${name}.weight`)).add(get(`${name}.bias`));
    };
    const drop = (x: tf.Tensor2D, site: number): tf.Tensor2D =>
      dropout ? dropoutLayer(x, site, dropout) : x;

    const wte = embedding(get("wte.weight"), rows.tokens);
    const wpe = embedding(get("wpe.weight"), rows.positions);
    let x = drop(wte.add(wpe), dropoutSite.embedding);
    for (let layer = 0; layer < this.config.layers; layer++) {
      const h = `h.${layer}`;
      const att = attend(linear(layernorm(x, `${h}.ln_1`), `${h}.attn.c_attn`), layer);
      x = x.add(drop(linear(att, `${h}.attn.c_proj`), dropoutSite.attention(layer)));
      const fc = gelu(linear(layernorm(x, `${h}.ln_2`), `${h}.mlp.c_fc`));
      x = x.add(drop(linear(fc, `${h}.mlp.c_proj`), dropoutSite.feedForward(layer)));
    }
    return layernorm(x, "ln_f");
  }

  /** The tied head: hidden (N, C) to logits (N, V). Call inside `tf.tidy`. */
  head(tensors: readonly tf.Tensor[], hidden: tf.Tensor2D): tf.Tensor2D {
    const wte = tensors[this.#place.get("transformer.wte.weight")!] as tf.Tensor2D;
    return tf.matMul(hidden, wte, false, true);
  }

  /** Logits (N, V) of `B` packed sequences. Call inside `tf.tidy`. */
  logitsOf(
    tensors: readonly tf.Tensor[],
    rows: TfjsRows,
    B: number,
    dropout?: TfjsDropout,
  ): tf.Tensor2D {
    const NH = this.config.heads;
    const mask = documentMask(ids(rows.positions), B);
    const attend: Attend = (qkv) => {
      const [q, k, v] = tf.split(qkv, 3, 1).map((x) => splitHeads(x as tf.Tensor2D, B, NH));
      return joinHeads(attention(q, k, v, mask));
    };
    return this.head(tensors, this.hidden(tensors, rows, attend, dropout));
  }

  /** Summed cross-entropy in nats over the rows that count (scalar). Call inside `tf.tidy`. */
  lossOf(
    tensors: readonly tf.Tensor[],
    batch: TfjsBatch,
    B: number,
    dropout?: TfjsDropout,
  ): tf.Scalar {
    const logProbabilities = tf.logSoftmax(this.logitsOf(tensors, batch, B, dropout));
    // An ignored row has target −1, whose one-hot row is all zeros.
    const chosen = tf.oneHot(ids(batch.targets), this.config.vocabSize);
    return logProbabilities.mul(chosen).sum().neg() as tf.Scalar;
  }

  /**
   * Summed loss and its gradients times `scale`, as tensors which the caller disposes of.
   * @param B Sequences in the batch.
   */
  differentiate(
    batch: TfjsBatch,
    B: number,
    scale: number,
    dropout?: TfjsDropout,
  ): { loss: tf.Scalar; gradients: tf.Tensor[] } {
    const f = (...tensors: tf.Tensor[]) => this.lossOf(tensors, batch, B, dropout);
    return tf.tidy(() => {
      const { value, grads } = tf.valueAndGrads(f)(this.#tensors, tf.scalar(scale));
      return { loss: value as tf.Scalar, gradients: grads };
    });
  }

  /** Logits (N, V) of `B` packed sequences, row by row. */
  async logits(rows: TfjsRows, B: number = 1): Promise<Float32Array> {
    this.activate();
    const logits = tf.tidy(() => this.logitsOf(this.#tensors, rows, B));
    try {
      return await logits.data() as Float32Array;
    } finally {
      logits.dispose();
    }
  }

  /** Mean loss in nats over the rows that count, and its gradients in the pool's order. */
  async lossAndGradients(
    batch: TfjsBatch & { count: number },
    B: number,
    dropout?: TfjsDropout,
  ): Promise<{ loss: number; gradients: Float32Array }> {
    this.activate();
    const { loss, gradients } = this.differentiate(batch, B, 1 / batch.count, dropout);
    try {
      return {
        loss: (await loss.data())[0] / batch.count,
        gradients: await this.toPool(gradients),
      };
    } finally {
      tf.dispose([loss, ...gradients]);
    }
  }

  /** Gives back the parameters' memory. */
  dispose(): void {
    this.tensors = [];
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

async function chooseDevice(device: TfjsDevice | "auto"): Promise<TfjsDevice> {
  if (device === "cpu") return "cpu";
  const adapter = await globalThis.navigator?.gpu?.requestAdapter();
  if (device === "auto") return adapter && !adapter.info.isFallbackAdapter ? "webgpu" : "cpu";
  if (!adapter) {
    throw new Error("TensorFlow.js found no WebGPU adapter. Use its cpu device instead.");
  }
  return "webgpu";
}
