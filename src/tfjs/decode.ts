/**
 * Decoding with a key/value cache in TensorFlow.js, with the interface of src/gpt/decode.ts.
 *
 * @module
 */

import * as tf from "./tf.ts";
import { INACTIVE } from "../backend/backend.ts";
import { logSumExp } from "../generator/sampler.ts";
import type { StreamLogits } from "../gpt/decode.ts";
import { type Attend, attention, joinHeads, MASKED, splitHeads, type TfjsModel } from "./gpt.ts";

/** Keys and values of one layer of one stream, each (1, NH, t, HS). */
interface LayerCache {
  keys: tf.Tensor4D;
  values: tf.Tensor4D;
}

/** Key/value caches of `streams` streams. What stands after a position given to it is forgotten. */
export class TfjsDecoder implements Disposable {
  /** Number of streams that a step advances together. */
  readonly streams: number;
  /** Most tokens to be put into the cache before others have a turn. */
  readonly prefillRows = 64;
  readonly #model: TfjsModel;
  /** By stream, then layer; empty before the first token. */
  readonly #caches: LayerCache[][];

  /** @param model Stays the caller's to dispose of. */
  constructor(model: TfjsModel, streams: number = 1) {
    this.#model = model;
    this.streams = streams;
    this.#caches = Array.from({ length: streams }, () => []);
  }

  /** Puts `tokens` into the cache of `slot` at positions `start`, `start + 1`, …, without logits. */
  prefill(slot: number, tokens: Uint32Array, start: number = 0): void {
    if (tokens.length === 0) return;
    this.#model.activate();
    this.#advance(slot, tokens, start).dispose();
  }

  /**
   * Advances every stream by one token; streams at position `INACTIVE` rest.
   * @returns The logits of each stream, `undefined` for those that rest.
   */
  async step(
    tokens: Uint32Array,
    positions: Uint32Array,
  ): Promise<(StreamLogits | undefined)[]> {
    this.#model.activate();
    const V = this.#model.config.vocabSize;
    const slots = [...positions.keys()].filter((slot) => positions[slot] !== INACTIVE);
    const rows = slots.map((slot) => {
      const hidden = this.#advance(slot, tokens.subarray(slot, slot + 1), positions[slot]);
      const logits = tf.tidy(() => this.#model.head(this.#model.tensors, hidden));
      hidden.dispose();
      return logits;
    });
    const logits = tf.concat(rows);
    try {
      const data = await logits.data() as Float32Array<ArrayBuffer>;
      const result = new Array<StreamLogits | undefined>(this.streams).fill(undefined);
      slots.forEach((slot, row) => {
        const all = data.slice(row * V, (row + 1) * V);
        result[slot] = {
          normalizer: logSumExp(all),
          values: new Float32Array(0),
          ids: [],
          all: () => Promise.resolve(all),
        };
      });
      return result;
    } finally {
      tf.dispose([logits, ...rows]);
    }
  }

  /** Runs `tokens` of one stream from position `start` on; returns their last hidden states. */
  #advance(slot: number, tokens: Uint32Array, start: number): tf.Tensor2D {
    const { config, tensors } = this.#model;
    const { heads: NH } = config;
    const before = this.#caches[slot], after: LayerCache[] = [];
    const held = before[0]?.keys.shape[2] ?? 0;
    if (start > held) {
      throw new RangeError(`Slot ${slot} holds ${held} tokens: it cannot go on at ${start}.`);
    }
    const n = tokens.length, end = start + n;
    const hidden = tf.tidy(() => {
      const query = tf.range(start, end, 1, "int32").expandDims(1);
      const unseen = query.less(tf.range(0, end, 1, "int32").expandDims(0)); // (n, end)
      const mask = unseen.cast("float32").mul(MASKED);
      const extend = (past: tf.Tensor4D | undefined, next: tf.Tensor4D): tf.Tensor4D =>
        past && start > 0
          ? tf.concat([past.slice([0, 0, 0, 0], [1, NH, start, past.shape[3]]), next], 2)
          : next;
      const attend: Attend = (qkv, layer) => {
        const [q, k, v] = tf.split(qkv, 3, 1).map((x) => splitHeads(x as tf.Tensor2D, 1, NH));
        const keys = tf.keep(extend(before[layer]?.keys, k));
        const values = tf.keep(extend(before[layer]?.values, v));
        after.push({ keys, values });
        return joinHeads(attention(q, keys, values, mask));
      };
      const positions = Uint32Array.from({ length: n }, (_, i) => start + i);
      return this.#model.hidden(tensors, { tokens, positions }, attend);
    });
    release(before);
    this.#caches[slot] = after;
    return hidden;
  }

  [Symbol.dispose](): void {
    this.#caches.forEach(release);
    this.#caches.fill([]);
  }
}

function release(caches: LayerCache[]): void {
  for (const { keys, values } of caches) tf.dispose([keys, values]);
}
