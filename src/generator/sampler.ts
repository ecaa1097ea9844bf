/**
 * Draws the next token from logits.
 *
 * @module
 */

import type { DrawRule } from "../gpt/look_ahead.ts";
import { TOP_LOGITS } from "../gpt/top_logits.ts";
import { Random } from "../random.ts";
import type { Candidates } from "./candidates.ts";

/** How tokens are drawn. */
export interface SamplingOptions {
  /** Divides the logits: below 1 focused, above 1 wild; 0 takes the likeliest token. */
  temperature: number;
  /** Draw from the k likeliest tokens only; 0 for all. */
  topK: number;
  /** Draw from the fewest likeliest tokens that together reach this probability; 1 for all. */
  topP: number;
  /** Draw from tokens at least this many times as likely as the likeliest; 0 for all. */
  minP: number;
  /** Makes tokens that the context has already less likely; 1 leaves them alone. */
  repetitionPenalty: number;
  /** Taken from a token's logit for each time that it was drawn; 0 leaves it alone. */
  frequencyPenalty: number;
  /** Taken from the logit of a token that was drawn at all; 0 leaves it alone. */
  presencePenalty: number;
  /** Added to the logits of these tokens. */
  logitBias: Record<number, number>;
  /** Decides all draws. */
  seed: number;
}

/** A token that was drawn. */
export interface Drawn {
  /** Its id. */
  token: number;
  /** Its log-probability in nats under the model itself, before any option changed it. */
  logprob: number;
}

/**
 * Draws tokens. The options act in this order:
 *
 * 1. repetition penalty, on the model's own logits, whose sign it needs (Keskar et al. 2019), then
 *    frequency and presence penalties and biases, which are sums;
 * 2. temperature, so that the filters after it judge the probabilities that are drawn from;
 * 3. top-k, the only filter that counts tokens, on the whole vocabulary (Fan et al. 2018);
 * 4. top-p, on what top-k left, made to sum to 1 again (Holtzman et al. 2020);
 * 5. min-p, relative to the likeliest token, which no filter before it can remove (Nguyen et al.
 *    2024).
 *
 * All filters are exact. Of equally likely tokens the one with the lower id counts as likelier.
 */
export class Sampler {
  readonly #options: SamplingOptions;
  readonly #random: Random;
  /** Draws that are not taken. */
  readonly #ahead = new Random(0);
  /** How often each token of the context was drawn: 0 for those of the prompt. */
  readonly #seen = new Map<number, number>();
  readonly #bias: [token: number, bias: number][];
  /** Whether an option changes single logits. */
  readonly #adjusts: boolean;
  /** Tokens of which one is drawn; 0 for all. */
  readonly #wanted: number;
  /** Candidates, and their probabilities relative to the likeliest. */
  #ids = new Uint32Array(0);
  #weights = new Float64Array(0);

  /** @param options Checked by the caller. */
  constructor(options: SamplingOptions) {
    this.#options = options;
    this.#random = new Random(options.seed);
    this.#bias = Object.entries(options.logitBias).map(([token, bias]) => [Number(token), bias]);
    const { repetitionPenalty, frequencyPenalty, presencePenalty, temperature, topK } = options;
    this.#wanted = temperature === 0 ? 1 : topK;
    this.#adjusts = repetitionPenalty !== 1 || frequencyPenalty !== 0 || presencePenalty !== 0 ||
      this.#bias.length > 0;
  }

