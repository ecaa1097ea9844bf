/**
 * Decoding with a key/value cache: prefill in chunks, then one token for every stream at a time.
 *
 * @module
 */

import {
  type Backend,
  INACTIVE,
  INT8_BLOCK,
  type Int8Cache,
  type Ops,
  type Program,
  type Tensor,
  viewAlignment,
} from "../backend/backend.ts";
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

/** Keys and values of one layer, in the precision of the weights. */
type LayerCache = { keys: Tensor; values: Tensor } | Int8Cache;

/** A recorded pass over a fixed number of rows. */
interface Pass {
  rows: number;
  program: Program;
  /** (rows, V) and (rows, 1 + 2K) of a pass with a head. */
  logits: Tensor;
  top: Tensor;
}

/**
 * Key/value cache and recorded programs for `streams` streams. The cache of stream `s` is slot
 * `s`; what a slot holds after the position written last is never read. Beside weights in 8 bits the
 * keys and values are kept in 8 bits too: with many streams it is them that a step reads most of.
 *
 * A pass has as many rows as are needed, rounded up to a multiple of 4, and all of them share one
 * reading of the weights; a row's results do not depend on what the other rows are.
 */
export class Decoder implements Disposable {
  /** Number of streams that a step can advance together. */
  readonly streams: number;
  readonly #backend: Backend;
  readonly #config: ModelConfig;
  readonly #params: ModelTensors;
  readonly #owned: Set<Tensor> = new Set();
  readonly #cache: LayerCache[];
  /** What the host writes before a pass: u32 (rows) of the largest pass. */
  readonly #inputs: Record<"tokens" | "positions" | "slots", Tensor>;
  readonly #acts: Activations;
  readonly #logits: Tensor;
  readonly #top: Tensor;
  /** By number of rows, recorded when first needed. */
  readonly #prefills: Map<number, Pass> = new Map();
  readonly #steps: Map<number, Pass> = new Map();

  /** Allocates the cache, 2 · layers · streams · L · C numbers. */
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
    const HS = C / NH;
    this.#cache = Array.from({ length: layers }, (): LayerCache => {
      if (!("packed" in params.wte)) {
        const tensor = () => own(backend.tensor([streams, NH, L, HS]));
        return { keys: tensor(), values: tensor() };
      }
      const room = Math.ceil(L / INT8_BLOCK) * INT8_BLOCK;
      const tensor = () => own(backend.tensor([streams, NH, room, HS / 4], "u32"));
      const factors = own(backend.tensor([streams, NH, 3, room]));
      return { keys: tensor(), values: tensor(), factors };
    });
    const steps = passRows(streams), rows = Math.max(PREFILL_ROWS, steps);
    const input = () => own(backend.tensor([rows], "u32"));
    this.#inputs = { tokens: input(), positions: input(), slots: input() };
    this.#acts = allocateActivations(backend, config, rows, false);
    activationTensors(this.#acts).forEach(own);
    this.#logits = own(backend.tensor([steps, V]));
    const K = Math.min(TOP_LOGITS, V);
    this.#top = own(backend.tensor([steps, 1 + 2 * K]));
  }

  /** Records the blocks, and the head if logits are wanted, for `rows` rows. */
  #record(rows: number, head: boolean): Pass {
    const backend = this.#backend, { heads: NH } = this.#config;
    const first = (tensor: Tensor) => backend.view(tensor, 0, [rows, ...tensor.shape.slice(1)]);
    const [tokens, positions, slots] = Object.values(this.#inputs).map(first);
    const acts = activationRows(backend, this.#acts, rows);
    const outputs = head ? rows : 1;
    const [logits, top] = [this.#logits, this.#top].map((tensor) =>
      backend.view(tensor, 0, [outputs, tensor.shape[1]])
    );
    const program = backend.record((ops) => {
      const attend = ({ att: out, qkv }: BlockActivations, layer: number) =>
        attendCached(ops, this.#cache[layer], { out, qkv, positions, slots, NH });
      blocksForward(ops, { tokens, positions }, this.#params, acts, attend);
      if (!head) return;
      headLogits(ops, logits, acts.lnf, this.#params.wte);
      ops.topLogits({ out: top, logits });
    });
    return { rows, program, logits, top };
  }

  /** The smallest pass that has at least `count` rows. */
  #pass(passes: Map<number, Pass>, count: number, head: boolean): Pass {
    const rows = passRows(count);
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
    const pass = this.#pass(this.#steps, slots.length, true);
    this.#run(pass, slots.length, (i) => {
      const slot = slots[i];
      return { token: tokens[slot], position: positions[slot], slot };
    });
    const top = await this.#backend.read(pass.top);
    const width = pass.top.shape[1], K = (width - 1) / 2;
    const allOf = this.#reader(pass.logits);
    const result = new Array<StreamLogits | undefined>(this.streams).fill(undefined);
    slots.forEach((slot, row) => {
      const at = row * width;
      result[slot] = {
        normalizer: top[at],
        values: top.subarray(at + 1, at + 1 + K),
        ids: top.subarray(at + 1 + K, at + width),
        all: () => allOf(row),
      };
    });
    return result;
  }

  /** Reads rows of logits (R, V), each into an array of its own. */
  #reader(logits: Tensor): (row: number) => Promise<Float32Array<ArrayBuffer>> {
    const backend = this.#backend, [, V] = logits.shape;
    // On WebGPU the first row that is read costs milliseconds, and those beside it next to nothing.
    if (backend.name !== "webgpu" && V % viewAlignment(logits.dtype) === 0) {
      return (row) => backend.read(backend.view(logits, row * V, [V]));
    }
    let all: Promise<Float32Array<ArrayBuffer>> | undefined;
    return async (row) => (await (all ??= backend.read(logits))).slice(row * V, (row + 1) * V);
  }

  [Symbol.dispose](): void {
    for (const tensor of this.#owned) this.#backend.free(tensor);
    this.#owned.clear();
  }
}

/** Records attention over a cache of either precision. */
function attendCached(
  ops: Ops,
  cache: LayerCache,
  args: Omit<Parameters<Ops["attentionCachedInt8"]>[0], "cache">,
): void {
  if ("factors" in cache) ops.attentionCachedInt8({ ...args, cache });
  else ops.attentionCached({ ...args, ...cache });
}

/** Rows of a pass for `count` rows: 1, 2, or a multiple of 4, so that few passes are recorded. */
function passRows(count: number): number {
  return count <= 2 ? Math.max(1, count) : Math.ceil(count / 4) * 4;
}
