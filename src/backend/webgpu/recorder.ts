/**
 * The operations as dispatches of WGSL kernels.
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
import { kernels } from "./kernels.ts";
import { matmulDispatches, matmulPieces, type PlanMatmul } from "./matmul_dispatches.ts";
import { cut, type Piece, slice } from "./pieces.ts";
import { type Dispatch, float, halves, on, type WebGpuTensor } from "./program.ts";

type Args<Name extends keyof Ops> = Parameters<Ops[Name]>[0];

/** Records ops as dispatches. */
export class Recorder implements Ops {
  /** What was recorded. */
  readonly dispatches: Dispatch[] = [];
  /** Number of ops recorded. */
  length = 0;
  readonly #maxBinding: number;
  readonly #scratch: (elements: number) => WebGpuTensor;
  readonly #plan: PlanMatmul;

  /**
   * @param maxBinding Most bytes of a tensor that one dispatch may touch.
   * @param scratch Gives storage that holds until the op's last dispatch.
   * @param plan Plans a product, or a piece of one.
   */
  constructor(
    maxBinding: number,
    scratch: (elements: number) => WebGpuTensor,
    plan: PlanMatmul,
  ) {
    this.#maxBinding = maxBinding;
    this.#scratch = scratch;
    this.#plan = plan;
  }

