/**
 * The same GPT-2 in jax-js, forward, backward and AdamW in one `jit`: a peer of the benchmarks.
 *
 * jax-js counts references: an array passed to a function is used up, `.ref` keeps it.
 *
 * @module
 */

import {
  type Array as JaxArray,
  defaultDevice,
  init,
  jit,
  nn,
  numpy as np,
  valueAndGrad,
} from "npm:@jax-js/jax@0.1.25";
import { HYPER, IGNORED } from "../../../src/backend/backend.ts";
import type { Batch } from "../../../src/corpus/batches.ts";
import type { ModelConfig } from "../../../src/model/config.ts";
import { parameterLayout } from "../../../src/model/parameters.ts";
import type { TrainingState, TrainingStats } from "../../../src/trainer/engine.ts";
import type { Trainee } from "../train.ts";

/** Arrays by parameter name. */
export type Tree = Record<string, JaxArray>;

/** A batch on the device. */
type Inputs = {
  /** int32 (N). */
  tokens: JaxArray;
  /** int32 (N). */
  positions: JaxArray;
  /** int32 (N), 0 where ignored. */
  targets: JaxArray;
  /** (N): 1 / count, or 0 where ignored. */
  weights: JaxArray;
  /** (B, 1, T, T): 0 for keys that a query sees, else very low. */
  bias: JaxArray;
};

export const float32 = (data: Float32Array, shape: number[]) =>
  np.array(data as Float32Array<ArrayBuffer>, { shape, dtype: np.float32 });
export const int32 = (data: Uint32Array) => np.array(Int32Array.from(data), { dtype: np.int32 });

function deviceInputs(batch: Batch, B: number): Inputs {
  const N = batch.tokens.length, T = N / B;
  const bias = new Float32Array(B * T * T);
  for (let n = 0; n < N; n++) {
    const t = n % T;
    for (let s = 0; s < T; s++) {
      if (s > t || s < t - batch.positions[n]) bias[n * T + s] = -1e9;
    }
  }
  return {
    tokens: int32(batch.tokens),
    positions: int32(batch.positions),
    targets: int32(batch.targets.map((target) => target === IGNORED ? 0 : target)),
    weights: float32(
      Float32Array.from(batch.targets, (target) => target === IGNORED ? 0 : 1 / batch.count),
      [N],
    ),
    bias: float32(bias, [B, 1, T, T]),
  };
}

export function layernorm(x: JaxArray, weight: JaxArray, bias: JaxArray): JaxArray {
  const centred = x.ref.sub(x.mean(-1, { keepdims: true }));
  const variance = np.square(centred.ref).mean(-1, { keepdims: true });
  return centred.div(np.sqrt(variance.add(1e-5))).mul(weight).add(bias);
}

/** Mean loss; uses up its arguments. */
function lossOf(params: Tree, inputs: Inputs, config: ModelConfig): JaxArray {
  const { heads: NH, width: C, layers, vocabSize: V } = config;
  const [B, , T] = inputs.bias.shape;
  const linear = (x: JaxArray, name: string) =>
    np.matmul(x, params[`${name}.weight`]).add(params[`${name}.bias`]);
  const norm = (x: JaxArray, name: string) =>
    layernorm(x, params[`${name}.weight`], params[`${name}.bias`]);

  const wte = params["transformer.wte.weight"];
  let x = np.take(wte.ref, inputs.tokens, 0)
    .add(np.take(params["transformer.wpe.weight"], inputs.positions, 0));
  for (let layer = 0; layer < layers; layer++) {
    const h = `transformer.h.${layer}`;
    const qkv = linear(norm(x.ref, `${h}.ln_1`), `${h}.attn.c_attn`);
    const [q, k, v] = np.split(qkv, 3, 1).map((part) => part.reshape([B, T, NH, C / NH]));
    const att = nn.dotProductAttention(q, k, v, { bias: inputs.bias.ref });
    x = x.add(linear(att.reshape([B * T, C]), `${h}.attn.c_proj`));
    const fc = nn.gelu(linear(norm(x.ref, `${h}.ln_2`), `${h}.mlp.c_fc`), { approximate: true });
    x = x.add(linear(fc, `${h}.mlp.c_proj`));
  }
  inputs.bias.dispose();
  const logits = np.matmul(norm(x, "transformer.ln_f"), wte.transpose());
  const chosen = nn.logSoftmax(logits).mul(nn.oneHot(inputs.targets, V)).sum(1);
  return chosen.mul(inputs.weights).sum().neg();
}

/** Copies a pool into one array for each parameter. */
export function treeOf(config: ModelConfig, pool: Float32Array): Tree {
  return Object.fromEntries(
    parameterLayout(config).specs.map(({ name, shape, offset, size }) => [
      name,
      float32(pool.slice(offset, offset + size), shape),
    ]),
  );
}

/** The same arrays once more, for a function that uses them up. */
export function keep(tree: Tree): Tree {
  return Object.fromEntries(Object.entries(tree).map(([name, array]) => [name, array.ref]));
}

/**
 * jax-js's kernel for the gradient of `take` hands a pointer into storage to a function, which WGSL
 * allows as an extension only and Deno's WebGPU refuses: the function's body is put in its place.
 */
