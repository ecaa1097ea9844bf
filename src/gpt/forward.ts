/**
 * The forward pass of GPT-2 (Radford et al. 2019), written once on the backend interface.
 *
 * Letters: `B` sequences of `T` tokens, `N = B·T` rows, `C` width, `V` vocabulary.
 *
 * @module
 */

import {
  type Backend,
  type Int8Matrix,
  type Ops,
  type Precision,
  type Tensor,
  viewAlignment,
} from "../backend/backend.ts";
import type { ModelConfig } from "../model/config.ts";
import type { BlockTensors, Matrix, ModelTensors } from "../model/parameters.ts";

/** What a block computes on the way and its backward pass reads again. */
export interface BlockActivations {
  /** (N, C) first LayerNorm. */
  ln1: Tensor;
  /** (N) its means. */
  mean1: Tensor;
  /** (N) its reciprocal deviations. */
  rstd1: Tensor;
  /** (N, 3C) query, key and value. */
  qkv: Tensor;
  /** (N, C) attention, heads side by side. */
  att: Tensor;
  /** (N, NH) log-sum-exp of attention scores. */
  lse: Tensor;
  /** (N, C) residual stream after attention. */
  mid: Tensor;
  /** (N, C) second LayerNorm. */
  ln2: Tensor;
  /** (N) its means. */
  mean2: Tensor;
  /** (N) its reciprocal deviations. */
  rstd2: Tensor;
  /** (N, 4C) feed-forward before GELU. */
  fc: Tensor;
  /** (N, 4C) feed-forward after GELU. */
  fcGelu: Tensor;
  /** (N, C) residual stream after the block. */
  out: Tensor;
}

/** Everything the forward pass writes. */
export interface Activations {
  /** (N, C) residual stream before the first block. */
  embedded: Tensor;
  /** One entry per block; all the same tensors when nothing is kept for a backward pass. */
  blocks: BlockActivations[];
  /** (N, C) last LayerNorm. */
  lnf: Tensor;
  /** (N) its means. */
  meanf: Tensor;
  /** (N) its reciprocal deviations. */
  rstdf: Tensor;
}

/**
 * Allocates activations for `rows` rows.
 * @param keep Keep every block's activations for a backward pass; otherwise blocks share them.
 * @param precision Of what goes into matrix products and attention and comes out of them. The
 * residual stream, means, deviations and `lse` are f32 all the same.
 */
export function allocateActivations(
  backend: Backend,
  config: ModelConfig,
  rows: number,
  keep: boolean,
  precision: Precision = "f32",
): Activations {
  const { width: C, heads: NH, layers } = config;
  const tensor = (...shape: number[]) => backend.tensor(shape);
  const factor = (...shape: number[]) => backend.tensor(shape, precision);
  const block = (out: Tensor): BlockActivations => ({
    ln1: factor(rows, C),
    mean1: tensor(rows),
    rstd1: tensor(rows),
    qkv: factor(rows, 3 * C),
    att: factor(rows, C),
    lse: tensor(rows, NH),
    mid: tensor(rows, C),
    ln2: factor(rows, C),
    mean2: tensor(rows),
    rstd2: tensor(rows),
    fc: factor(rows, 4 * C),
    fcGelu: factor(rows, 4 * C),
    out,
  });
  const embedded = tensor(rows, C);
  const shared = keep ? undefined : block(embedded);
  return {
    embedded,
    blocks: Array.from({ length: layers }, () => shared ?? block(tensor(rows, C))),
    lnf: factor(rows, C),
    meanf: tensor(rows),
    rstdf: tensor(rows),
  };
}

/** The first `rows` rows of activations that are not kept for a backward pass. */
export function activationRows(
  backend: Backend,
  { blocks, lnf, meanf, rstdf }: Activations,
  rows: number,
): Activations {
  const first = (tensor: Tensor) => backend.view(tensor, 0, [rows, ...tensor.shape.slice(1)]);
  const [shared] = blocks;
  const block = Object.fromEntries(
    Object.entries(shared).map(([name, tensor]) => [name, first(tensor)]),
  ) as unknown as BlockActivations;
  return {
    embedded: block.out,
    blocks: blocks.map(() => block),
    lnf: first(lnf),
    meanf: first(meanf),
    rstdf: first(rstdf),
  };
}