  /** Tells the sampler of the prompt's tokens. */
  see(tokens: Iterable<number>): void {
    if (!this.#adjusts) return;
    for (const token of tokens) this.#seen.set(token, this.#seen.get(token) ?? 0);
  }

  /** Tells the sampler that a drawn token was taken. */
  take(token: number): void {
    if (this.#adjusts) this.#seen.set(token, (this.#seen.get(token) ?? 0) + 1);
  }

  /**
   * Draws one token. It does not count as drawn until {@linkcode Sampler.take} says so.
   * @param logits (V); changed.
   * @param allowed Tokens that may be drawn, at least one; all if absent.
   * @param normalizer log Σ e^logit, if it is known.
   * @throws {Error} if a logit is not a number, as with damaged weights.
   */
  draw(
    logits: Float32Array,
    allowed?: (token: number) => boolean,
    normalizer: number = logSumExp(logits),
  ): Drawn {
    checkFinite(normalizer);
    const { temperature, topK } = this.#options, V = logits.length;
    const before = this.#adjusts ? this.#adjust(logits) : undefined;
    if (allowed) {
      for (let id = 0; id < V; id++) if (!allowed(id)) logits[id] = -Infinity;
    }
    let token: number;
    if (temperature === 0) token = argmax(logits);
    else {
      this.#reserve(V);
      const ids = this.#ids, isCut = topK > 0 && topK < V;
      if (isCut) {
        selectLargest(logits, topK, ids);
        ids.subarray(0, topK).sort((a, b) => logits[b] - logits[a] || a - b);
      } else for (let id = 0; id < V; id++) ids[id] = id;
      token = this.#drawFrom(logits, isCut ? topK : V, isCut);
    }
    const logprob = (before?.get(token) ?? logits[token]) - normalizer;
    return { token, logprob };
  }

  /** Whether the largest logits can decide a draw, if they are enough. */
  get drawsFromTop(): boolean {
    return !this.#adjusts && this.#wanted > 0;
  }

  /**
   * Draws the token that {@linkcode Sampler.draw} would draw, from the largest logits alone.
   * @param candidates The largest logits, or those of all tokens that may be drawn.
   * @returns `undefined` if they do not decide it, because an option or `allowed` needs more.
   * @throws {Error} if a logit is not a number, as with damaged weights.
   */
  drawFromTop(
    { normalizer, values, ids: tokens, isComplete = false }: Candidates,
    allowed?: (token: number) => boolean,
  ): Drawn | undefined {
    checkFinite(normalizer);
    const wanted = this.#wanted, count = values.length;
    if (!this.drawsFromTop || wanted > count && !isComplete) return undefined;
    this.#reserve(count);
    const places = this.#ids;
    let n = 0;
    for (let i = 0; i < count && n < wanted; i++) {
      if (!allowed || allowed(tokens[i])) places[n++] = i;
    }
    if (n === 0 || n < wanted && !isComplete) return undefined;
    const place = this.#options.temperature === 0 ? places[0] : this.#drawFrom(values, n, true);
    return { token: tokens[place], logprob: values[place] - normalizer };
  }

  /** Whether as many of the largest logits as a step gives can decide a draw. */
  get drawsFromFew(): boolean {
    return this.drawsFromTop && this.#wanted <= TOP_LOGITS;
  }

  /**
   * Foretells its draws for `drawTokens`, which will be right if the largest logits decide each, and
   * each is taken.
   * @param guesses Tokens that the first draws will give whatever the logits.
   * @param count Draws to foretell; none if {@linkcode Sampler.drawsFromFew} does not hold.
   */
  foretell(guesses: ArrayLike<number>, count: number): { rule: DrawRule; chances: Float32Array } {
    const { temperature, topK, topP, minP } = this.#options, random = this.#ahead;
    random.state.set(this.#random.state);
    const chances = new Float32Array(this.drawsFromFew ? count : 0);
    for (let i = 0; i < chances.length; i++) {
      // The largest f32 below 1, so that rounding makes no 1 of a number.
      const chance = Math.min(random.uniform(), 1 - 2 ** -24);
      chances[i] = i < guesses.length ? -1 - guesses[i] : chance;
    }
    return { rule: { temperature, topK, topP, minP }, chances };
  }

  /** Room for candidates with ids below `count`. */
  #reserve(count: number): void {
    if (this.#ids.length >= count) return;
    this.#ids = new Uint32Array(count);
    this.#weights = new Float64Array(count);
  }

  /** Applies penalties and biases, and returns the logits they changed as they were before. */
  #adjust(logits: Float32Array): Map<number, number> {
    const { repetitionPenalty, frequencyPenalty, presencePenalty } = this.#options;
    const before = new Map<number, number>();
    for (const [token, times] of this.#seen) {
      const logit = logits[token];
      before.set(token, logit);
      logits[token] = (logit > 0 ? logit / repetitionPenalty : logit * repetitionPenalty) -
        times * frequencyPenalty - (times > 0 ? presencePenalty : 0);
    }
    for (const [token, bias] of this.#bias) {
      if (!before.has(token)) before.set(token, logits[token]);
      logits[token] += bias;
    }
    return before;
  }

  /** Draws among the first `n` of `#ids`; `isSorted` says whether the likeliest come first. */
  #drawFrom(logits: Float32Array, n: number, isSorted: boolean): number {
    const { temperature, topP, minP } = this.#options;
    const ids = this.#ids, weights = this.#weights;
    let max = -Infinity;
    for (let i = 0; i < n; i++) max = Math.max(max, logits[ids[i]]);
    let sum = 0;
    for (let i = 0; i < n; i++) {
      const id = ids[i];
      sum += weights[id] = Math.exp((logits[id] - max) / temperature);
    }
    if (topP < 1) {
      if (!isSorted) {
        n = keepAtLeast(ids, n, weights, sum * (1 - topP) / n);
        ids.subarray(0, n).sort((a, b) => weights[b] - weights[a] || a - b);
      }
      n = prefixReaching(ids, n, weights, sum * topP);
    }
    if (minP > 0) n = keepAtLeast(ids, n, weights, minP);
    sum = 0;
    for (let i = 0; i < n; i++) sum += weights[ids[i]];
    let rest = this.#random.uniform() * sum;
    let drawn = ids[0];
    for (let i = 0; i < n && rest >= 0; i++) {
      if (weights[ids[i]] === 0) continue;
      drawn = ids[i];
      rest -= weights[drawn];
    }
    return drawn;
  }
}

/** log Σ exp(logits), the normalizer of log-probabilities. */
export function logSumExp(logits: Float32Array): number {
  let max = -Infinity;
  for (let i = 0; i < logits.length; i++) if (logits[i] > max) max = logits[i];
  let sum = 0;
  for (let i = 0; i < logits.length; i++) sum += Math.exp(logits[i] - max);
  return max + Math.log(sum);
}

function checkFinite(normalizer: number): void {
  if (Number.isFinite(normalizer)) return;
  throw new Error("The model's logits are not finite: its weights are damaged, fetch them again.");
}

function argmax(logits: Float32Array): number {
  let best = 0;
  for (let id = 1; id < logits.length; id++) if (logits[id] > logits[best]) best = id;
  return best;
}

/**
 * Puts the ids of the `k` largest values into `ids[0 … k − 1]` in no order, and returns `k`. The k
 * best so far are a heap with the worst on top, so most values cost one comparison.
 */
export function selectLargest(values: Float32Array, k: number, ids: Uint32Array): number {
  const worse = (a: number, b: number) =>
    values[a] < values[b] || (values[a] === values[b] && a > b);
  const sink = (i: number): void => {
    const id = ids[i];
    for (let child = 2 * i + 1; child < k; child = 2 * i + 1) {
      if (child + 1 < k && worse(ids[child + 1], ids[child])) child++;
      if (!worse(ids[child], id)) break;
      ids[i] = ids[child];
      i = child;
    }
    ids[i] = id;
  };
  for (let i = 0; i < k; i++) ids[i] = i;
  for (let i = (k >> 1) - 1; i >= 0; i--) sink(i);
  for (let id = k; id < values.length; id++) {
    if (values[id] <= values[ids[0]]) continue;
    ids[0] = id;
    sink(0);
  }
  return k;
}

/**
 * Keeps the ids whose weight is at least `least`, in their order, and returns how many. With `least`
 * = (1 − p)·sum/n it keeps all of a nucleus of p: what it drops weighs less than (1 − p)·sum.
 */
function keepAtLeast(ids: Uint32Array, n: number, weights: Float64Array, least: number): number {
  let kept = 0;
  for (let i = 0; i < n; i++) if (weights[ids[i]] >= least) ids[kept++] = ids[i];
  return kept;
}

/** Length of the shortest prefix whose weights sum to `least`; all if none does. */
function prefixReaching(ids: Uint32Array, n: number, weights: Float64Array, least: number): number {
  let sum = 0;
  for (let i = 0; i < n; i++) {
    sum += weights[ids[i]];
    if (sum >= least) return i + 1;
  }
  return n;
}
