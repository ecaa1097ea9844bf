/**
 * All parameters of a model in one pool: their Hugging Face names, shapes, places and first values.
 *
 * @module
 */

import {
  type Backend,
  type Int8Matrix,
  type Ops,
  type Tensor,
  viewAlignment,
} from "../backend/backend.ts";
import type { ModelConfig } from "./config.ts";
import { Random } from "../random.ts";

/** One parameter's place in the pool. */
export interface ParameterSpec {
  /** Hugging Face's name, such as `transformer.h.0.attn.c_attn.weight`. */
  name: string;
  /** Shape; linear weights are (in, out), as in GPT-2's Conv1D. */
  shape: number[];
  /** First element in the pool, where a view may start in f32 and in f16. */
  offset: number;
  /** Number of elements. */
  size: number;
  /** Standard deviation of the first values, or the constant that fills them. */
  init: { normal: number } | { constant: number };
}

/** The pool: every parameter, matrices before vectors, so that decay applies to a prefix. */
export interface ParameterLayout {
  /** Parameters in the pool's order. */
  specs: ParameterSpec[];
  /** Elements in the pool, alignment gaps included. */
  poolSize: number;
  /** The first `decay` elements are matrices, which weight decay shrinks. */
  decay: number;
  /** Number of parameters, gaps excluded. */
  count: number;
}

/**
 * Where each parameter stands. First values follow GPT-2 (Radford et al. 2019): normal with
 * deviation 0.02, projections back into the residual stream scaled by 1/√(2·layers), biases 0,
 * LayerNorm weights 1. Positions start at 0.01, as in OpenAI's code.
 */
export function parameterLayout(config: ModelConfig): ParameterLayout {
  const { width: C, layers, vocabSize: V, contextLength: L } = config;
  const intoResidual = { normal: 0.02 / Math.sqrt(2 * layers) };
  const matrices: [string, number[], ParameterSpec["init"]][] = [
    ["transformer.wte.weight", [V, C], { normal: 0.02 }],
    ["transformer.wpe.weight", [L, C], { normal: 0.01 }],
  ];
  const vectors: [string, number[], ParameterSpec["init"]][] = [];
  const layernorm = (name: string): void => {
    vectors.push([`${name}.weight`, [C], { constant: 1 }], [`${name}.bias`, [C], { constant: 0 }]);
  };
  const linear = (name: string, from: number, to: number, init: ParameterSpec["init"]): void => {
    matrices.push([`${name}.weight`, [from, to], init]);
    vectors.push([`${name}.bias`, [to], { constant: 0 }]);
  };
  for (let layer = 0; layer < layers; layer++) {
    const h = `transformer.h.${layer}`;
    layernorm(`${h}.ln_1`);
    linear(`${h}.attn.c_attn`, C, 3 * C, { normal: 0.02 });
    linear(`${h}.attn.c_proj`, C, C, intoResidual);
    layernorm(`${h}.ln_2`);
    linear(`${h}.mlp.c_fc`, C, 4 * C, { normal: 0.02 });
    linear(`${h}.mlp.c_proj`, 4 * C, C, intoResidual);
  }
  layernorm("transformer.ln_f");

  const specs: ParameterSpec[] = [], alignment = viewAlignment("f16"); // the wider of the two
  let offset = 0, count = 0, decay = 0;
  for (const [list, decayed] of [[matrices, true], [vectors, false]] as const) {
    for (const [name, shape, init] of list) {
      const size = shape.reduce((a, b) => a * b, 1);
      specs.push({ name, shape, offset, size, init });
      count += size;
      offset = Math.ceil((offset + size) / alignment) * alignment;
    }
    if (decayed) decay = offset;
  }
  return { specs, poolSize: offset, decay, count };
}

/** First values of the whole pool, gaps zero, from `seed`. */
export function initialParameters(config: ModelConfig, seed: number): Float32Array<ArrayBuffer> {
  const { specs, poolSize } = parameterLayout(config);
  const pool = new Float32Array(poolSize);
  const random = new Random(seed);
  for (const { offset, size, init } of specs) {
    if ("constant" in init) pool.fill(init.constant, offset, offset + size);
    else for (let i = 0; i < size; i++) pool[offset + i] = random.normal() * init.normal;
  }
  return pool;
}

/** A matrix as a backend holds it: f32, or 8 bits for inference. */
export type Matrix = Tensor | Int8Matrix;