/** Every tensor of `activations`, once, for {@linkcode Backend.free}. */
export function activationTensors(activations: Activations): Set<Tensor> {
  const { blocks, ...rest } = activations;
  return new Set([...Object.values(rest), ...blocks.flatMap((block) => Object.values(block))]);
}

/** Dropout of a training pass: its rate, and the seed that the host changes at every step. */
export interface Dropout {
  /** Probability of dropping an element, in [0, 1). */
  rate: number;
  /** u32 (1). */
  seed: Tensor;
}

/** Dropout sites: the embedding, then two in every block, so that each has its own mask. */
export const dropoutSite = {
  embedding: 0,
  attention: (layer: number): number => 1 + 2 * layer,
  feedForward: (layer: number): number => 2 + 2 * layer,
};

/** out = a · weight + bias, then GELU (what it is applied to is kept in `geluInto`) or a residual. */
function linear(
  ops: Ops,
  args: {
    out: Tensor;
    a: Tensor;
    weight: Matrix;
    bias: Tensor;
    geluInto?: Tensor;
    residual?: Tensor;
  },
): void {
  const { out, a, weight: b, bias, geluInto, residual } = args;
  if (isInt8(b)) ops.matmulInt8({ out, a, b, bias, gelu: geluInto !== undefined, residual });
  else ops.matmul({ out, a, b, bias, geluInto, residual });
}

const isInt8 = (matrix: Matrix): matrix is Int8Matrix => "packed" in matrix;

/** logits (R, V) = a (R, C) · transpose of the token embedding. */
export function headLogits(ops: Ops, out: Tensor, a: Tensor, wte: Matrix): void {
  if (isInt8(wte)) ops.matmulInt8({ out, a, b: wte });
  else ops.matmul({ out, a, b: wte, transposeB: true });
}

/** out = dropout(a · weight + bias) + residual. */
function projectIntoResidual(
  ops: Ops,
  args: { out: Tensor; a: Tensor; weight: Matrix; bias: Tensor; residual: Tensor },
  site: number,
  dropout?: Dropout,
): void {
  const { residual, ...product } = args, { out } = args;
  if (!dropout) return linear(ops, args);
  linear(ops, product);
  ops.dropout({ x: out, ...dropout, site });
  ops.add({ out, a: out, b: residual });
}

/** Records one block; `attend` records attention from `qkv` into `att`. */
function blockForward(
  ops: Ops,
  x: Tensor,
  params: BlockTensors<Matrix>,
  acts: BlockActivations,
  layer: number,
  attend: () => void,
  dropout?: Dropout,
): void {
  ops.layernormForward({
    out: acts.ln1,
    mean: acts.mean1,
    rstd: acts.rstd1,
    x,
    weight: params.ln1Weight,
    bias: params.ln1Bias,
  });
  linear(ops, { out: acts.qkv, a: acts.ln1, weight: params.attnWeight, bias: params.attnBias });
  attend();
  projectIntoResidual(
    ops,
    {
      out: acts.mid,
      a: acts.att,
      weight: params.attnProjWeight,
      bias: params.attnProjBias,
      residual: x,
    },
    dropoutSite.attention(layer),
    dropout,
  );
  ops.layernormForward({
    out: acts.ln2,
    mean: acts.mean2,
    rstd: acts.rstd2,
    x: acts.mid,
    weight: params.ln2Weight,
    bias: params.ln2Bias,
  });
  linear(ops, {
    out: acts.fcGelu,
    a: acts.ln2,
    weight: params.fcWeight,
    bias: params.fcBias,
    geluInto: acts.fc,
  });
  projectIntoResidual(
    ops,
    {
      out: acts.out,
      a: acts.fcGelu,
      weight: params.fcProjWeight,
      bias: params.fcProjBias,
      residual: acts.mid,
    },
    dropoutSite.feedForward(layer),
    dropout,
  );
}

/** Inputs of a pass over rows of tokens. */
export interface RowInputs {
  /** u32 (N). */
  tokens: Tensor;
  /** u32 (N), each row's place in its document. */
  positions: Tensor;
}

