/**
 * The key/value cache and the recorded passes that read and write it.
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

/** Rows of the largest prefill pass: on a GPU that of a whole prompt, elsewhere few enough for turns. */
const PREFILL_ROWS = { cpu: 64, gpu: 512 };

/** Rows of the smallest prefill pass on a GPU: fewer take no less time. */
const LEAST_PREFILL_ROWS = 64;

/** Keys and values of one layer, in the precision of the weights. */
type LayerCache = { keys: Tensor; values: Tensor } | Int8Cache;

/** A row of a pass. */
export interface Row {
  /** Cache slot, which is the stream's number. */
  slot: number;
  /** Token that is read. */
  token: number;
  /** Where it stands in its stream. */
  position: number;
}

/**
 * Passes over rows of any slots. How many rows there are is rounded up, so that few passes are
 * recorded; rows that fill a pass up are inactive. A row's results do not depend on the others: all
 * products are planned for the same number of rows.
 */
export class Passes implements Disposable {
  /** Where they run. */
  readonly backend: Backend;
  /** Shape of the model. */
  readonly config: ModelConfig;
  /** Most rows of a prefill pass. */
  readonly prefillRows: number;
  /** Rows of the pass that advances all streams. */
  readonly stepRows: number;
  readonly #params: ModelTensors;
  readonly #isGpu: boolean;
  readonly #owned = new Set<Tensor>();
  readonly #cache: LayerCache[];
  readonly #acts: Activations;
  /** u32 (rows) of the largest pass, and what the host writes into them. */
  readonly #inputs: Record<keyof Row, Tensor>;
  readonly #written: Record<keyof Row, Uint32Array>;
  /** By number of rows, recorded when first needed. */
  readonly #blocks = new Map<number, Program>();
  /** Rows of prompts that wait to share a pass; on a GPU only. */
  readonly #waiting: Row[] = [];

