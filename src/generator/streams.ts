/**
 * Lets several generations share a decoder: each has a stream of its own, and one step advances all
 * that are ready.
 *
 * @module
 */

import { INACTIVE } from "../backend/backend.ts";
import type { StreamDecoding } from "./engine.ts";

interface Request {
  token: number;
  position: number;
  resolve(logits: Float32Array): void;
  reject(reason: unknown): void;
}

/** Lets timers, signals and other generations have their turn. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** The streams of one decoder, lent to one generation each, first come, first served. */
export class Streams {
  readonly #decoder: StreamDecoding;
  readonly #vocabSize: number;
  readonly #free: number[];
  readonly #waiting = new Set<(slot: number) => void>();
  readonly #requests = new Map<number, Request>();
  #stepping = false;
  #closed = false;

  /** @param vocabSize V, the length of a row of logits. */
  constructor(decoder: StreamDecoding, vocabSize: number) {
    this.#decoder = decoder;
    this.#vocabSize = vocabSize;
    this.#free = Array.from({ length: decoder.streams }, (_, slot) => slot);
  }

  /** Waits for a stream and lends it; `undefined` if `signal` was aborted first. */
  async acquire(signal?: AbortSignal): Promise<number | undefined> {
    this.#checkOpen();
    if (signal?.aborted) return undefined;
    const slot = this.#free.shift();
    if (slot !== undefined) return slot;
    const { promise, resolve } = Promise.withResolvers<number | undefined>();
    const giveUp = () => {
      this.#waiting.delete(resolve);
      resolve(undefined);
    };
    this.#waiting.add(resolve);
    signal?.addEventListener("abort", giveUp);
    try {
      const lent = await promise;
      this.#checkOpen();
      return lent;
    } finally {
      signal?.removeEventListener("abort", giveUp);
    }
  }

  /** Gives a stream back, to the generation that has waited longest. */
  release(slot: number): void {
    const [next] = this.#waiting;
    if (!next) this.#free.push(slot);
    else {
      this.#waiting.delete(next);
      next(slot);
    }
  }

  /** Puts tokens into the cache of a stream at positions from `start` on. */
  prefill(slot: number, tokens: Uint32Array, start: number): void {
    this.#checkOpen();
    this.#decoder.prefill(slot, tokens, start);
  }

  /** Puts one token at `position` into the cache of a stream; returns the logits (V) after it. */
  step(slot: number, token: number, position: number): Promise<Float32Array> {
    return new Promise((resolve, reject) => {
      this.#requests.set(slot, { token, position, resolve, reject });
      if (!this.#stepping) void this.#run();
    });
  }

  /** Ends all: whoever waits or asks from now on gets an error. */
  close(): void {
    this.#closed = true;
    for (const resolve of this.#waiting) resolve(-1);
    this.#waiting.clear();
  }

  /** Steps until nobody asks. A turn before each step gathers the requests of all generations. */
  async #run(): Promise<void> {
    this.#stepping = true;
    while (this.#requests.size > 0) {
      await turn();
      const requests = [...this.#requests];
      this.#requests.clear();
      try {
        this.#checkOpen();
        const tokens = new Uint32Array(this.#decoder.streams);
        const positions = new Uint32Array(this.#decoder.streams).fill(INACTIVE);
        for (const [slot, { token, position }] of requests) {
          tokens[slot] = token;
          positions[slot] = position;
        }
        const logits = await this.#decoder.step(tokens, positions);
        const V = this.#vocabSize;
        for (const [slot, { resolve }] of requests) {
          resolve(logits.subarray(slot * V, (slot + 1) * V));
        }
      } catch (error) {
        for (const [, { reject }] of requests) reject(error);
      }
      // The generations that go on ask again before the next turn.
      await Promise.resolve();
    }
    this.#stepping = false;
  }

  #checkOpen(): void {
    if (this.#closed) throw new Error("This Bashling was disposed of: load another.");
  }
}
