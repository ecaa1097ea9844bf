/**
 * Lets several generations share a decoder: each has a stream of its own, and one step advances all
 * that are ready. A stream remembers the tokens in its cache, so that a prompt which begins like an
 * earlier one pays for the rest only.
 *
 * @module
 */

import { INACTIVE } from "../backend/backend.ts";
import type { StreamLogits } from "../gpt/decode.ts";
import type { AheadSteps } from "../gpt/look_ahead.ts";
import type { StreamDecoding } from "./engine.ts";
import type { Sampler } from "./sampler.ts";

/** What a generation foresees of its next steps. */
export interface Outlook {
  /** Steps that may still be wanted, the next one included. */
  room: number;
  /** Will draw the tokens. */
  sampler: Pick<Sampler, "foretell" | "drawsFromFew">;
  /** Tokens that will probably be drawn next because the text has to go on so; most often none. */
  guesses: ArrayLike<number>;
}

interface Request {
  token: number;
  position: number;
  outlook: Outlook;
  resolve(logits: StreamLogits): void;
  reject(reason: unknown): void;
}

/** What is known of a stream. */
interface Stream {
  /** Tokens in its cache, from position 0 on. */
  cached: number[];
  /** The steps that it made last, and how many of them have been asked for. */
  ahead?: AheadSteps;
  used: number;
  /** Logarithm to base 2 of the steps that are worth looking ahead; unknown before its first. */
  hope?: number;
}

/** Least {@linkcode Stream.hope}, with which streams begin: four steps take little longer than one. */
const LEAST_HOPE = 2;

