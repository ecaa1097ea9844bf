/**
 * Cutting ops into runs of rows that a GPU can bind.
 *
 * @module
 */

import { BYTES, type Tensor } from "../backend.ts";
import type { WebGpuTensor } from "./program.ts";

/** A run of rows. */
export interface Piece {
  /** Its first row. */
  first: number;
  /** Number of rows. */
  rows: number;
  /** These rows of one of the tensors, as (rows, elements of a row); undefined of undefined. */
  part<T extends Tensor | undefined>(tensor: T): WebGpuTensor | Exclude<T, Tensor>;
}

/** Bytes between places where a binding may start: WebGPU's default for storage buffers. */
const ALIGNMENT = 256;

/**
 * Cuts tensors that hold `count` rows each, of whatever length, into pieces that fit a binding and
 * start where a binding may. What is too long even for the fewest rows that do is left to be refused.
 * @param tensors The tensors to be cut; undefined is skipped.
 * @param maxBinding Most bytes of a tensor that one dispatch may touch.
 */
export function cut(
  count: number,
  tensors: readonly (Tensor | undefined)[],
  maxBinding: number,
): Piece[] {
  const widths = tensors.flatMap((tensor) =>
    tensor ? [BYTES[tensor.dtype] * tensor.size / count] : []
  );
  // The lowest set bit is the largest power of two that divides a number of bytes.
  const steps = widths.map((bytes) => ALIGNMENT / Math.min(ALIGNMENT, bytes & -bytes));
  const step = Math.max(...steps);
  const most = Math.floor(maxBinding / Math.max(...widths));
  const rows = most >= count ? count : Math.max(step, Math.floor(most / step) * step);
  return Array.from({ length: Math.ceil(count / rows) }, (_, i) => {
    const first = i * rows;
    return pieceOf(first, Math.min(rows, count - first), count);
  });
}

function pieceOf(first: number, rows: number, count: number): Piece {
  return {
    first,
    rows,
    part<T extends Tensor | undefined>(tensor: T) {
      if (!tensor) return tensor as Exclude<T, Tensor>;
      const width = tensor.size / count;
      return slice(tensor, first * width, [rows, width]);
    },
  };
}

/** A part of a tensor from element `first` on, which must be where a binding may start. */
export function slice(tensor: Tensor, first: number, shape: readonly number[]): WebGpuTensor {
  const { dtype, buffer, byteOffset } = tensor as WebGpuTensor;
  const size = shape.reduce((product, length) => product * length, 1);
  return { dtype, shape, size, buffer, byteOffset: byteOffset + BYTES[dtype] * first };
}
