/**
 * Turns calls of operations into the words of a program.
 *
 * @module
 */

import {
  dropoutThreshold,
  type MatmulArgs,
  type MatmulInt8Args,
  type Ops,
  type Tensor,
} from "../backend.ts";
import { matmulSize } from "../checked.ts";
import { Int8Flag, MatmulFlag, Opcode } from "./opcodes.ts";

type Args<Name extends keyof Ops> = Parameters<Ops[Name]>[0];

/** Longest part of k that the matrix product packs at once; KC of assembly/matmul.ts. */
const PACKED_ROWS = 384;
/** Elements of a block of `sum` and `gradientNorm`; BLOCK of assembly/elementwise.ts. */
const SUM_BLOCK = 16384;
/** Most blocks of rows whose columns are summed apart; of assembly/elementwise.ts. */
const ROW_BLOCKS = 64;

/**
 * Most rows of one product with a matrix of int8: a thread keeps 128 bytes for each in its scratch,
 * beside four quantized rows of at most 64 KiB.
 */
const INT8_ROWS = 4096;

const floatBits = new Float32Array(1);
const bitsOf = new Uint32Array(floatBits.buffer);

/** The 32 bits of an f32. */
function bits(value: number): number {
  floatBits[0] = value;
  return bitsOf[0];
}

/** @throws {TypeError} if there is a state of loss scaling, which only f16 has a use for. */
function refuse(scaling: Tensor | undefined): void {
  if (scaling) throw new TypeError("The wasm backend has no loss scaling: compute in f32 without.");
}

/** What the recorder asks of its backend. */
export interface RecorderHost {
  /** Number of threads. */
  readonly threads: number;
  /** Address of a tensor of this backend. */
  address(tensor: Tensor): number;
}

/** Records commands; see opcodes.ts for their form and assembly/ for each list of arguments. */
export class Recorder implements Ops {
  /** The program so far. */
  readonly words: number[] = [];
  /** Number of commands. */
  length = 0;
  /** Bytes of shared scratch that the greediest command needs. */
  scratch = 0;
  readonly #host: RecorderHost;

  /** @param host The backend whose tensors are used. */
  constructor(host: RecorderHost) {
    this.#host = host;
  }

  #push(opcode: Opcode, ...args: (Tensor | number | undefined)[]): void {
    this.words.push(opcode, args.length + 2);
    for (const arg of args) {
      this.words.push(typeof arg === "object" ? this.#host.address(arg) : arg ?? 0);
    }
    this.length++;
  }