/** Milliseconds after which timers and signals have a turn, while steps are there without waiting. */
const TURN_AFTER = 4;

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
  readonly #known: Stream[];
  readonly #waiting = new Set<(slot: number) => void>();
  readonly #requests = new Map<number, Request>();
  #stepping = false;
  #closed = false;
  /** When timers last had a turn, and the turn that generations wait for. */
  #lastTurn = 0;
  #pause?: Promise<void>;

  /** @param decoder Stays the caller's to dispose of. */
  constructor(decoder: StreamDecoding) {
    this.#decoder = decoder;
    const { streams: length } = decoder;
    this.#known = Array.from({ length }, () => ({ cached: [], used: 0 }));
    this.#free = Array.from({ length }, (_, slot) => slot);
  }

  /** Most tokens for one call of {@linkcode Streams.prefill}. */
  get prefillRows(): number {
    return this.#decoder.prefillRows;
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
    Object.assign(this.#known[slot], { ahead: undefined, used: 0, hope: undefined });
    const [next] = this.#waiting;
    if (!next) this.#free.push(slot);
    else {
      this.#waiting.delete(next);
      next(slot);
    }
  }

  /** How many of the first `tokens` the cache of a stream holds already. */
  shared(slot: number, tokens: Uint32Array): number {
    const { cached } = this.#known[slot];
    let n = 0;
    while (n < tokens.length && cached[n] === tokens[n]) n++;
    return n;
  }

  /** Puts tokens into the cache of a stream at positions from `start` on. */
  prefill(slot: number, tokens: Uint32Array, start: number): void {
    this.#checkOpen();
    const { cached } = this.#known[slot];
    cached.length = start;
    this.#decoder.prefill(slot, tokens, start);
    cached.push(...tokens);
  }

  /**
   * Puts one token at `position` into the cache of a stream; returns the logits after it, all of which
   * can be asked for until the caller first waits for something else.
   *
   * Where the decoder looks ahead, the step may have been made already: the stream has then read the
   * same tokens, as it would have one by one, so that its logits are the same.
   */
  step(slot: number, token: number, position: number, outlook: Outlook): Promise<StreamLogits> {
    const stream = this.#known[slot], { ahead, used, cached } = stream;
    const isMade = ahead !== undefined && used < ahead.count && cached.length === position &&
      ahead.token(used) === token;
    cached.length = position;
    if (isMade) {
      stream.used++;
      cached.push(token);
      return this.#give(ahead.logits(used));
    }
    if (ahead) {
      const { hope = LEAST_HOPE } = stream, most = Math.log2(this.#decoder.lookAhead!.mostSteps);
      const held = Math.min(1 + Math.floor(Math.log2(used)), most);
      stream.hope = Math.max(LEAST_HOPE, used < ahead.count ? hope - 1 : Math.max(hope, held));
      stream.ahead = undefined;
    }
    return new Promise((resolve, reject) => {
      this.#requests.set(slot, { token, position, outlook, resolve, reject });
      if (!this.#stepping) void this.#run();
    });
  }

  /** Gives what is there, after a turn if the last one was long ago. */
  #give(logits: StreamLogits): Promise<StreamLogits> {
    if (this.#closed) return Promise.reject(disposedError());
    if (performance.now() - this.#lastTurn < TURN_AFTER) return Promise.resolve(logits);
    this.#pause ??= turn().then(() => {
      this.#pause = undefined;
      this.#lastTurn = performance.now();
      this.#checkOpen();
    });
    return this.#pause.then(() => logits);
  }

  /** Ends all: whoever waits or asks from now on gets an error. */
  close(): void {
    this.#closed = true;
    for (const resolve of this.#waiting) resolve(-1);
    this.#waiting.clear();
  }

  /**
   * Steps until nobody asks. A turn before each step gathers the requests of all generations, those
   * that still had steps ahead included.
   */
  async #run(): Promise<void> {
    this.#stepping = true;
    while (this.#requests.size > 0) {
      do await turn(); while (this.#pause);
      const requests = [...this.#requests];
      this.#requests.clear();
      try {
        this.#checkOpen();
        const logits = await this.#advance(requests);
        this.#lastTurn = performance.now();
        requests.forEach(([slot, { token, resolve }], i) => {
          this.#known[slot].cached.push(token);
          resolve(logits[i]);
        });
      } catch (error) {
        for (const [, { reject }] of requests) reject(error);
      }
      // The generations that go on ask again before the next turn.
      await Promise.resolve();
    }
    this.#stepping = false;
  }

  /** Makes the steps that are asked for, and more where the decoder looks ahead. */
  async #advance(requests: [slot: number, Request][]): Promise<StreamLogits[]> {
    const { lookAhead, streams } = this.#decoder;
    if (lookAhead) {
      const steps = Math.min(this.#stepsFor(requests), lookAhead.mostSteps);
      const made = await lookAhead.run(
        requests.map(([slot, { token, position, outlook: { room, sampler, guesses } }]) => {
          const draws = sampler.foretell(guesses, Math.min(steps, room) - 1);
          const wantsAll = guesses.length > 0 || !sampler.drawsFromFew;
          return { slot, token, position, ...draws, wantsAll };
        }),
      );
      return requests.map(([slot], i) => {
        Object.assign(this.#known[slot], { ahead: made[i], used: 1 });
        return made[i].logits(0);
      });
    }
    const tokens = new Uint32Array(streams);
    const positions = new Uint32Array(streams).fill(INACTIVE);
    for (const [slot, { token, position }] of requests) {
      tokens[slot] = token;
      positions[slot] = position;
    }
    const logits = await this.#decoder.step(tokens, positions);
    return requests.map(([slot]) => logits[slot]!);
  }

  /** How many steps to look ahead: what the streams hope for, on average. */
  #stepsFor(requests: [slot: number, Request][]): number {
    const hopes = requests.flatMap(([slot]) => this.#known[slot].hope ?? []);
    if (hopes.length === 0) hopes.push(LEAST_HOPE);
    return Math.round(2 ** (hopes.reduce((sum, hope) => sum + hope) / hopes.length));
  }

  #checkOpen(): void {
    if (this.#closed) throw disposedError();
  }
}

const disposedError = (): Error => new Error("This Bashling was disposed of: load another.");
