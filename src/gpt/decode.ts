/**
 * Decoding with a key/value cache: prefill in chunks, then one token for every stream at a time.
 *
 * @module
 */

import { type Backend, INACTIVE, type Program, type Tensor } from "../backend/backend.ts";
import type { ModelConfig } from "../model/config.ts";
import type { ParameterTensors } from "../model/parameters.ts";
import {
  activationTensors,
  allocateActivations,
  type BlockActivations,
  blocksForward,
} from "./forward.ts";

/** Rows of one prefill program; shorter rests are padded with inactive rows. */
export const PREFILL_ROWS = 64;

/** A recorded pass over a fixed number of rows, with the tensors the host writes before it. */
interface Pass {
  tokens: Tensor;
  positions: Tensor;
  slots: Tensor;
  logits?: Tensor;
  program: Program;
}

/**
 * Key/value cache and recorded programs for `streams` streams. The cache of stream `s` is slot
 * `s`; what a slot holds after the position written last is never read.
 */
export class Decoder implements Disposable {
  /** Number of streams that a step advances together. */
  readonly streams: number;
  readonly #backend: Backend;
  readonly #owned: Set<Tensor> = new Set();
  readonly #prefill: Pass;
  readonly #step: Pass;

  /** Allocates the cache, 2 · layers · streams · L · C floats, and records the programs. */
  constructor(
    backend: Backend,
    config: ModelConfig,
    params: ParameterTensors,
    streams: number = 1,
  ) {
    this.#backend = backend;
    this.streams = streams;
    const { layers, heads: NH, contextLength: L, width: C } = config;
    const cache = Array.from({ length: layers }, () => ({
      keys: this.#own(backend.tensor([streams, NH, L, C / NH])),
      values: this.#own(backend.tensor([streams, NH, L, C / NH])),
    }));
    const record = (rows: number, head: boolean): Pass => {
      const acts = allocateActivations(backend, config, rows, false);
      activationTensors(acts).forEach((tensor) => this.#own(tensor));
      const [tokens, positions, slots] = [0, 1, 2].map(() =>
        this.#own(backend.tensor([rows], "u32"))
      );
      const logits = head ? this.#own(backend.tensor([rows, config.vocabSize])) : undefined;
      const program = backend.record((ops) => {
        const attend = ({ att: out, qkv }: BlockActivations, layer: number) =>
          ops.attentionCached({ out, qkv, ...cache[layer], positions, slots, NH });
        blocksForward(ops, { tokens, positions }, params, acts, attend);
        if (logits) ops.matmul({ out: logits, a: acts.lnf, b: params.wte, transposeB: true });
      });
      return { tokens, positions, slots, logits, program };
    };
    this.#prefill = record(PREFILL_ROWS, false);
    this.#step = record(streams, true);
    backend.write(this.#step.slots, Uint32Array.from({ length: streams }, (_, s) => s));
  }

  #own(tensor: Tensor): Tensor {
    this.#owned.add(tensor);
    return tensor;
  }

  /** Puts `tokens` into the cache of `slot` at positions `start`, `start + 1`, …, without logits. */
  prefill(slot: number, tokens: Uint32Array, start: number = 0): void {
    const { tokens: to, positions, slots, program } = this.#prefill;
    for (let first = 0; first < tokens.length; first += PREFILL_ROWS) {
      const chunk = new Uint32Array(PREFILL_ROWS);
      chunk.set(tokens.subarray(first, first + PREFILL_ROWS));
      const place = (_: unknown, row: number) =>
        first + row < tokens.length ? start + first + row : INACTIVE;
      this.#backend.write(to, chunk);
      this.#backend.write(positions, Uint32Array.from({ length: PREFILL_ROWS }, place));
      this.#backend.write(slots, new Uint32Array(PREFILL_ROWS).fill(slot));
      this.#backend.run(program);
    }
  }

  /**
   * Advances every stream by one token; streams at position {@linkcode INACTIVE} rest.
   * @returns Logits (streams, V), one row per stream, in a fresh array.
   */
  step(tokens: Uint32Array, positions: Uint32Array): Promise<Float32Array> {
    this.#backend.write(this.#step.tokens, tokens);
    this.#backend.write(this.#step.positions, positions);
    this.#backend.run(this.#step.program);
    return this.#backend.read(this.#step.logits!);
  }

  [Symbol.dispose](): void {
    for (const tensor of this.#owned) this.#backend.free(tensor);
    this.#owned.clear();
  }
}