/** Tensors of one block; also the shape of their gradients. */
export interface BlockTensors<M extends Matrix = Tensor> {
  ln1Weight: Tensor;
  ln1Bias: Tensor;
  attnWeight: M;
  attnBias: Tensor;
  attnProjWeight: M;
  attnProjBias: Tensor;
  ln2Weight: Tensor;
  ln2Bias: Tensor;
  fcWeight: M;
  fcBias: Tensor;
  fcProjWeight: M;
  fcProjBias: Tensor;
}

/** The parameters of a model as a backend holds them. */
export interface ModelTensors<M extends Matrix = Matrix> {
  /** Token embedding and head (V, C). */
  wte: M;
  /** Position embedding (L, C). */
  wpe: Tensor;
  /** The blocks in order. */
  blocks: BlockTensors<M>[];
  /** Last LayerNorm (C). */
  lnfWeight: Tensor;
  /** Last LayerNorm (C). */
  lnfBias: Tensor;
}

/** Named views of a pool of parameters or of gradients. */
export interface ParameterTensors extends ModelTensors<Tensor> {
  /** The whole pool, gaps included. */
  pool: Tensor;
}

/** Allocates a pool on `backend` and names its parts. */
export function parameterTensors(backend: Backend, config: ModelConfig): ParameterTensors {
  const { specs, poolSize } = parameterLayout(config);
  const pool = backend.tensor([poolSize]);
  const byName = new Map(specs.map((spec) => [spec.name, spec]));
  const part = (name: string): Tensor => {
    const spec = byName.get(name)!;
    return backend.view(pool, spec.offset, spec.shape);
  };
  return { pool, ...modelTensors(config, part, part) };
}

/** The parameters in f16 for matrix products, made anew from those in f32 after each step. */
export interface HalfTensors {
  /** What a pass reads: matrices in f16; positions and vectors are those in f32 themselves. */
  tensors: ModelTensors<Tensor>;
  /** Records rounding the matrices of the f32 pool to f16. */
  refresh(ops: Ops): void;
}

/** Allocates the matrices of `parameters` once more, in f16. */
export function halfTensors(
  backend: Backend,
  config: ModelConfig,
  parameters: ParameterTensors,
): HalfTensors {
  const { specs, decay } = parameterLayout(config);
  const out = backend.tensor([decay], "f16"), x = backend.view(parameters.pool, 0, [decay]);
  const part = (name: string, pool: Tensor): Tensor => {
    const { offset, shape } = specs.find((spec) => spec.name === name)!;
    return backend.view(pool, offset, shape);
  };
  return {
    tensors: modelTensors(
      config,
      (name) => part(name, out),
      (name) => part(name, parameters.pool),
    ),
    refresh: (ops) => ops.cast({ out, x }),
  };
}

/** Names the parts of a model. `matrix` and `vector` give what has a Hugging Face name. */
export function modelTensors<M extends Matrix>(
  config: ModelConfig,
  matrix: (name: string) => M,
  vector: (name: string) => Tensor,
): ModelTensors<M> {
  return {
    wte: matrix("transformer.wte.weight"),
    wpe: vector("transformer.wpe.weight"),
    blocks: Array.from({ length: config.layers }, (_, layer) => {
      const h = `transformer.h.${layer}`;
      return {
        ln1Weight: vector(`${h}.ln_1.weight`),
        ln1Bias: vector(`${h}.ln_1.bias`),
        attnWeight: matrix(`${h}.attn.c_attn.weight`),
        attnBias: vector(`${h}.attn.c_attn.bias`),
        attnProjWeight: matrix(`${h}.attn.c_proj.weight`),
        attnProjBias: vector(`${h}.attn.c_proj.bias`),
        ln2Weight: vector(`${h}.ln_2.weight`),
        ln2Bias: vector(`${h}.ln_2.bias`),
        fcWeight: matrix(`${h}.mlp.c_fc.weight`),
        fcBias: vector(`${h}.mlp.c_fc.bias`),
        fcProjWeight: matrix(`${h}.mlp.c_proj.weight`),
        fcProjBias: vector(`${h}.mlp.c_proj.bias`),
      };
    }),
    lnfWeight: vector("transformer.ln_f.weight"),
    lnfBias: vector("transformer.ln_f.bias"),
  };
}
