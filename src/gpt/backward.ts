/**
 * The backward pass: src/gpt/forward.ts read from the end, one gradient for each of its lines.
 *
 * @module
 */

import type { Backend, Ops, Precision, Tensor } from "../backend/backend.ts";
import type { ModelConfig } from "../model/config.ts";
import type { ModelTensors, ParameterTensors } from "../model/parameters.ts";
import {
  type Activations,
  type Dropout,
  dropoutSite,
  type Head,
  headForward,
  type RowInputs,
} from "./forward.ts";

/** Gradients of activations; every block reuses them. */
export interface BackwardScratch {
  /** (N, C) gradient of the residual stream, carried from block to block. */
  dx: Tensor;
  /** (N, C) gradient of a LayerNorm's output. */
  dnorm: Tensor;
  /** (N, C) gradient of a branch after dropout; allocated only when there is dropout. */
  dbranch?: Tensor;
  /** (N, C) gradient of the attention output. */
  datt: Tensor;
  /** (N, 3C) gradient of query, key and value. */
  dqkv: Tensor;
  /** (N, 4C) gradient of the feed-forward before GELU. */
  dfc: Tensor;
}

/**
 * Allocates the scratch of the backward pass for `rows` rows.
 * @param precision Of all gradients but the residual stream's, which is f32.
 */
export function allocateScratch(
  backend: Backend,
  config: ModelConfig,
  rows: number,
  dropout: boolean,
  precision: Precision = "f32",
): BackwardScratch {
  const C = config.width;
  const gradient = (width: number) => backend.tensor([rows, width], precision);
  return {
    dx: backend.tensor([rows, C]),
    dnorm: gradient(C),
    dbranch: dropout ? gradient(C) : undefined,
    datt: gradient(C),
    dqkv: gradient(3 * C),
    dfc: gradient(4 * C),
  };
}

/** Records the gradients of out = a · weight + bias; `da` only if it is given. */
function linearBackward(
  ops: Ops,
  args: {
    dout: Tensor;
    a: Tensor;
    weight: Tensor;
    dweight: Tensor;
    dbias: Tensor;
    da: Tensor;
    geluFrom?: Tensor;
  },
): void {
  const { dout, a, weight, dweight, dbias, da, geluFrom } = args;
  ops.biasBackward({ dbias, dout });
  ops.matmul({ out: dweight, a, b: dout, transposeA: true, accumulate: true });
  ops.matmul({ out: da, a: dout, b: weight, transposeB: true, geluFrom });
}

/**
 * Records head, loss and the whole backward pass, after `sequenceForward` with the same arguments.
 * Gradients of parameters are added to `grads`, times the loss scale if the head has a `scaling`.
 */
export function sequenceBackward(
  backend: Backend,
  ops: Ops,
  inputs: RowInputs,
  params: ModelTensors<Tensor>,
  grads: ParameterTensors,
  acts: Activations,
  head: Head,
  scratch: BackwardScratch,
  shape: { B: number; NH: number },
  dropout?: Dropout,
): void {
  const { dx, dnorm, dbranch, datt, dqkv, dfc } = scratch;
  const C = acts.lnf.shape[1];

  headForward(backend, ops, params, acts.lnf, head, ({ dlogits, first, rows }) => {
    const lnf = backend.view(acts.lnf, first * C, [rows, C]);
    const dlnf = backend.view(dnorm, first * C, [rows, C]);
    ops.matmul({ out: dlnf, a: dlogits, b: params.wte });
    ops.matmul({ out: grads.wte, a: dlogits, b: lnf, transposeA: true, accumulate: true });
  });
  ops.fill({ x: dx, value: 0 });
  ops.layernormBackward({
    dx,
    dweight: grads.lnfWeight,
    dbias: grads.lnfBias,
    dout: dnorm,
    x: acts.blocks.at(-1)!.out,
    weight: params.lnfWeight,
    mean: acts.meanf,
    rstd: acts.rstdf,
  });

  /** The gradient that enters a branch: the stream's own, or its copy under the branch's mask. */
  const branchGradient = (site: number): Tensor => {
    if (!dropout || !dbranch) return dx;
    ops.cast({ out: dbranch, x: dx });
    ops.dropout({ x: dbranch, ...dropout, site });
    return dbranch;
  };

  for (let layer = acts.blocks.length - 1; layer >= 0; layer--) {
    const act = acts.blocks[layer], param = params.blocks[layer], grad = grads.blocks[layer];
    linearBackward(ops, {
      dout: branchGradient(dropoutSite.feedForward(layer)),
      a: act.fcGelu,
      weight: param.fcProjWeight,
      dweight: grad.fcProjWeight,
      dbias: grad.fcProjBias,
      da: dfc,
      geluFrom: act.fc,
    });
    linearBackward(ops, {
      dout: dfc,
      a: act.ln2,
      weight: param.fcWeight,
      dweight: grad.fcWeight,
      dbias: grad.fcBias,
      da: dnorm,
    });
    ops.layernormBackward({
      dx,
      dweight: grad.ln2Weight,
      dbias: grad.ln2Bias,
      dout: dnorm,
      x: act.mid,
      weight: param.ln2Weight,
      mean: act.mean2,
      rstd: act.rstd2,
    });
    linearBackward(ops, {
      dout: branchGradient(dropoutSite.attention(layer)),
      a: act.att,
      weight: param.attnProjWeight,
      dweight: grad.attnProjWeight,
      dbias: grad.attnProjBias,
      da: datt,
    });
    ops.attentionBackward({
      dqkv,
      dout: datt,
      out: act.att,
      lse: act.lse,
      qkv: act.qkv,
      positions: inputs.positions,
      ...shape,
    });
    linearBackward(ops, {
      dout: dqkv,
      a: act.ln1,
      weight: param.attnWeight,
      dweight: grad.attnWeight,
      dbias: grad.attnBias,
      da: dnorm,
    });
    ops.layernormBackward({
      dx,
      dweight: grad.ln1Weight,
      dbias: grad.ln1Bias,
      dout: dnorm,
      x: layer === 0 ? acts.embedded : acts.blocks[layer - 1].out,
      weight: param.ln1Weight,
      mean: act.mean1,
      rstd: act.rstd1,
    });
  }
  if (dropout) ops.dropout({ x: dx, ...dropout, site: dropoutSite.embedding });
  ops.embeddingBackward({ dwte: grads.wte, dwpe: grads.wpe, dout: dx, ...inputs });
}