/**
 * Records the blocks, from tokens to the last LayerNorm.
 * @param attend Records the attention of one block: reads its `qkv`, writes its `att`.
 */
export function blocksForward(
  ops: Ops,
  inputs: RowInputs,
  params: ModelTensors,
  acts: Activations,
  attend: (block: BlockActivations, layer: number) => void,
  dropout?: Dropout,
): void {
  const { tokens, positions } = inputs;
  const { wte, wpe } = params, out = acts.embedded;
  if (isInt8(wte)) ops.embeddingForwardInt8({ out, tokens, positions, wte, wpe });
  else ops.embeddingForward({ out, tokens, positions, wte, wpe });
  if (dropout) ops.dropout({ x: acts.embedded, ...dropout, site: dropoutSite.embedding });
  let x = acts.embedded;
  acts.blocks.forEach((block, layer) => {
    blockForward(ops, x, params.blocks[layer], block, layer, () => attend(block, layer), dropout);
    x = block.out;
  });
  ops.layernormForward({
    out: acts.lnf,
    mean: acts.meanf,
    rstd: acts.rstdf,
    x,
    weight: params.lnfWeight,
    bias: params.lnfBias,
  });
}

/** Records the pass over `B` packed sequences, without a cache. */
export function sequenceForward(
  ops: Ops,
  inputs: RowInputs,
  params: ModelTensors,
  acts: Activations,
  shape: { B: number; NH: number },
  dropout?: Dropout,
): void {
  const attend = ({ att: out, lse, qkv }: BlockActivations) =>
    ops.attentionForward({ out, lse, qkv, positions: inputs.positions, ...shape });
  blocksForward(ops, inputs, params, acts, attend, dropout);
}

/** Largest number of logits held at once, 16 MiB of f32. */
const HEAD_CHUNK = 1 << 22;

/** Rows of the head's chunks: aligned, and few enough that rows · V stays small. */
export function headChunkRows(rows: number, vocabSize: number): number {
  const alignment = viewAlignment("f16"); // the wider one
  const fitting = Math.floor(HEAD_CHUNK / vocabSize / alignment) * alignment;
  return Math.min(rows, Math.max(alignment, fitting));
}

/** The tensors of the fused head: logits of one chunk, losses of all rows. */
export interface Head {
  /** (R, V) logits of one chunk, then their gradient. */
  logits: Tensor;
  /** (N) losses in nats. */
  losses: Tensor;
  /** u32 (N) targets. */
  targets: Tensor;
  /** (1) what a row's gradient is multiplied by: 1 / rows that count. */
  scale: Tensor;
  /** (4) the state of loss scaling; there is one where gradients are f16. */
  scaling?: Tensor;
}

/** Allocates the head for `rows` rows, with logits in `precision`. */
export function allocateHead(
  backend: Backend,
  config: ModelConfig,
  rows: number,
  precision: Precision = "f32",
): Head {
  const { vocabSize: V } = config;
  return {
    logits: backend.tensor([headChunkRows(rows, V), V], precision),
    losses: backend.tensor([rows]),
    targets: backend.tensor([rows], "u32"),
    scale: backend.tensor([1]),
  };
}

/**
 * Records the tied head and its loss, chunk by chunk, so that no (N, V) matrix exists.
 * @param backward Records what a chunk's gradient is used for, before the next chunk replaces it.
 */
export function headForward(
  backend: Backend,
  ops: Ops,
  params: ModelTensors,
  lnf: Tensor,
  head: Head,
  backward?: (chunk: { dlogits: Tensor; first: number; rows: number }) => void,
): void {
  const [N, C] = lnf.shape;
  const [most, V] = head.logits.shape;
  for (let first = 0; first < N; first += most) {
    const rows = Math.min(most, N - first);
    const logits = backend.view(head.logits, 0, [rows, V]);
    const a = backend.view(lnf, first * C, [rows, C]);
    headLogits(ops, logits, a, params.wte);
    ops.crossEntropy({
      losses: backend.view(head.losses, first, [rows]),
      logits,
      targets: backend.view(head.targets, first, [rows]),
      scale: head.scale,
      scaling: head.scaling,
    });
    backward?.({ dlogits: logits, first, rows });
  }
}