  /** Allocates the cache, 2 · layers · streams · L · C numbers. */
  constructor(backend: Backend, config: ModelConfig, params: ModelTensors, streams: number) {
    this.backend = backend;
    this.config = config;
    this.#params = params;
    this.#isGpu = backend.name === "webgpu";
    const { layers, heads: NH, contextLength: L, width: C } = config, HS = C / NH;
    this.#cache = Array.from({ length: layers }, (): LayerCache => {
      if (!("packed" in params.wte)) {
        const tensor = () => this.tensor([streams, NH, L, HS]);
        return { keys: tensor(), values: tensor() };
      }
      const room = Math.ceil(L / INT8_BLOCK) * INT8_BLOCK;
      const tensor = () => this.tensor([streams, NH, room, HS / 4], "u32");
      return { keys: tensor(), values: tensor(), factors: this.tensor([streams, NH, 3, room]) };
    });
    this.stepRows = this.rowsFor(streams);
    this.prefillRows = this.#isGpu
      ? Math.min(PREFILL_ROWS.gpu, this.rowsFor(L, LEAST_PREFILL_ROWS))
      : PREFILL_ROWS.cpu;
    const rows = Math.max(this.prefillRows, this.stepRows);
    const input = () => this.tensor([rows], "u32"), written = () => new Uint32Array(rows);
    this.#inputs = { token: input(), position: input(), slot: input() };
    this.#written = { token: written(), position: written(), slot: written() };
    this.#acts = allocateActivations(backend, config, rows, false);
    for (const tensor of activationTensors(this.#acts)) this.#owned.add(tensor);
  }

  /** Allocates a tensor that goes with the passes. */
  tensor(shape: readonly number[], dtype?: Tensor["dtype"]): Tensor {
    const tensor = this.backend.tensor(shape, dtype);
    this.#owned.add(tensor);
    return tensor;
  }

  /**
   * Rows of a pass for `count` rows: on a GPU a power of two, as a few rows more cost nothing there,
   * else 1, 2, or a multiple of 4.
   */
  rowsFor(count: number, least: number = 1): number {
    if (this.#isGpu) return Math.max(least, 2 ** Math.ceil(Math.log2(count)));
    return count <= 2 ? Math.max(1, count) : Math.ceil(count / 4) * 4;
  }

  /** The first `rows` numbers of an input, which ops may read and write. */
  input(name: keyof Row, rows: number): Tensor {
    return this.backend.view(this.#inputs[name], 0, [rows]);
  }

  /** Records a program whose products are all planned for the same number of rows. */
  record(build: (ops: Ops) => void): Program {
    return this.backend.record(this.#planned(build));
  }

  /** Lets the backend tune itself to what is recorded later; see {@linkcode Backend.tune}. */
  async tune(build: (ops: Ops) => void): Promise<void> {
    await this.backend.tune?.(this.#planned(build));
  }

  #planned(build: (ops: Ops) => void): (ops: Ops) => void {
    const plannedRows = this.stepRows;
    return (ops) => build({ ...ops, matmul: (args) => ops.matmul({ ...args, plannedRows }) });
  }

  /** Records the blocks over so many rows of the inputs; returns the last LayerNorm (rows, C). */
  recordBlocks(ops: Ops, rows: number): Tensor {
    const { backend, config: { heads: NH } } = this;
    const acts = activationRows(backend, this.#acts, rows);
    const [tokens, positions, slots] = (["token", "position", "slot"] as const)
      .map((name) => this.input(name, rows));
    const attend = ({ att: out, qkv }: BlockActivations, layer: number) => {
      const cache = this.#cache[layer], args = { out, qkv, positions, slots, NH };
      if ("factors" in cache) ops.attentionCachedInt8({ ...args, cache });
      else ops.attentionCached({ ...args, ...cache });
    };
    blocksForward(ops, { tokens, positions }, this.#params, acts, attend);
    return acts.lnf;
  }

  /** Records logits (R, V) of the first rows of the pass before. */
  recordHead(ops: Ops, logits: Tensor): void {
    const { backend, config: { width: C } } = this;
    headLogits(
      ops,
      logits,
      backend.view(this.#acts.lnf, 0, [logits.shape[0], C]),
      this.#params.wte,
    );
  }

  /** The program of the blocks alone. */
  blocks(rows: number): Program {
    let program = this.#blocks.get(rows);
    if (!program) {
      program = this.record((ops) => void this.recordBlocks(ops, rows));
      this.#blocks.set(rows, program);
    }
    return program;
  }

  /**
   * Puts `tokens` into the cache of `slot` at positions `start`, `start + 1`, …. On a GPU they wait
   * for those of other slots, to share a pass with them, until a step is wanted.
   */
  prefill(slot: number, tokens: Uint32Array, start: number): void {
    // What a slot waits to store must not meet what is stored over it.
    if (this.#waiting.some((row) => row.slot === slot)) this.fill();
    tokens.forEach((token, i) => {
      this.#waiting.push({ slot, token, position: start + i });
      if (this.#waiting.length === this.prefillRows) this.fill();
    });
    if (!this.#isGpu) this.fill();
  }

  /** Stores what waits for it. To be called before other rows are written. */
  fill(): void {
    const count = this.#waiting.length;
    if (count === 0) return;
    const rows = this.rowsFor(count, this.#isGpu ? LEAST_PREFILL_ROWS : 1);
    this.write(rows, this.#waiting.splice(0));
    this.backend.run(this.blocks(rows));
  }

  /** Writes the inputs of a pass over `rows` rows. */
  write(rows: number, given: readonly Row[]): void {
    const { token, position, slot } = this.#written;
    position.fill(INACTIVE, given.length, rows);
    given.forEach((row, i) => {
      token[i] = row.token;
      position[i] = row.position;
      slot[i] = row.slot;
    });
    for (const name of ["token", "position", "slot"] as const) {
      this.backend.write(this.#inputs[name], this.#written[name].subarray(0, rows));
    }
  }

  [Symbol.dispose](): void {
    for (const tensor of this.#owned) this.backend.free(tensor);
    this.#owned.clear();
  }
}
