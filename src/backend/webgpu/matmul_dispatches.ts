/**
 * Matrix products as dispatches: cut where a GPU cannot bind them whole, tiled, and split along k.
 *
 * @module
 */

import type { MatmulArgs, Tensor } from "../backend.ts";
import { matmulSize } from "../checked.ts";
import { kernels } from "./kernels.ts";
import { type MatmulPlan, type MatmulShape, tileConstants, tileSize } from "./matmul_plan.ts";
import { cut } from "./pieces.ts";
import { type Dispatch, halves, on, type WebGpuTensor } from "./program.ts";

/** Plans a product, or a piece of one. */
export type PlanMatmul = (shape: MatmulShape, args: MatmulArgs) => MatmulPlan;

/**
 * Cuts a product by the rows of its result, each planned for all of them, or where `a` is
 * transposed by the rows of both factors, whose products are added up.
 * @param maxBinding Most bytes of a tensor that one dispatch may touch.
 */
export function matmulPieces(args: MatmulArgs, maxBinding: number): MatmulArgs[] {
  const { m, k } = matmulSize(args);
  const { out, a, b, transposeA, transposeB, geluInto, geluFrom, residual } = args;
  if (!transposeA) {
    const plannedRows = args.plannedRows ?? m;
    return cut(m, [out, a, geluInto, geluFrom, residual], maxBinding).map(({ part }) => ({
      ...args,
      out: part(out),
      a: part(a),
      geluInto: part(geluInto),
      geluFrom: part(geluFrom),
      residual: part(residual),
      plannedRows,
    }));
  }
  // GELU takes the whole sum, f16 would round each part of it, columns of b do not lie together.
  if (geluInto || geluFrom || out.dtype === "f16" || transposeB) return [args];
  return cut(k, [a, b], maxBinding).map(({ first, part }) => {
    const factors = { a: part(a), b: part(b) };
    return first === 0
      ? { ...args, ...factors }
      : { out, ...factors, transposeA, accumulate: true };
  });
}

/**
 * The dispatches of a product that can be bound.
 * @param scratch Gives storage that holds until the last of them.
 */
export function matmulDispatches(
  args: MatmulArgs,
  scratch: (elements: number) => WebGpuTensor,
  plan: PlanMatmul,
): Dispatch[] {
  const { m, n, k } = matmulSize(args);
  const { out, a, b, transposeA, transposeB, bias, geluInto, geluFrom, residual } = args;
  const rows = [transposeA ? m : k, transposeB ? k : n, n]; // lengths of rows in memory
  const vector = rows.every((length) => length % 4 === 0) ? ["VEC4"] : [];
  const flags = [
    ...vector,
    ...on({ TRANSPOSE_A: transposeA, TRANSPOSE_B: transposeB }),
    ...halves({ A: a, B: b }),
  ];
  const { tile, splits, depth } = plan({ m: args.plannedRows ?? m, n, k, flags }, args);
  const size = tileSize(tile);
  const epilogue = [
    ...vector,
    ...on({
      BIAS: bias,
      GELU_INTO: geluInto,
      GELU_FROM: geluFrom,
      RESIDUAL: residual,
      ACCUMULATE: args.accumulate,
    }),
    ...halves({ OUT: out, GELU: geluInto ?? geluFrom }),
  ];
  const writes = bound(out, geluInto), factors = bound(a, b);
  const extras = bound(bias, geluFrom, residual);
  const product = {
    op: "matmul",
    groups: [Math.ceil(n / size.n), Math.ceil(m / size.m), splits],
    constants: tileConstants(tile),
    sizes: [m, n, k, depth],
    work: 2 * m * n * k,
  } as const;
  if (splits === 1) {
    return [{
      ...product,
      code: kernels.matmul,
      flags: [...flags, ...epilogue],
      writes,
      reads: [...factors, ...extras],
    }];
  }
  const parts = scratch(splits * m * n), width = vector.length > 0 ? n / 4 : n;
  return [{
    ...product,
    code: kernels.matmulPart,
    flags: [...flags, "SPLIT"],
    writes: [parts, undefined],
    reads: factors,
  }, {
    op: "matmul",
    code: kernels.matmulSplits,
    flags: epilogue,
    writes,
    reads: [parts, undefined, ...extras],
    groups: Math.ceil(m * width / 64),
    sizes: [m * width, width, splits],
    work: splits * m * n,
  }];
}

const bound = (...tensors: (Tensor | undefined)[]) =>
  tensors as readonly (WebGpuTensor | undefined)[];