  #needScratch(bytes: number): void {
    this.scratch = Math.max(this.scratch, bytes);
  }

  /** Scratch for each thread apart; returns the bytes of one. */
  #needThreadScratch(bytes: number): number {
    const padded = Math.ceil(bytes / 4096) * 4096;
    this.#needScratch(padded * this.#host.threads);
    return padded;
  }

  fill({ x, value }: Args<"fill">): void {
    this.#push(Opcode.fill, x, x.size, bits(value));
  }

  cast({ out, x }: Args<"cast">): void {
    this.fill({ x: out, value: 0 });
    this.add({ out, a: out, b: x });
  }

  embeddingForward({ out, tokens, positions, wte, wpe }: Args<"embeddingForward">): void {
    const tables = [wte.shape[0], wpe.shape[0]];
    this.#push(Opcode.embeddingForward, out, tokens, positions, wte, wpe, ...out.shape, ...tables);
  }

  embeddingBackward({ dwte, dwpe, dout, tokens, positions }: Args<"embeddingBackward">): void {
    const sizes = [...dout.shape, dwte.shape[0], dwpe.shape[0]];
    this.#push(Opcode.embeddingBackward, dwte, dwpe, dout, tokens, positions, ...sizes);
  }

  layernormForward({ out, mean, rstd, x, weight, bias }: Args<"layernormForward">): void {
    this.#push(Opcode.layernormForward, out, mean, rstd, x, weight, bias, ...x.shape);
  }

  layernormBackward(args: Args<"layernormBackward">): void {
    const { dx, dweight, dbias, dout, x, weight, mean, rstd } = args;
    this.#needScratch(ROW_BLOCKS * 2 * x.shape[1] * 4);
    this.#push(
      Opcode.layernormBackward,
      ...[dx, dweight, dbias, dout, x, weight, mean, rstd],
      ...x.shape,
    );
  }

  matmul(args: MatmulArgs): void {
    const { m, n, k } = matmulSize(args);
    const flags = (args.transposeA ? MatmulFlag.transposeA : 0) |
      (args.transposeB ? MatmulFlag.transposeB : 0) |
      (args.accumulate ? MatmulFlag.accumulate : 0);
    this.#needScratch(Math.min(k, PACKED_ROWS) * Math.ceil(n / 8) * 8 * 4);
    const { out, a, b, bias, geluInto, geluFrom, residual } = args;
    this.#push(Opcode.matmul, out, a, b, bias, geluInto, geluFrom, residual, m, n, k, flags);
  }

  biasBackward({ dbias, dout }: Args<"biasBackward">): void {
    this.#needScratch(ROW_BLOCKS * dout.shape[1] * 4);
    this.#push(Opcode.biasBackward, dbias, dout, ...dout.shape);
  }

  attentionForward({ out, lse, qkv, positions, B, NH }: Args<"attentionForward">): void {
    const [N, C] = out.shape;
    const T = N / B, HS = C / NH;
    const scratch = this.#needThreadScratch(2 * (T + 8) * (HS + 8) * 4);
    this.#push(Opcode.attentionForward, out, lse, qkv, positions, B, T, NH, HS, scratch);
  }

  attentionBackward(args: Args<"attentionBackward">): void {
    const { dqkv, dout, out, lse, qkv, positions, B, NH } = args;
    const [N, C] = out.shape;
    const T = N / B, HS = C / NH;
    const scratch = this.#needThreadScratch((7 * (T + 8) * (HS + 8) + T) * 4);
    this.#push(
      Opcode.attentionBackward,
      ...[dqkv, dout, out, lse, qkv, positions],
      ...[B, T, NH, HS, scratch],
    );
  }

  crossEntropy({ losses, logits, targets, scale, scaling }: Args<"crossEntropy">): void {
    refuse(scaling);
    this.#push(Opcode.crossEntropy, losses, logits, targets, scale, ...logits.shape);
  }

  dropout({ x, rate, seed, site }: Args<"dropout">): void {
    const keep = dropoutThreshold(rate), factor = bits(1 / (1 - rate));
    this.#push(Opcode.dropout, x, x.size, keep, factor, seed, site);
  }

  add({ out, a, b }: Args<"add">): void {
    this.#push(Opcode.add, out, a, b, out.size);
  }

  sum({ out, x }: Args<"sum">): void {
    this.#needScratch(Math.ceil(x.size / SUM_BLOCK) * 8);
    this.#push(Opcode.sum, out, x, x.size);
  }

  gradientNorm({ norm, grads, scaling }: Args<"gradientNorm">): void {
    refuse(scaling);
    this.#needScratch(Math.ceil(grads.size / SUM_BLOCK) * 8);
    this.#push(Opcode.gradientNorm, norm, grads, grads.size);
  }

  adamw({ params, grads, m, v, norm, hyper, decay, scaling }: Args<"adamw">): void {
    refuse(scaling);
    this.#push(Opcode.adamw, params, grads, m, v, params.size, norm, hyper, decay);
  }

  adjustLossScale({ scaling }: Args<"adjustLossScale">): void {
    refuse(scaling);
  }

  attentionCached(args: Args<"attentionCached">): void {
    const { out, qkv, keys, values, positions, slots, NH } = args;
    const [S, , L, HS] = keys.shape;
    const scratch = this.#needThreadScratch(L * 4);
    this.#push(
      Opcode.attentionCached,
      ...[out, qkv, keys, values, positions, slots],
      ...[out.shape[0], NH, HS, S, L, scratch],
    );
  }

  attentionCachedInt8(args: Args<"attentionCachedInt8">): void {
    const { out, qkv, cache: { keys, values, factors }, positions, slots, NH } = args;
    const [S, , L, quads] = keys.shape, HS = 4 * quads;
    const scratch = this.#needThreadScratch(6 * L + 2 * HS + 4); // scores, weights; the query
    this.#push(
      Opcode.attentionCachedInt8,
      ...[out, qkv, keys, values, factors, positions, slots],
      ...[out.shape[0], NH, HS, S, L, scratch],
    );
  }

  embeddingForwardInt8(args: Args<"embeddingForwardInt8">): void {
    const { out, tokens, positions, wte, wpe } = args;
    this.#push(
      Opcode.embeddingForwardInt8,
      ...[out, tokens, positions, wte.packed, wte.scales, wpe],
      ...[...out.shape, wte.scales.size, wpe.shape[0]],
    );
  }

  matmulInt8({ out, a, b, bias, gelu, residual }: MatmulInt8Args): void {
    const [m, k] = a.shape, n = b.scales.size, flags = gelu ? Int8Flag.gelu : 0;
    const rowOf = (tensor: Tensor | undefined, row: number) =>
      tensor && this.#host.address(tensor) + 4 * row * tensor.shape[1];
    this.#needScratch(Math.min(m, INT8_ROWS) * (k + 32)); // the rows of `a`, quantized
    for (let row = 0; row < m; row += INT8_ROWS) {
      this.#push(
        Opcode.matmulInt8,
        ...[rowOf(out, row), rowOf(a, row), b.packed, b.scales, b.sums, bias, rowOf(residual, row)],
        ...[Math.min(INT8_ROWS, m - row), n, k, flags],
      );
    }
  }

  topLogits({ out, logits }: Args<"topLogits">): void {
    this.#push(Opcode.topLogits, out, logits, ...logits.shape, (out.shape[1] - 1) / 2);
  }

  drawTokens(args: Args<"drawTokens">): void {
    const { drawn, tokens, positions, ends, top, rules, chances } = args;
    const [N, width] = top.shape, K = (width - 1) / 2;
    this.#push(
      Opcode.drawTokens,
      ...[drawn, tokens, positions, ends, top, rules, chances],
      ...[N, K],
    );
  }
}