function expandAtomicAdd(code: string): string {
  const [definition, body] = /^fn atomic_add_f32\([^\n]*\{\n([\s\S]*?)^\}\n/m.exec(code) ?? [];
  if (!definition) return code;
  return code.replace(definition, "").replace(
    /atomic_add_f32\((&\w+\[\w+\]), (.*)\);/g,
    (_, address: string, value: string) =>
      `{ ${body.replaceAll(/\baddress\b/g, address).replaceAll(/\bvalue\b/g, value)} }`,
  );
}

/** @throws {Error} if jax-js cannot start the device here. */
export async function startJax(device: "wasm" | "webgpu"): Promise<void> {
  if (device === "webgpu") {
    const { createShaderModule } = GPUDevice.prototype;
    GPUDevice.prototype.createShaderModule = function (descriptor) {
      const code = expandAtomicAdd(descriptor.code);
      return createShaderModule.call(this, { ...descriptor, code });
    };
  }
  if (!(await init(device)).includes(device)) {
    throw new Error(`jax-js cannot start its ${device} backend`);
  }
  defaultDevice(device);
}

type Step = { params: Tree; m: Tree; v: Tree; loss: JaxArray; norm: JaxArray };

/** One optimizer step, as the `adamw` op defines it. */
function stepOf(
  params: Tree,
  m: Tree,
  v: Tree,
  inputs: Inputs,
  hyper: Record<keyof typeof HYPER, JaxArray>,
  config: ModelConfig,
): Step {
  const { specs, decay } = parameterLayout(config);
  const differentiate = valueAndGrad((params: Tree) => lossOf(params, inputs, config));
  const [loss, grads] = differentiate(keep(params));
  const squares = specs.map(({ name }) => np.square(grads[name].ref).sum());
  const norm = np.sqrt(squares.reduce((a, b) => a.add(b)));
  const shrink = hyper.clip.ref.div(np.maximum(norm.ref, hyper.clip));
  const next: Step = { params: {}, m: {}, v: {}, loss, norm };
  for (const { name, offset } of specs) {
    const g = grads[name].mul(shrink.ref);
    const one = np.array(1);
    const m1 = m[name].mul(hyper.beta1.ref).add(g.ref.mul(one.ref.sub(hyper.beta1.ref)));
    const m2 = v[name].mul(hyper.beta2.ref).add(np.square(g).mul(one.sub(hyper.beta2.ref)));
    const root = np.sqrt(m2.ref.mul(hyper.correction2.ref)).add(hyper.eps.ref);
    const update = m1.ref.mul(hyper.correction1.ref).div(root);
    const parameter = params[name];
    const change = offset < decay ? update.add(parameter.ref.mul(hyper.weightDecay.ref)) : update;
    next.params[name] = parameter.sub(change.mul(hyper.lr.ref));
    next.m[name] = m1;
    next.v[name] = m2;
  }
  return next;
}

/** Trains with jax-js on its wasm or webgpu backend; clips always, so `clip` must be above 0. */
export class JaxEngine implements Trainee {
  readonly description: string;
  readonly #config: ModelConfig;
  readonly #B: number;
  readonly #step;
  #state?: { params: Tree; m: Tree; v: Tree };
  #batch?: { batch: Batch; inputs: Inputs };
  #stats?: { loss: JaxArray; norm: JaxArray };

  private constructor(config: ModelConfig, B: number, device: string) {
    this.#config = config;
    this.#B = B;
    this.description = `jax-js, ${device}, jit`;
    this.#step = jit((
      params: Tree,
      m: Tree,
      v: Tree,
      inputs: Inputs,
      hyper: Record<keyof typeof HYPER, JaxArray>,
    ) => stepOf(params, m, v, inputs, hyper, config));
  }

  /** @throws {Error} if jax-js cannot start the device here. */
  static async create(
    config: ModelConfig,
    options: { batchSize: number; device: "wasm" | "webgpu" },
  ): Promise<JaxEngine> {
    const { device, batchSize } = options;
    await startJax(device);
    return new JaxEngine(config, batchSize, device);
  }

  writeState({ parameters, m, v }: TrainingState): Promise<void> {
    this.#release();
    const [params, m1, m2] = [parameters, m, v].map((pool) => treeOf(this.#config, pool));
    this.#state = { params, m: m1, v: m2 };
    return Promise.resolve();
  }

  /** Queues a step. */
  trainStep(batches: Batch[], hyper: Float32Array): Promise<void> {
    if (batches.length !== 1) throw new RangeError("JaxEngine takes one batch at a time.");
    const scalars = Object.fromEntries(
      Object.entries(HYPER).map(([name, place]) => [name, np.array(hyper[place])]),
    );
    const { params, m, v } = this.#state!;
    const inputs = keep(this.#inputs(batches[0])) as Inputs;
    const { loss, norm, ...state } = this.#step(params, m, v, inputs, scalars as never) as Step;
    this.#state = state;
    this.#stats?.loss.dispose();
    this.#stats?.norm.dispose();
    this.#stats = { loss, norm };
    return Promise.resolve();
  }

  /** A batch that comes again is still on the device: its mask is B·T² numbers. */
  #inputs(batch: Batch): Inputs {
    if (this.#batch?.batch !== batch) {
      this.#releaseBatch();
      this.#batch = { batch, inputs: deviceInputs(batch, this.#B) };
    }
    return this.#batch!.inputs;
  }

  #releaseBatch(): void {
    for (const array of Object.values(this.#batch?.inputs ?? {})) array.dispose();
    this.#batch = undefined;
  }

  /** Loss and gradient norm of the last step, once it is done. */
  async readStats(): Promise<TrainingStats> {
    const { loss, norm } = this.#stats!;
    return {
      loss: (await loss.ref.data())[0],
      gradNorm: (await norm.ref.data())[0],
    };
  }

  #release(): void {
    for (const tree of Object.values(this.#state ?? {})) {
      for (const array of Object.values(tree)) array.dispose();
    }
    this.#state = undefined;
  }

  [Symbol.dispose](): void {
    this.#release();
    this.#releaseBatch();
    this.#stats?.loss.dispose();
    this.#stats?.norm.dispose();
    this.#stats = undefined;
    this.#step.dispose();
  }
}
