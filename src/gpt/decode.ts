/**
 * Decoding with a key/value cache: prefill in chunks, then one token for every stream at a time.
 *
 * @module
 */

import { type Backend, INACTIVE, type Program, type Tensor } from "../backend/backend.ts";
import type { ModelConfig } from "../model/config.ts";
import type { ModelTensors } from "../model/parameters.ts";
import {
  activationRows,
  type Activations,
  activationTensors,
  allocateActivations,
  type BlockActivations,
  blocksForward,
  headLogits,
} from "./forward.ts";

/** Rows of the largest prefill program. */
export const PREFILL_ROWS = 64;

/** Largest logits that a step gives without being asked; sampling rarely needs more. */
export const TOP_LOGITS = 64;

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

/** A recorded pass over a fixed number of rows. */
interface Pass {
  rows: number;
  program: Program;
}

/**
 * Key/value cache and recorded programs for `streams` streams. The cache of stream `s` is slot
 * `s`; what a slot holds after the position written last is never read.
 *
 * A pass has as many rows as are needed, rounded up to a power of two, and all of them share one
 * reading of the weights; a row's results do not depend on what the other rows are.
 */
export class Decoder implements Disposable {
  /** Number of streams that a step can advance together. */
  readonly streams: number;
  readonly #backend: Backend;
  readonly #config: ModelConfig;
  readonly #params: ModelTensors;
  readonly #owned: Set<Tensor> = new Set();
  readonly #cache: { keys: Tensor; values: Tensor }[];
  /** What the host writes before a pass: u32 (rows) of the largest pass. */
  readonly #inputs: Record<"tokens" | "positions" | "slots", Tensor>;
  readonly #acts: Activations;
  readonly #logits: Tensor;
  readonly #top: Tensor;
  /** By number of rows, recorded when first needed. */
  readonly #prefills: Map<number, Pass> = new Map();
  readonly #steps: Map<number, Pass> = new Map();

  /** Allocates the cache, 2 · layers · streams · L · C floats. */
  constructor(backend: Backend, config: ModelConfig, params: ModelTensors, streams: number = 1) {
    this.#backend = backend;
    this.#config = config;
    this.#params = params;
    this.streams = streams;
    const { layers, heads: NH, contextLength: L, width: C, vocabSize: V } = config;
    const own = (tensor: Tensor): Tensor => {
      this.#owned.add(tensor);
      return tensor;
    };
    this.#cache = Array.from({ length: layers }, () => ({
      keys: own(backend.tensor([streams, NH, L, C / NH])),
      values: own(backend.tensor([streams, NH, L, C / NH])),
    }));
    const rows = Math.max(PREFILL_ROWS, powerOfTwo(streams));
    const input = () => own(backend.tensor([rows], "u32"));
    this.#inputs = { tokens: input(), positions: input(), slots: input() };
    this.#acts = allocateActivations(backend, config, rows, false);
    activationTensors(this.#acts).forEach(own);
    this.#logits = own(backend.tensor([powerOfTwo(streams), V]));
    const K = Math.min(TOP_LOGITS, V);
    this.#top = own(backend.tensor([powerOfTwo(streams), 1 + 2 * K]));
  }

  /** Records the blocks, and the head if logits are wanted, for `rows` rows. */
  #record(rows: number, head: boolean): Pass {
    const backend = this.#backend, { heads: NH } = this.#config;
    const first = (tensor: Tensor) => backend.view(tensor, 0, [rows, ...tensor.shape.slice(1)]);
    const [tokens, positions, slots] = Object.values(this.#inputs).map(first);
    const acts = activationRows(backend, this.#acts, rows);
    const program = backend.record((ops) => {
      const attend = ({ att: out, qkv }: BlockActivations, layer: number) =>
        ops.attentionCached({ out, qkv, ...this.#cache[layer], positions, slots, NH });
      blocksForward(ops, { tokens, positions }, this.#params, acts, attend);
      if (!head) return;
      const logits = first(this.#logits);
      headLogits(ops, logits, acts.lnf, this.#params.wte);
      ops.topLogits({ out: first(this.#top), logits });
    });
    return { rows, program };
  }

  /** The smallest pass that has at least `count` rows. */
  #pass(passes: Map<number, Pass>, count: number, head: boolean): Pass {
    const rows = powerOfTwo(count);
    let pass = passes.get(rows);
    if (!pass) passes.set(rows, pass = this.#record(rows, head));
    return pass;
  }

  /** Runs a pass over `count` rows; `row` says what stands in each. */
  #run(
    { rows, program }: Pass,
    count: number,
    row: (i: number) => { token: number; position: number; slot: number },
  ): void {
    const tokens = new Uint32Array(rows), slots = new Uint32Array(rows);
    const positions = new Uint32Array(rows).fill(INACTIVE);
    for (let i = 0; i < count; i++) {
      ({ token: tokens[i], position: positions[i], slot: slots[i] } = row(i));
    }
    this.#backend.write(this.#inputs.tokens, tokens);
    this.#backend.write(this.#inputs.positions, positions);
    this.#backend.write(this.#inputs.slots, slots);
    this.#backend.run(program);
  }

  /** Puts `tokens` into the cache of `slot` at positions `start`, `start + 1`, …, without logits. */
  prefill(slot: number, tokens: Uint32Array, start: number = 0): void {
    for (let first = 0; first < tokens.length; first += PREFILL_ROWS) {
      const count = Math.min(PREFILL_ROWS, tokens.length - first);
      this.#run(this.#pass(this.#prefills, count, false), count, (i) => {
        return { token: tokens[first + i], position: start + first + i, slot };
      });
    }
  }

  /**
   * Advances every stream by one token; streams at position {@linkcode INACTIVE} rest.
   * @returns The logits of each stream, `undefined` for those that rest.
   */
  async step(
    tokens: Uint32Array,
    positions: Uint32Array,
  ): Promise<(StreamLogits | undefined)[]> {
    const slots = [...positions.keys()].filter((slot) => positions[slot] !== INACTIVE);
    this.#run(this.#pass(this.#steps, slots.length, true), slots.length, (i) => {
      const slot = slots[i];
      return { token: tokens[slot], position: positions[slot], slot };
    });
    const top = await this.#backend.read(this.#top);
    const width = this.#top.shape[1], K = (width - 1) / 2, V = this.#config.vocabSize;
    let all: Promise<Float32Array<ArrayBuffer>> | undefined;
    const result = new Array<StreamLogits | undefined>(this.streams).fill(undefined);
    slots.forEach((slot, row) => {
      const at = row * width;
      result[slot] = {
        normalizer: top[at],
        values: top.subarray(at + 1, at + 1 + K),
        ids: top.subarray(at + 1 + K, at + width),
        all: async () => {
          all ??= this.#backend.read(this.#logits);
          return (await all).slice(row * V, (row + 1) * V);
        },
      };
    });
    return result;
  }

  [Symbol.dispose](): void {
    for (const tensor of this.#owned) this.#backend.free(tensor);
    this.#owned.clear();
  }
}

/** The least power of two that is at least `count`. */
function powerOfTwo(count: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(1, count)));
}
