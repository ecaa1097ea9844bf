/**
 * The operations as dispatches of WGSL kernels.
 *
 * @module
 */

import { dropoutThreshold, type MatmulArgs, type Ops, type Tensor } from "../backend.ts";
import { matmulSize } from "../checked.ts";
import adamwCode from "./adamw.wgsl" with { type: "text" };
import addCode from "./add.wgsl" with { type: "text" };
import attentionBackwardKeysCode from "./attention_backward_keys.wgsl" with { type: "text" };
import attentionBackwardQueriesCode from "./attention_backward_queries.wgsl" with { type: "text" };
import attentionCachedCode from "./attention_cached.wgsl" with { type: "text" };
import attentionCachedStoreCode from "./attention_cached_store.wgsl" with { type: "text" };
import attentionForwardCode from "./attention_forward.wgsl" with { type: "text" };
import columnSumsCode from "./column_sums.wgsl" with { type: "text" };
import crossEntropyCode from "./cross_entropy.wgsl" with { type: "text" };
import dropoutCode from "./dropout.wgsl" with { type: "text" };
import embeddingBackwardCode from "./embedding_backward.wgsl" with { type: "text" };
import embeddingForwardCode from "./embedding_forward.wgsl" with { type: "text" };
import fillCode from "./fill.wgsl" with { type: "text" };
import layernormBackwardCode from "./layernorm_backward.wgsl" with { type: "text" };
import layernormForwardCode from "./layernorm_forward.wgsl" with { type: "text" };
import matmulCode from "./matmul.wgsl" with { type: "text" };
import epilogueCode from "./matmul_epilogue.wgsl" with { type: "text" };
import matmulSplitsCode from "./matmul_splits.wgsl" with { type: "text" };
import { planMatmul } from "./matmul_plan.ts";
import { type Dispatch, float, type WebGpuTensor } from "./program.ts";
import reduceCode from "./reduce.wgsl" with { type: "text" };
import slicesCode from "./slices.wgsl" with { type: "text" };
import sumCode from "./sum.wgsl" with { type: "text" };

type Args<Name extends keyof Ops> = Parameters<Ops[Name]>[0];

/** Lanes of a workgroup that reduces a row, chosen by the row's Values. */
const lanesFor = (values: number): number => values <= 256 ? 64 : 256;

const on = (flags: Record<string, unknown>): string[] =>
  Object.keys(flags).filter((name) => flags[name]);

/** Records ops as dispatches. */
export class Recorder implements Ops {
  /** What was recorded. */
  readonly dispatches: Dispatch[] = [];
  /** Number of ops recorded. */
  length = 0;
  readonly #maxBinding: number;
  readonly #scratch: (elements: number) => WebGpuTensor;

  /**
   * @param maxBinding Largest number of bytes of a tensor that one dispatch may touch.
   * @param scratch Gives storage that holds until the op's last dispatch.
   */
  constructor(maxBinding: number, scratch: (elements: number) => WebGpuTensor) {
    this.#maxBinding = maxBinding;
    this.#scratch = scratch;
  }