  fill({ x, value }: Args<"fill">): void {
    this.length++;
    for (const { part, rows: elements } of this.#cut(x.size, x)) {
      const { size, flags } = values(elements);
      this.#push("fill", kernels.fill, [part(x)], [], size / 256, {
        flags,
        sizes: [size, float(value)],
        work: elements,
      });
    }
  }

  cast({ out, x }: Args<"cast">): void {
    this.length++;
    for (const { part, rows: elements } of this.#cut(x.size, out, x)) {
      const { size, flags } = values(elements);
      this.#push("cast", kernels.cast, [part(out)], [part(x)], size / 256, {
        flags: [...flags, ...halves({ OUT: out, X: x })],
        sizes: [size],
        work: elements,
      });
    }
  }

  embeddingForward({ out, tokens, positions, wte, wpe }: Args<"embeddingForward">): void {
    this.length++;
    const [N, C] = out.shape;
    const { size, flags } = values(C);
    for (const { part, rows } of this.#cut(N, out, tokens, positions)) {
      const writes = [part(out)], reads = [part(tokens), part(positions), wte, wpe];
      const groups = rows * size / 256;
      this.#push("embeddingForward", kernels.embeddingForward, writes, reads, groups, {
        flags: [...flags, ...halves({ WTE: wte })],
        sizes: [rows * size, size],
        work: 2 * rows * C,
      });
    }
  }

  embeddingBackward({ dwte, dwpe, dout, tokens, positions }: Args<"embeddingBackward">): void {
    this.length++;
    const [N, C] = dout.shape;
    const { size, flags } = values(C);
    const CHUNK = 256, COLUMNS = 32, STRANDS = 8;
    const op = "embeddingBackward", blocks = Math.ceil(size / COLUMNS);
    for (const { part, rows } of this.#cut(N, dout, tokens, positions)) {
      const chunks = Math.ceil(rows / CHUNK);
      for (const [table, indices] of [[dwte, tokens], [dwpe, positions]]) {
        const [places] = table.shape, groups = places * blocks;
        const offset = Math.ceil(places * chunks / 64) * 64; // where the second part may start
        const scratch = this.#scratch(offset + rows);
        const lists = [slice(scratch, 0, [places, chunks]), slice(scratch, offset, [rows])];
        this.#push(op, kernels.embeddingLists, lists, [part(indices)], [chunks, 1, 1], {
          constants: { CHUNK },
          sizes: [rows, places, chunks],
          work: 2 * rows * CHUNK,
        });
        const reads = [part(dout), part(indices), ...lists];
        this.#push(op, kernels.embeddingBackward, [table], reads, groups, {
          constants: { CHUNK, COLUMNS, STRANDS },
          flags,
          sizes: [rows, size, blocks, places, chunks],
          work: groups * chunks + rows * C,
        });
      }
    }
  }

  layernormForward({ out, mean, rstd, x, weight, bias }: Args<"layernormForward">): void {
    this.length++;
    const [N, C] = x.shape;
    const { size, flags } = values(C);
    for (const { part, rows } of this.#cut(N, out, mean, rstd, x)) {
      const writes = [part(out), part(mean), part(rstd)], reads = [part(x), weight, bias];
      this.#push("layernormForward", kernels.layernormForward, writes, reads, rows, {
        constants: { LANES: lanesFor(size) },
        flags: [...flags, ...halves({ OUT: out })],
        sizes: [rows, size, float(1 / C)],
        work: 8 * rows * C,
      });
    }
  }

  layernormBackward(args: Args<"layernormBackward">): void {
    this.length++;
    const { dx, dweight, dbias, dout, x, weight, mean, rstd } = args;
    const [N, C] = x.shape;
    const { size, flags } = values(C);
    const op = "layernormBackward";
    for (const { part, rows } of this.#cut(N, dx, dout, x, mean, rstd)) {
      const reads = [part(dout), part(x), weight, part(mean), part(rstd)];
      this.#push(op, kernels.layernormBackward, [part(dx)], reads, rows, {
        constants: { LANES: lanesFor(size) },
        flags: [...flags, ...halves({ DOUT: dout })],
        sizes: [rows, size, float(1 / C)],
        work: 12 * rows * C,
      });
    }
    this.#columnSums(op, dout, dbias, { dweight, x, mean, rstd });
  }

  matmul(args: MatmulArgs): void {
    this.length++;
    for (const piece of matmulPieces(args, this.#maxBinding)) {
      this.dispatches.push(...matmulDispatches(piece, this.#scratch, this.#plan));
    }
  }

  biasBackward({ dbias, dout }: Args<"biasBackward">): void {
    this.length++;
    this.#columnSums("biasBackward", dout, dbias);
  }

  attentionForward({ out, lse, qkv, positions, B, NH }: Args<"attentionForward">): void {
    this.length++;
    for (const { part, rows } of this.#cut(B, out, lse, qkv, positions)) {
      const { grid, constants, flags, sizes, work } = attentionShape(out, B, NH, rows);
      const writes = [part(out), part(lse)], reads = [part(qkv), part(positions)];
      this.#push("attentionForward", kernels.attentionForward, writes, reads, grid, {
        constants,
        flags,
        sizes,
        work: 2 * work,
      });
    }
  }

  attentionBackward(args: Args<"attentionBackward">): void {
    this.length++;
    const { dqkv, dout, out, lse, qkv, positions, B, NH } = args;
    const op = "attentionBackward";
    for (const { part, rows } of this.#cut(B, dqkv, dout, out, lse, qkv, positions)) {
      const { grid, constants, sizes, work, ...shape } = attentionShape(out, B, NH, rows);
      const delta = this.#scratch(lse.size / B * rows);
      const writes = [part(dqkv), delta];
      const reads = [part(dout), part(lse), part(qkv), part(positions)];
      const flags = [...shape.flags, "BACKWARD"];
      this.#push(op, kernels.attentionBackwardQueries, writes, [...reads, part(out)], grid, {
        constants,
        flags,
        sizes,
        work: 3 * work,
      });
      this.#push(op, kernels.attentionBackwardKeys, [part(dqkv)], [...reads, delta], grid, {
        constants,
        flags,
        sizes,
        work: 4 * work,
      });
    }
  }

  crossEntropy({ losses, logits, targets, scale, scaling }: Args<"crossEntropy">): void {
    this.length++;
    const [R, V] = logits.shape;
    const { size, flags } = values(V);
    for (const { part, rows } of this.#cut(R, losses, logits, targets)) {
      const writes = [part(losses), part(logits)], reads = [part(targets), scale, scaling];
      this.#push("crossEntropy", kernels.crossEntropy, writes, reads, rows, {
        constants: { LANES: lanesFor(size) },
        flags: [...flags, ...on({ SCALED: scaling }), ...halves({ LOGITS: logits })],
        sizes: [rows, size],
        work: 20 * rows * V,
      });
    }
  }

  dropout({ x, rate, seed, site }: Args<"dropout">): void {
    this.length++;
    const siteHash = Math.imul(site, 0x9e3779b9) >>> 0;
    const keep = dropoutThreshold(rate), scale = float(1 / (1 - rate));
    for (const { part, first, rows: elements } of this.#cut(x.size, x)) {
      const { size, flags } = values(elements);
      this.#push("dropout", kernels.dropout, [part(x)], [seed], size / 256, {
        flags: [...flags, ...halves({ X: x })],
        sizes: [size, first, siteHash, keep, scale],
        work: 20 * elements,
      });
    }
  }

  add({ out, a, b }: Args<"add">): void {
    this.length++;
    for (const { part, rows: elements } of this.#cut(out.size, out)) {
      const { size, flags } = values(elements);
      const [left, right] = [a, b].map((term) => isSame(term, out) ? undefined : part(term));
      this.#push("add", kernels.add, [part(out)], [left, right], size / 256, {
        flags: [...flags, ...on({ A: left, B: right })],
        sizes: [size],
        work: elements,
      });
    }
  }

  sum({ out, x }: Args<"sum">): void {
    this.length++;
    this.#sum("sum", out, x, []);
  }

  gradientNorm({ norm, grads, scaling }: Args<"gradientNorm">): void {
    this.length++;
    this.#sum("gradientNorm", norm, grads, ["SQUARES"], scaling);
  }

  adamw({ params, grads, m, v, norm, hyper, decay, scaling }: Args<"adamw">): void {
    this.length++;
    for (const { part, first, rows: elements } of this.#cut(params.size, params)) {
      const { size, flags } = values(elements);
      const writes = [part(params), part(m), part(v)];
      const reads = [part(grads), norm, hyper, scaling];
      this.#push("adamw", kernels.adamw, writes, reads, size / 256, {
        flags: [...flags, ...on({ SCALED: scaling })],
        sizes: [size, Math.min(Math.max(decay - first, 0), elements)],
        work: 16 * elements,
      });
    }
  }

  adjustLossScale({ scaling, norm, interval }: Args<"adjustLossScale">): void {
    this.length++;
    this.#push("adjustLossScale", kernels.lossScaling, [scaling], [norm], 1, {
      sizes: [float(interval)],
      work: 1,
    });
  }

  attentionCached(args: Args<"attentionCached">): void {
    this.length++;
    const { out, qkv, keys, values, positions, slots, NH } = args;
    const [N, C] = out.shape;
    const [S, , L, HS] = keys.shape;
    const op = "attentionCached", HS4 = HS / 4, reads = [qkv, positions, slots];
    this.#push(op, kernels.attentionCachedStore, [keys, values], reads, N * C / 256, {
      sizes: [N * C / 4, NH, HS4, S, L],
      work: N * C,
    });
    this.#push(op, kernels.attentionCached, [out], [...reads, keys, values], N * NH, {
      constants: { HS4, GROUPS: Math.floor(64 / HS4) },
      sizes: [N, NH, S, L, float(1 / Math.sqrt(HS))],
      work: 2 * N * C * L,
    });
  }

  attentionCachedInt8(args: Args<"attentionCachedInt8">): void {
    this.length++;
    const { out, qkv, cache: { keys, values, factors }, positions, slots, NH } = args;
    const [N, C] = out.shape, [S, , L, HS4] = keys.shape;
    const op = "attentionCachedInt8",
      reads = [qkv, positions, slots],
      caches = [keys, values, factors];
    this.#push(op, kernels.attentionCachedInt8Store, caches, reads, N * NH / 64, {
      sizes: [N * NH, NH, HS4, S, L],
      work: 4 * N * C,
    });
    this.#push(op, kernels.attentionCached, [out], [...reads, ...caches], N * NH, {
      constants: { HS4, GROUPS: Math.floor(64 / HS4) },
      flags: ["INT8"],
      sizes: [N, NH, S, L, float(1 / Math.sqrt(4 * HS4))],
      work: 2 * N * C * L,
    });
  }

  embeddingForwardInt8(args: Args<"embeddingForwardInt8">): void {
    this.length++;
    const { out, tokens, positions, wte, wpe } = args;
    const [N, C] = out.shape, quads = C / 4, size = N * quads;
    const op = "embeddingForwardInt8", reads = [tokens, positions, wte.packed, wte.scales, wpe];
    this.#push(op, kernels.embeddingForwardInt8, [out], reads, size / 256, {
      sizes: [size, quads],
      work: 4 * N * C,
    });
  }

  matmulInt8({ out, a, b, bias, gelu, residual }: MatmulInt8Args): void {
    this.length++;
    const [m, k] = a.shape, [n] = b.scales.shape, quads = k / 4;
    const rows = this.#scratch(m * (quads + 2)); // words, then low and step
    this.#push("matmulInt8", kernels.quantizeRows, [rows], [a], m, {
      constants: { LANES: 64 },
      sizes: [m, quads],
      work: 4 * m * k,
    });
    const reads = [rows, b.packed, b.scales, b.sums, bias, residual];
    this.#push("matmulInt8", kernels.matmulInt8, [out], reads, [Math.ceil(n / 64), m, 1], {
      flags: on({ BIAS: bias, GELU: gelu, RESIDUAL: residual }),
      sizes: [m, n, quads],
      work: 4 * m * n * k,
    });
  }

  topLogits({ out, logits }: Args<"topLogits">): void {
    this.length++;
    const [R, V] = logits.shape, K = (out.shape[1] - 1) / 2;
    const { size, flags } = values(V);
    this.#push("topLogits", kernels.topLogits, [out], [logits], R, {
      constants: { LANES: 256 },
      flags,
      sizes: [R, size, K],
      work: 24 * R * V,
    });
  }

  drawTokens(args: Args<"drawTokens">): void {
    this.length++;
    const { drawn, tokens, positions, ends, top, rules, chances } = args;
    const [N, width] = top.shape, K = (width - 1) / 2;
    const writes = [drawn, tokens, positions], reads = [ends, top, rules, chances];
    this.#push("drawTokens", kernels.drawTokens, writes, reads, N, {
      constants: { K },
      sizes: [N],
      work: 30 * N * K,
    });
  }

  /** Σ x added to `out`, or √Σ x² into it, by two stages. */
  #sum(op: string, out: Tensor, x: Tensor, squares: string[], scaling?: Tensor): void {
    const LANES = 256;
    const pieces = this.#cut(x.size, x).map((piece) => ({
      ...piece,
      groups: Math.min(1024, Math.ceil(piece.rows / (8 * LANES))),
    }));
    const partials = this.#scratch(pieces.reduce((sum, { groups }) => sum + groups, 0));
    let base = 0;
    for (const { part, rows: elements, groups } of pieces) {
      const { size, flags } = values(elements);
      this.#push(op, kernels.sum, [partials], [part(x)], [groups, 1, 1], {
        constants: { LANES },
        flags: [...flags, ...squares],
        sizes: [size, base],
        work: 2 * elements,
      });
      base += groups;
    }
    this.#push(op, kernels.sum, [out], [partials, scaling], 1, {
      constants: { LANES },
      flags: [squares.length > 0 ? "ROOT" : "FINAL", ...on({ SCALED: scaling })],
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
    const [N, C] = dout.shape, groups = Math.ceil(C / 64);
    const { dweight, x, mean, rstd } = layernorm ?? {};
    for (const { part, rows } of this.#cut(N, dout, x, mean, rstd)) {
      const depth = Math.max(32, Math.ceil(rows / 128));
      const slices = Math.ceil(rows / depth);
      const offset = Math.ceil(slices * C / 64) * 64; // where the second part may start
      const scratch = this.#scratch(2 * offset);
      const partials = slice(scratch, 0, [slices, C]);
      const partialsHat = layernorm && slice(scratch, offset, [slices, C]);
      const writes = [partials, partialsHat], reads = [dout, x, mean, rstd].map(part);
      this.#push(op, kernels.columnSums, writes, reads, [groups, slices, 1], {
        flags: [...on({ LAYERNORM: layernorm }), ...halves({ DOUT: dout })],
        sizes: [rows, C, depth],
        work: 4 * rows * C,
      });
      for (const [out, parts] of [[dbias, partials], [dweight, partialsHat]]) {
        if (!out) continue;
        this.#push(op, kernels.slices, [out], [parts], [groups, 1, 1], {
          sizes: [C, slices],
          work: slices * C,
        });
      }
    }
  }

  /** Cuts tensors of so many rows each into pieces that fit a binding. */
  #cut(count: number, ...tensors: (Tensor | undefined)[]): Piece[] {
    return cut(count, tensors, this.#maxBinding);
  }

  /** Kernels bind what they write first, then what they read; undefined leaves a number out. */
  #push(
    op: string,
    code: readonly string[],
    writes: readonly (Tensor | undefined)[],
    reads: readonly (Tensor | undefined)[],
    groups: Dispatch["groups"],
    rest: Pick<Dispatch, "constants" | "flags" | "sizes" | "work">,
  ): void {
    this.dispatches.push({
      op,
      code,
      writes: writes as readonly (WebGpuTensor | undefined)[],
      reads: reads as readonly (WebGpuTensor | undefined)[],
      groups: typeof groups === "number" ? Math.ceil(groups) : groups,
      ...rest,
    });
  }
}

