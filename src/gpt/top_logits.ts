/**
 * The largest logits of several steps, side by side, so that one readback brings all of them.
 *
 * @module
 */

import { type Tensor, viewAlignment } from "../backend/backend.ts";
import type { StreamLogits } from "./decode.ts";
import type { Passes } from "./passes.ts";

/** Largest logits that a step gives without being asked; sampling rarely needs more. */
export const TOP_LOGITS = 64;

/**
 * A slice for each step: (rows, 1 + 2K) of what `topLogits` gives, then (rows) tokens that the step
 * reads, if the step before drew them.
 */
export class TopSlices {
  readonly #passes: Passes;
  readonly #tensor: Tensor;
  /** 1 + 2K. */
  readonly #width: number;

  /** Allocates slices of `steps` steps of all streams. */
  constructor(passes: Passes, steps: number) {
    this.#passes = passes;
    this.#width = 1 + 2 * Math.min(TOP_LOGITS, passes.config.vocabSize);
    this.#tensor = passes.tensor([steps * this.#stride(passes.stepRows)]);
  }

  /** Elements of what `topLogits` gives for so many rows, as far as the tokens. */
  #tokensAt(rows: number): number {
    return aligned(rows * this.#width);
  }

  /** Elements from one slice to the next. */
  #stride(rows: number): number {
    return this.#tokensAt(rows) + aligned(rows);
  }

  /** (rows, 1 + 2K) of a step. */
  top(rows: number, step: number): Tensor {
    const { backend } = this.#passes;
    return backend.view(this.#tensor, step * this.#stride(rows), [rows, this.#width]);
  }

  /** (rows) tokens that a step reads. */
  tokens(rows: number, step: number): Tensor {
    const at = step * this.#stride(rows) + this.#tokensAt(rows);
    return this.#passes.backend.view(this.#tensor, at, [rows]);
  }

  /** Reads `steps` slices back; they were written by passes of `rows` rows. */
  async read(rows: number, steps: number): Promise<ReadSlices> {
    const { backend } = this.#passes, stride = this.#stride(rows), width = this.#width;
    // A single step has drawn no tokens.
    const size = steps === 1 ? rows * width : steps * stride;
    const data = await backend.read(backend.view(this.#tensor, 0, [size]));
    const K = (width - 1) / 2, tokensAt = this.#tokensAt(rows);
    return {
      logits(step, row, all) {
        const at = step * stride + row * width;
        return {
          normalizer: data[at],
          values: data.subarray(at + 1, at + 1 + K),
          ids: data.subarray(at + 1 + K, at + width),
          all,
        };
      },
      token: (step, row) => data[step * stride + tokensAt + row],
    };
  }
}

/** What was read back. */
export interface ReadSlices {
  /** Logits of a row after a step; `all` reads the others. */
  logits(step: number, row: number, all: StreamLogits["all"]): StreamLogits;
  /** Token that a row read in a step from the second on. */
  token(step: number, row: number): number;
}

const aligned = (elements: number): number =>
  Math.ceil(elements / viewAlignment("f32")) * viewAlignment("f32");
