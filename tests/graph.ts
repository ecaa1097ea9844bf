/** The graph of src/gpt on any backend, as the gradient tests build it. */

import {
  type Backend,
  IGNORED,
  type Precision,
  type Program,
  type Tensor,
} from "../src/backend/backend.ts";
import { allocateScratch, sequenceBackward } from "../src/gpt/backward.ts";
import {
  allocateActivations,
  allocateHead,
  headForward,
  sequenceForward,
} from "../src/gpt/forward.ts";
import type { ModelConfig } from "../src/model/config.ts";
import {
  halfTensors,
  parameterLayout,
  type ParameterTensors,
  parameterTensors,
} from "../src/model/parameters.ts";
import type { Random } from "../src/random.ts";
import type { Batch } from "../src/corpus/batches.ts";
import { packedPositions } from "./op_case.ts";

/** Rows of a head chunk: the least that views allow, so that a small batch has several chunks. */
const HEAD_ROWS = 64;

/** A pool of random parameters, larger than first values are, so that all gradients matter. */
export function largeParameters(config: ModelConfig, random: Random): Float32Array<ArrayBuffer> {
  const { specs, poolSize } = parameterLayout(config);
  const pool = new Float32Array(poolSize);
  for (const { offset, size, init } of specs) {
    const centre = "constant" in init ? init.constant : 0;
    for (let i = 0; i < size; i++) pool[offset + i] = centre + 0.3 * random.normal();
  }
  return pool;
}

/** `B` rows of `T` random tokens: several documents in each row, a tenth of the targets ignored. */
export function packedBatch(config: ModelConfig, B: number, T: number, random: Random): Batch {
  const positions = packedPositions(random, B, T).data as Uint32Array<ArrayBuffer>;
  const token = () => random.below(config.vocabSize);
  const targets = Uint32Array.from(
    { length: B * T },
    () => random.uniform() < 0.1 ? IGNORED : token(),
  );
  return {
    tokens: Uint32Array.from({ length: B * T }, token),
    positions,
    targets,
    count: targets.filter((target) => target !== IGNORED).length,
    bytes: 0,
  };
}

/** Programs for the losses, the gradients and the logits of one batch. */
export interface Graph {
  params: ParameterTensors;
  grads: ParameterTensors;
  /** (N) losses in nats, written by `loss` and `backward`. */
  losses: Tensor;
  /** (4) the state of loss scaling, in f16; gradients are as large as it says. */
  scaling?: Tensor;
  /** (N, V), written by `logits`. */
  logits: Tensor;
  programs: { loss: Program; backward: Program; logits: Program };
}

/** Allocates and records everything for `batch`, whose gradients are those of its mean loss. */
export function buildGraph(
  backend: Backend,
  config: ModelConfig,
  B: number,
  batch: Batch,
  rate: number = 0,
  precision: Precision = "f32",
): Graph {
  const N = batch.tokens.length;
  const shape = { B, NH: config.heads };
  const params = parameterTensors(backend, config), grads = parameterTensors(backend, config);
  const inputs = { tokens: backend.tensor([N], "u32"), positions: backend.tensor([N], "u32") };
  const half = precision === "f16" ? halfTensors(backend, config, params) : undefined;
  const weights = half?.tensors ?? params;
  const head = {
    ...allocateHead(backend, config, N, precision),
    logits: backend.tensor([HEAD_ROWS, config.vocabSize], precision),
  };
  const seed = backend.tensor([1], "u32");
  backend.write(inputs.tokens, batch.tokens);
  backend.write(inputs.positions, batch.positions);
  backend.write(head.targets, batch.targets);
  backend.write(head.scale, Float32Array.of(1 / batch.count));
  backend.write(seed, Uint32Array.of(12345));
  const dropout = rate > 0 ? { rate, seed } : undefined;
  const acts = allocateActivations(backend, config, N, true, precision);
  const scratch = allocateScratch(backend, config, N, rate > 0, precision);
  const logits = backend.tensor([N, config.vocabSize]);
  return {
    params,
    grads,
    losses: head.losses,
    scaling: head.scaling,
    logits,
    programs: {
      loss: backend.record((ops) => {
        half?.refresh(ops);
        sequenceForward(ops, inputs, weights, acts, shape, dropout);
        headForward(backend, ops, weights, acts.lnf, head);
      }),
      backward: backend.record((ops) => {
        ops.fill({ x: grads.pool, value: 0 });
        half?.refresh(ops);
        sequenceForward(ops, inputs, weights, acts, shape, dropout);
        sequenceBackward(backend, ops, inputs, weights, grads, acts, head, scratch, shape, dropout);
      }),
      logits: backend.record((ops) => {
        half?.refresh(ops);
        sequenceForward(ops, inputs, weights, acts, shape, dropout);
        ops.matmul({ out: logits, a: acts.lnf, b: weights.wte, transposeB: true });
      }),
    },
  };
}