  fill({ x, value }: Args<"fill">): void {
    this.length++;
    for (const { part, elements } of this.#pieces(x)) {
      const vec4 = elements % 4 === 0;
      const size = vec4 ? elements / 4 : elements;
      const y = part(x);
      this.#push("fill", fillCode, [y], [y], size / 256, {
        flags: on({ VEC4: vec4 }),
        sizes: [size, float(value)],
        work: elements,
      });
    }
  }

  embeddingForward({ out, tokens, positions, wte, wpe }: Args<"embeddingForward">): void {
    this.length++;
    const [N, C] = out.shape;
    const vec4 = C % 4 === 0;
    const width = vec4 ? C / 4 : C;
    this.#push(
      "embeddingForward",
      embeddingForwardCode,
      [out, tokens, positions, wte, wpe],
      [out],
      N * width / 256,
      {
        flags: on({ VEC4: vec4 }),
        sizes: [N * width, width],
        work: 2 * N * C,
      },
    );
  }

  embeddingBackward({ dwte, dwpe, dout, tokens, positions }: Args<"embeddingBackward">): void {
    this.length++;
    const [N, C] = dout.shape;
    const vec4 = C % 4 === 0;
    const width = vec4 ? C / 4 : C;
    const blocks = Math.ceil(width / 64);
    for (const [table, indices] of [[dwte, tokens], [dwpe, positions]]) {
      const [rows] = table.shape;
      this.#push(
        "embeddingBackward",
        embeddingBackwardCode,
        [table, dout, indices],
        [table],
        rows * blocks,
        {
          constants: { LANES: 64 },
          flags: on({ VEC4: vec4 }),
          sizes: [N, width, blocks, rows],
          work: rows * blocks * N + N * C,
        },
      );
    }
  }

  layernormForward({ out, mean, rstd, x, weight, bias }: Args<"layernormForward">): void {
    this.length++;
    const [N, C] = x.shape;
    const vec4 = C % 4 === 0;
    const width = vec4 ? C / 4 : C;
    this.#push(
      "layernormForward",
      [reduceCode, layernormForwardCode],
      [out, mean, rstd, x, weight, bias],
      [out, mean, rstd],
      N,
      {
        constants: { LANES: lanesFor(width) },
        flags: on({ VEC4: vec4 }),
        sizes: [N, width, float(1 / C)],
        work: 8 * N * C,
      },
    );
  }

  layernormBackward(args: Args<"layernormBackward">): void {
    this.length++;
    const { dx, dweight, dbias, dout, x, weight, mean, rstd } = args;
    const [N, C] = x.shape;
    const vec4 = C % 4 === 0;
    const width = vec4 ? C / 4 : C;
    this.#push(
      "layernormBackward",
      [reduceCode, layernormBackwardCode],
      [dx, dout, x, weight, mean, rstd],
      [dx],
      N,
      {
        constants: { LANES: lanesFor(width) },
        flags: on({ VEC4: vec4 }),
        sizes: [N, width, float(1 / C)],
        work: 12 * N * C,
      },
    );
    this.#columnSums("layernormBackward", dout, dbias, { dweight, x, mean, rstd });
  }

  matmul(args: MatmulArgs): void {
    this.length++;
    const { m, n, k } = matmulSize(args);
    const { out, a, b, transposeA, transposeB, bias, geluInto, geluFrom, residual } = args;
    const { side, splits, depth } = planMatmul(m, n, k, this.#maxBinding / 4);
    const tile = 8 * side;
    const grid = [Math.ceil(n / tile), Math.ceil(m / tile), splits] as const;
    const layout = on({
      TRANSPOSE_A: transposeA,
      TRANSPOSE_B: transposeB,
      A4: (transposeA ? m : k) % 4 === 0,
      B4: (transposeB ? k : n) % 4 === 0,
      N4: n % 4 === 0,
    });
    const epilogue = on({
      N4: n % 4 === 0,
      BIAS: bias,
      GELU_INTO: geluInto,
      GELU_FROM: geluFrom,
      RESIDUAL: residual,
      ACCUMULATE: args.accumulate,
    });
    const extras = [bias, geluInto, geluFrom, residual];
    const writes = geluInto ? [out, geluInto] : [out];
    const sizes = [m, n, k, depth];
    const work = 2 * m * n * k;
    const constants = { SIDE: side };
    if (splits === 1) {
      this.#push("matmul", [epilogueCode, matmulCode], [out, a, b, ...extras], writes, grid, {
        constants,
        flags: [...layout, ...epilogue],
        sizes,
        work,
      });
      return;
    }
    const parts = this.#scratch(splits * m * n);
    this.#push("matmul", matmulCode, [parts, a, b], [parts], grid, {
      constants,
      flags: [...layout, "SPLIT"],
      sizes,
      work,
    });
    const width = n % 4 === 0 ? n / 4 : n;
    this.#push(
      "matmul",
      [epilogueCode, matmulSplitsCode],
      [out, parts, undefined, ...extras],
      writes,
      m * width / 64,
      {
        flags: epilogue,
        sizes: [m * width, width, splits],
        work: splits * m * n,
      },
    );
  }

  biasBackward({ dbias, dout }: Args<"biasBackward">): void {
    this.length++;
    this.#columnSums("biasBackward", dout, dbias);
  }

  attentionForward({ out, lse, qkv, positions, B, NH }: Args<"attentionForward">): void {
    this.length++;
    const { HS, sizes, tiles, side, work } = attentionShape(out, B, NH);
    this.#push("attentionForward", attentionForwardCode, [out, lse, qkv, positions], [out, lse], [
      tiles,
      NH,
      B,
    ], {
      constants: { HS4: HS / 4, KEYS: side },
      sizes,
      work: 2 * work,
    });
  }

  attentionBackward(args: Args<"attentionBackward">): void {
    this.length++;
    const { dqkv, dout, out, lse, qkv, positions, B, NH } = args;
    const { HS, sizes, tiles, side, work } = attentionShape(out, B, NH);
    const delta = this.#scratch(lse.size);
    const op = "attentionBackward", HS4 = HS / 4, grid = [tiles, NH, B] as const;
    this.#push(
      op,
      attentionBackwardQueriesCode,
      [dqkv, delta, dout, out, lse, qkv, positions],
      [dqkv, delta],
      grid,
      {
        constants: { HS4, KEYS: side },
        sizes,
        work: 3 * work,
      },
    );
    this.#push(
      op,
      attentionBackwardKeysCode,
      [dqkv, dout, lse, qkv, positions, delta],
      [dqkv],
      grid,
      {
        constants: { HS4, QUERIES: side },
        flags: ["DKEYS"],
        sizes,
        work: 3 * work,
      },
    );
    this.#push(op, attentionBackwardKeysCode, [dqkv, dout, lse, qkv, positions], [dqkv], grid, {
      constants: { HS4, QUERIES: side },
      sizes,
      work: 2 * work,
    });
  }

  crossEntropy({ losses, logits, targets, scale }: Args<"crossEntropy">): void {
    this.length++;
    const [R, V] = logits.shape;
    const vec4 = V % 4 === 0;
    const width = vec4 ? V / 4 : V;
    this.#push(
      "crossEntropy",
      [reduceCode, crossEntropyCode],
      [losses, logits, targets, scale],
      [losses, logits],
      R,
      {
        constants: { LANES: lanesFor(width) },
        flags: on({ VEC4: vec4 }),
        sizes: [R, width],
        work: 20 * R * V,
      },
    );
  }

  dropout({ x, rate, seed, site }: Args<"dropout">): void {
    this.length++;
    for (const { part, from, elements } of this.#pieces(x)) {
      const vec4 = elements % 4 === 0;
      const size = vec4 ? elements / 4 : elements;
      const y = part(x);
      this.#push("dropout", dropoutCode, [y, seed], [y], size / 256, {
        flags: on({ VEC4: vec4 }),
        sizes: [
          size,
          from,
          Math.imul(site, 0x9e3779b9) >>> 0,
          dropoutThreshold(rate),
          float(1 / (1 - rate)),
        ],
        work: 20 * elements,
      });
    }
  }

  add({ out, a, b }: Args<"add">): void {
    this.length++;
    const isOut = (tensor: Tensor) => sameStorage(tensor as WebGpuTensor, out as WebGpuTensor);
    for (const { part, elements } of this.#pieces(out)) {
      const vec4 = elements % 4 === 0;
      const size = vec4 ? elements / 4 : elements;
      const y = part(out);
      const left = isOut(a) ? undefined : part(a), right = isOut(b) ? undefined : part(b);
      this.#push("add", addCode, [y, left, right], [y], size / 256, {
        flags: on({ VEC4: vec4, A: left, B: right }),
        sizes: [size],
        work: elements,
      });
    }
  }

  sum({ out, x }: Args<"sum">): void {
    this.length++;
    this.#reduce("sum", out, x, []);
  }

  gradientNorm({ norm, grads }: Args<"gradientNorm">): void {
    this.length++;
    this.#reduce("gradientNorm", norm, grads, ["SQUARES"]);
  }

  adamw({ params, grads, m, v, norm, hyper, decay }: Args<"adamw">): void {
    this.length++;
    for (const { part, from, elements } of this.#pieces(params)) {
      const vec4 = elements % 4 === 0;
      const size = vec4 ? elements / 4 : elements;
      const [p, first, second] = [part(params), part(m), part(v)];
      this.#push(
        "adamw",
        adamwCode,
        [p, part(grads), first, second, norm, hyper],
        [p, first, second],
        size / 256,
        {
          flags: on({ VEC4: vec4 }),
          sizes: [size, Math.min(Math.max(decay - from, 0), elements)],
          work: 16 * elements,
        },
      );
    }
  }

  attentionCached(args: Args<"attentionCached">): void {
    this.length++;
    const { out, qkv, keys, values, positions, slots, NH } = args;
    const [N, C] = out.shape;
    const [S, , L, HS] = keys.shape;
    const op = "attentionCached", HS4 = HS / 4;
    this.#push(
      op,
      attentionCachedStoreCode,
      [keys, values, qkv, positions, slots],
      [keys, values],
      N * C / 256,
      {
        sizes: [N * C / 4, NH, HS4, S, L],
        work: N * C,
      },
    );
    this.#push(op, attentionCachedCode, [out, qkv, keys, values, positions, slots], [out], N * NH, {
      constants: { HS4, GROUPS: Math.floor(64 / HS4) },
      sizes: [N, NH, S, L, float(1 / Math.sqrt(HS))],
      work: 2 * N * C * L,
    });
  }

  /** Σ x or Σ x² into `out` by two stages. */
  #reduce(op: string, out: Tensor, x: Tensor, flags: string[]): void {
    const LANES = 256;
    const pieces = this.#pieces(x).map((piece) => ({
      ...piece,
      groups: Math.min(1024, Math.ceil(piece.elements / (8 * LANES))),
    }));
    const partials = this.#scratch(pieces.reduce((sum, { groups }) => sum + groups, 0));
    let base = 0;
    for (const { part, elements, groups } of pieces) {
      const vec4 = elements % 4 === 0;
      this.#push(op, [reduceCode, sumCode], [part(x), partials], [partials], [groups, 1, 1], {
        constants: { LANES },
        flags: [...flags, ...on({ VEC4: vec4 })],
        sizes: [vec4 ? elements / 4 : elements, base],
        work: 2 * elements,
      });
      base += groups;
    }
    this.#push(op, [reduceCode, sumCode], [partials, out], [out], 1, {
      constants: { LANES },
      flags: flags.length > 0 ? ["ROOT"] : ["FINAL"],
      sizes: [base, 0],
      work: base,
    });
  }

  /** dbias += Σ dout, and for a LayerNorm dweight += Σ dout · hat, over rows, by two stages. */
  #columnSums(
    op: string,
    dout: Tensor,
    dbias: Tensor,
    layernorm?: { dweight: Tensor; x: Tensor; mean: Tensor; rstd: Tensor },
  ): void {
    const [N, C] = dout.shape;
    const depth = Math.max(32, Math.ceil(N / 128));
    const slices = Math.ceil(N / depth);
    const padded = Math.ceil(slices * C / 64) * 64; // where a second part may start
    const scratch = this.#scratch(layernorm ? padded + slices * C : slices * C);
    const partial = { ...scratch, shape: [slices, C], size: slices * C };
    const partialHat = { ...partial, byteOffset: scratch.byteOffset + 4 * padded };
    const grid = [Math.ceil(C / 64), slices, 1] as const;
    const { dweight, x, mean, rstd } = layernorm ?? {};
    this.#push(
      op,
      columnSumsCode,
      layernorm ? [partial, dout, partialHat, x, mean, rstd] : [partial, dout],
      layernorm ? [partial, partialHat] : [partial],
      grid,
      { flags: on({ LAYERNORM: layernorm }), sizes: [N, C, depth], work: 4 * N * C },
    );
    const finish = (out: Tensor, from: Tensor) =>
      this.#push(op, slicesCode, [out, from], [out], [grid[0], 1, 1], {
        sizes: [C, slices],
        work: slices * C,
      });
    finish(dbias, partial);
    if (dweight) finish(dweight, partialHat);
  }

  /** Cuts tensors of one size into pieces that fit a binding. */
  #pieces(
    tensor: Tensor,
  ): { from: number; elements: number; part: (tensor: Tensor) => WebGpuTensor }[] {
    const most = Math.floor(this.#maxBinding / 256) * 64;
    return Array.from({ length: Math.ceil(tensor.size / most) }, (_, i) => {
      const from = i * most, elements = Math.min(most, tensor.size - from);
      const part = (whole: Tensor): WebGpuTensor => {
        const { dtype, buffer, byteOffset } = whole as WebGpuTensor;
        return {
          dtype,
          shape: [elements],
          size: elements,
          buffer,
          byteOffset: byteOffset + 4 * from,
        };
      };
      return { from, elements, part };
    });
  }

  #push(
    op: string,
    code: string | readonly string[],
    bindings: readonly (Tensor | undefined)[],
    writes: readonly Tensor[],
    groups: Dispatch["groups"],
    rest: Pick<Dispatch, "constants" | "flags" | "sizes" | "work">,
  ): void {
    this.dispatches.push({
      op,
      code: typeof code === "string" ? [code] : code,
      bindings: bindings as readonly (WebGpuTensor | undefined)[],
      writes: writes as readonly WebGpuTensor[],
      groups: typeof groups === "number" ? Math.ceil(groups) : groups,
      ...rest,
    });
  }
}

function sameStorage(a: WebGpuTensor, b: WebGpuTensor): boolean {
  return a.buffer === b.buffer && a.byteOffset === b.byteOffset;
}

/** Sizes that the attention kernels share; `side` is how many rows pass by in one tile. */
function attentionShape(out: Tensor, B: number, NH: number): {
  HS: number;
  T: number;
  sizes: number[];
  tiles: number;
  side: number;
  work: number;
} {
  const [N, C] = out.shape;
  const T = N / B, HS = C / NH;
  return {
    HS,
    T,
    sizes: [T, NH, float(1 / Math.sqrt(HS))],
    tiles: Math.ceil(T / 64),
    side: HS <= 64 ? 16 : 8,
    work: N * T * C,
  };
}
