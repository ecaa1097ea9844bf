/**
 * Lets several generations share a decoder: each has a stream of its own, and one step advances all
 * that are ready. A stream remembers the tokens in its cache, so that a prompt which begins like an
 * earlier one pays for the rest only.
 *
 * @module
 */

import { INACTIVE } from "../backend/backend.ts";
import type { StreamLogits } from "../gpt/decode.ts";
import type { StreamDecoding } from "./engine.ts";

interface Request {
  token: number;
  position: number;
  resolve(logits: StreamLogits): void;
  reject(reason: unknown): void;
}

/** Lets timers, signals and other generations have their turn. */
export function turn(): Promise<void> {
  return new Promise((resolve) => soon(resolve));
}

/** Calls a function after what waits already: `setImmediate`, which browsers do not have. */
const soon: (call: () => void) => void = globalThis.setImmediate ?? ((call) => {
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => {
    port1.close();
    call();
  };
  port2.postMessage(0);
});

/** The streams of one decoder, lent to one generation each, first come, first served. */
export class Streams {
  readonly #decoder: StreamDecoding;
  readonly #free: number[];
  /** Tokens in the cache of each stream, from position 0 on. */
  readonly #cached: number[][];
  readonly #waiting = new Set<(slot: number) => void>();
  readonly #requests = new Map<number, Request>();
  #stepping = false;
  #closed = false;

  /** @param decoder Stays the caller's to dispose of. */
  constructor(decoder: StreamDecoding) {
    this.#decoder = decoder;
    this.#cached = Array.from({ length: decoder.streams }, () => []);
    this.#free = Array.from({ length: decoder.streams }, (_, slot) => slot);
  }

  /**
   * Waits for a stream and lends it; `undefined` if `signal` was aborted first. Of several that are
   * free it is the one whose cache begins most like `tokens`.
   */
  async acquire(tokens: Uint32Array, signal?: AbortSignal): Promise<number | undefined> {
    this.#checkOpen();
    if (signal?.aborted) return undefined;
    if (this.#free.length > 0) {
      const shared = this.#free.map((slot) => this.shared(slot, tokens));
      return this.#free.splice(shared.indexOf(Math.max(...shared)), 1)[0];
    }
    let giveUp = () => {};
    const turnComes = new Promise<number | undefined>((resolve) => {
      this.#waiting.add(resolve);
      giveUp = () => {
        this.#waiting.delete(resolve);
        resolve(undefined);
      };
    });
    signal?.addEventListener("abort", giveUp);
    try {
      const lent = await turnComes;
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

  /** How many of the first `tokens` the cache of a stream holds already. */
  shared(slot: number, tokens: Uint32Array): number {
    const cached = this.#cached[slot];
    let n = 0;
    while (n < tokens.length && cached[n] === tokens[n]) n++;
    return n;
  }

  /** Puts tokens into the cache of a stream at positions from `start` on. */
  prefill(slot: number, tokens: Uint32Array, start: number): void {
    this.#checkOpen();
    this.#cached[slot].length = start;
    this.#decoder.prefill(slot, tokens, start);
    this.#cached[slot].push(...tokens);
  }

  /**
   * Puts one token at `position` into the cache of a stream; returns the logits after it, all of which
   * can be asked for until the caller first waits for something else.
   */
  step(slot: number, token: number, position: number): Promise<StreamLogits> {
    this.#cached[slot].length = position;
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
        for (const [slot, { token, resolve }] of requests) {
          this.#cached[slot].push(token);
          resolve(logits[slot]!);
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
