/**
 * Decoding with a key/value cache: prefill, then one token for every stream at a time, or several.
 *
 * @module
 */

import {
  type Backend,
  INACTIVE,
  type Ops,
  type Program,
  type Tensor,
  viewAlignment,
} from "../backend/backend.ts";
import type { ModelConfig } from "../model/config.ts";
import type { ModelTensors } from "../model/parameters.ts";
import { LookAhead, MOST_STEPS } from "./look_ahead.ts";
import { Passes, type Row } from "./passes.ts";
import { TopSlices } from "./top_logits.ts";

/** The logits of one stream after a step. */
export interface StreamLogits {
  /** log Σ e^logit, so that logit − normalizer is a token's log-probability. */
  readonly normalizer: number;
  /** The largest logits, the largest first; may be empty. */
  readonly values: Float32Array;
  /** Their tokens. */
  readonly ids: ArrayLike<number>;
  /** All logits (V), in a fresh array. To be called before the next step. */
  all(): Promise<Float32Array<ArrayBuffer>>;
}

/** A recorded step over a fixed number of rows. */
export interface StepPass {
  /** Blocks, head, and the largest logits into the first slice. */
  readonly program: Program;
  /** (rows, V). */
  readonly logits: Tensor;
}

/**
 * Key/value cache and recorded programs for `streams` streams. The cache of stream `s` is slot
 * `s`; what a slot holds after the position written last is never read. Beside weights in 8 bits the
 * keys and values are kept in 8 bits too: with many streams it is them that a step reads most of.
 *
 * All rows of a pass share one reading of the weights; a row's results do not depend on what the other
 * rows are.
 */
export class Decoder implements Disposable {
  /** Number of streams that a step can advance together. */
  readonly streams: number;
  /** Most tokens of a prompt that one pass takes. */
  readonly prefillRows: number;
  /** Makes several steps for one readback; absent where a readback costs nothing. */
  readonly lookAhead?: LookAhead;
  readonly #passes: Passes;
  /** (rows, V) of the pass that advances all streams. */
  readonly #logits: Tensor;
  readonly #slices: TopSlices;
  /** By number of rows, recorded when first needed. */
  readonly #steps: Map<number, StepPass> = new Map();

  /**
   * Allocates the cache, 2 · layers · streams · L · C numbers.
   * @param looksAhead Whether it can look ahead: by default on WebGPU.
   */
  constructor(
    backend: Backend,
    config: ModelConfig,
    params: ModelTensors,
    streams: number = 1,
    looksAhead: boolean = backend.name === "webgpu",
  ) {
    this.streams = streams;
    const passes = this.#passes = new Passes(backend, config, params, streams);
    this.prefillRows = passes.prefillRows;
    this.#logits = passes.tensor([passes.stepRows, config.vocabSize]);
    const slices = this.#slices = new TopSlices(passes, looksAhead ? MOST_STEPS : 1);
    if (!looksAhead) return;
    const stepPass = (rows: number) => this.#stepPass(rows);
    const reader = (logits: Tensor) => this.#reader(logits);
    this.lookAhead = new LookAhead({ passes, stepPass, reader, slices });
  }

  #stepPass(rows: number): StepPass {
    let pass = this.#steps.get(rows);
    if (!pass) {
      const passes = this.#passes;
      const logits = passes.backend.view(this.#logits, 0, [rows, passes.config.vocabSize]);
      const program = passes.record((ops) => {
        this.#recordStep(ops, logits);
        ops.topLogits({ out: this.#slices.top(rows, 0), logits });
      });
      this.#steps.set(rows, pass = { program, logits });
    }
    return pass;
  }

  #recordStep(ops: Ops, logits: Tensor): void {
    this.#passes.recordBlocks(ops, logits.shape[0]);
    this.#passes.recordHead(ops, logits);
  }

  /**
   * Lets the backend tune itself to steps of all streams. It takes seconds on a GPU, and pays where
   * many tokens follow; to be awaited before anything else, as programs recorded before stay as they
   * are.
   */
  async tune(): Promise<void> {
    await this.#passes.tune((ops) => this.#recordStep(ops, this.#logits));
  }

  /**
   * Puts `tokens` into the cache of `slot` at positions `start`, `start + 1`, …, without logits. On
   * WebGPU prompts that are given before the next step share passes.
   */
  prefill(slot: number, tokens: Uint32Array, start: number = 0): void {
    this.#passes.prefill(slot, tokens, start);
  }

  /**
   * Advances every stream by one token; streams at position {@linkcode INACTIVE} rest.
   * @returns The logits of each stream, `undefined` for those that rest.
   */
  async step(
    tokens: Uint32Array,
    positions: Uint32Array,
  ): Promise<(StreamLogits | undefined)[]> {
    const given: Row[] = [];
    positions.forEach((position, slot) => {
      if (position !== INACTIVE) given.push({ slot, token: tokens[slot], position });
    });
    const passes = this.#passes, rows = passes.rowsFor(given.length);
    passes.fill();
    passes.write(rows, given);
    const pass = this.#stepPass(rows);
    passes.backend.run(pass.program);
    const read = await this.#slices.read(rows, 1);
    const allOf = this.#reader(pass.logits);
    const result = new Array<StreamLogits | undefined>(this.streams).fill(undefined);
    given.forEach(({ slot }, row) => {
      result[slot] = read.logits(0, row, () => allOf(row));
    });
    return result;
  }

  /** Reads rows of logits (R, V), each into an array of its own. */
  #reader(logits: Tensor): (row: number) => Promise<Float32Array<ArrayBuffer>> {
    const { backend } = this.#passes, [, V] = logits.shape;
    // On WebGPU the first row that is read costs milliseconds, and those beside it next to nothing.
    if (backend.name !== "webgpu" && V % viewAlignment(logits.dtype) === 0) {
      return (row) => backend.read(backend.view(logits, row * V, [V]));
    }
    let all: Promise<Float32Array<ArrayBuffer>> | undefined;
    return async (row) => (await (all ??= backend.read(logits))).slice(row * V, (row + 1) * V);
  }

  [Symbol.dispose](): void {
    this.#passes[Symbol.dispose]();
  }
}
