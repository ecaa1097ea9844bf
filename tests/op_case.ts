/** What a case of the op table is, and what its tensors are drawn from. */

import type { DType, Ops, Tensor } from "../src/backend/backend.ts";
import type { Random } from "../src/random.ts";

/** A tensor of a case: its shape and first contents. */
export interface CaseTensor {
  shape: number[];
  data: Float32Array | Uint32Array;
  /** f32 or u32, as `data` is, unless given. */
  dtype?: DType;
}

/** The element type of a case's tensor. */
export const dtypeOf = ({ dtype, data }: CaseTensor): DType =>
  dtype ?? (data instanceof Float32Array ? "f32" : "u32");

/** One drawn instance of a case. */
export interface DrawnCase {
  /** All tensors, inputs and outputs, by name. */
  tensors: Record<string, CaseTensor>;
  /** Names of the tensors the op writes. */
  outputs: string[];
  /** Records the op. */
  record(ops: Ops, tensors: Record<string, Tensor>): void;
}

/** One row of the table. */
export interface OpCase {
  /** The op, and the variant after a space. */
  name: string;
  /**
   * Allowed error of an element: `tolerance` · (1 + |reference|). f32 keeps 24 bits, 6e-8 relative
   * per operation; sums of up to a few hundred terms of size 1 lose about 1e-5 in the worst order.
   */
  tolerance: number;
  /**
   * Draws shapes and inputs.
   * @param stretch How many times as many rows there may be as by default, in ops of training.
   */
  draw(random: Random, stretch?: number): DrawnCase;
}

/** Normal numbers. */
export const floats = (random: Random, shape: number[], scale = 1): CaseTensor => ({
  shape,
  data: Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => random.normal() * scale),
});

/** Whole numbers. */
export const words = (shape: number[], next: () => number): CaseTensor => ({
  shape,
  data: Uint32Array.from({ length: shape.reduce((a, b) => a * b) }, next),
});

/** What an output holds before the op: rubbish that must be overwritten. */
export const rubbish = (shape: number[]): CaseTensor => ({
  shape,
  data: new Float32Array(shape.reduce((a, b) => a * b)).fill(1234.5),
});

/** A whole number from `low` to `high`. */
export const between = (random: Random, low: number, high: number) =>
  low + random.below(high - low + 1);

/** Positions of packed documents: each row of T restarts at 0 at random places. */
export function packedPositions(random: Random, B: number, T: number): CaseTensor {
  const data = new Uint32Array(B * T);
  for (let n = 0; n < B * T; n++) {
    data[n] = n % T === 0 || random.uniform() < 0.08 ? 0 : data[n - 1] + 1;
  }
  return { shape: [B * T], data };
}