/** Rows are handled as `vec4f` where their length allows: their size in those, and the flag. */
function values(elements: number): { size: number; flags: string[] } {
  return elements % 4 === 0
    ? { size: elements / 4, flags: ["VEC4"] }
    : { size: elements, flags: [] };
}

/** Lanes of a workgroup that reduces a row of so many Values. */
function lanesFor(size: number): number {
  return size <= 256 ? 64 : 256;
}

function isSame(a: Tensor, b: Tensor): boolean {
  const [left, right] = [a as WebGpuTensor, b as WebGpuTensor];
  return left.buffer === right.buffer && left.byteOffset === right.byteOffset;
}

/**
 * What the attention kernels share over so many of the B sequences; `work` is that of one of their
 * matrix products.
 */
function attentionShape(out: Tensor, B: number, NH: number, sequences: number): {
  grid: readonly [number, number, number];
  constants: Record<string, number>;
  flags: string[];
  sizes: number[];
  work: number;
} {
  const [N, C] = out.shape;
  const T = N / B, HS = C / NH, HS4 = HS / 4;
  const GROUPS = HS4 <= 8 ? 1 : 2, parts = Math.ceil(HS4 / (8 * GROUPS));
  return {
    grid: [Math.ceil(T / 64), NH * parts, sequences],
    constants: { GROUPS },
    flags: ["VEC4", ...on({ F16: out.dtype === "f16" })],
    sizes: [T, NH, HS4, parts, float(1 / Math.sqrt(HS))],
    work: sequences * T * T * C,
  };
}
