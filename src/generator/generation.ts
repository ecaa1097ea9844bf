/**
 * One generation: from a prompt's tokens to pieces of text, and how it ended.
 *
 * @module
 */

import type { StreamLogits } from "../gpt/decode.ts";
import type { Verdict } from "../safety/verdict.ts";
import { checkSyntax, type SyntaxCheck } from "../syntax/syntax.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { type Candidates, forcedCandidates, startsAlike, widen } from "./candidates.ts";
import type { CheckedOptions } from "./options.ts";
import type { PromptTokens } from "./prompt.ts";
import { type Drawn, Sampler } from "./sampler.ts";
import { StopMatcher } from "./stop.ts";
import { type Streams, turn } from "./streams.ts";
import { closingOf, SyntaxGuard } from "./syntax.ts";

/** A token and how likely the model found it. */
export interface TokenProbability {
  /** Its id. */
  token: number;
  /** Its text; half characters are U+FFFD. */
  text: string;
  /** Its probability under the model, before any option changed it. */
  probability: number;
}

/**
 * A token that was drawn, and what could have stood in its place.
 *
 * @example What else could have come
 * ```ts
 * import { Bashling } from "@bashling/bashling";
 *
 * using model = await Bashling.load();
 * for await (const piece of model.generate("List files", { explain: true, maxTokens: 8 })) {
 *   for (const { text, probability, rivals } of piece.explanations ?? []) {
 *     console.log(text, probability, rivals.map((rival) => rival.text));
 *   }
 * }
 * ```
 */
export interface Explanation extends TokenProbability {
  /**
   * What it adds to the text, half characters as U+FFFD: nothing for the token that ends a script, and
   * only what follows the newline with which the prompt ends for the first one.
   */
  text: string;
  /** The five likeliest other tokens, the likeliest first. */
  rivals: TokenProbability[];
}

/** A piece of a script as it is generated. */
export interface Piece {
  /** Text, whole characters only. The first piece is the script's beginning, the prompt's. */
  text: string;
  /** Ids of the tokens read or drawn since the last piece. */
  tokens: number[];
  /** Log-probability in nats of the tokens drawn, their sum; 0 for the first piece. */
  logprob: number;
  /** With the option `explain`: the tokens drawn, those that close a script at its end excepted. */
  explanations?: Explanation[];
}

/** How a generation ended. */
export interface GenerationResult {
  /**
   * `stop`: the model ended the script, or a stop string came; `length`: `maxTokens` or the context
   * was reached; `abort`: the signal was aborted.
   */
  reason: "stop" | "length" | "abort";
  /** The stop string that ended it, if one did. */
  stop?: string;
  /** Tokens of the prompt. */
  promptTokens: number;
  /** Tokens that were cut from the prompt; absent unless some were. */
  truncatedTokens?: number;
  /** Tokens generated, the one that ends a script and those that close one included. */
  completionTokens: number;
  /** Log-probability in nats of all tokens drawn. */
  logprob: number;
  /** The seed, which repeats this generation on the same backend. */
  seed: number;
  /** Whether the script is valid bash; absent with `syntax: "off"` and after an abort. */
  syntax?: SyntaxCheck;
  /** What the script may do; absent with `verdict: false` and after an abort. */
  verdict?: Verdict;
}

/** What generations share. */
export interface Shared {
  tokenizer: Tokenizer;
  streams: Streams;
  /** L, longest context in tokens. */
  contextLength: number;
}

/** Draws of one token before all tokens of the vocabulary are looked at. */
const MOST_DRAWS = 48;

/** Rivals of an explained token. */
const RIVALS = 5;

/** One generation of a script. */
export class Generation {
  readonly #shared: Shared;
  readonly #ids: Uint32Array;
  readonly #options: CheckedOptions;
  readonly #sampler: Sampler;
  readonly #guard?: SyntaxGuard;
  readonly #result: GenerationResult;
  /** Most tokens to generate. */
  readonly #most: number;
  /** Bytes with which the text has to go on. */
  #forced: Uint8Array;
  /** All text given so far. */
  #text = "";

  /**
   * @throws {SyntaxError} if the prompt is no beginning of a script, and only valid ones are wanted.
   * @throws {RangeError} if what it leaves open cannot be closed by the tokens there are, or a token
   * with a bias does not exist.
   */
  constructor(shared: Shared, { ids, forced, cut }: PromptTokens, options: CheckedOptions) {
    this.#shared = shared;
    this.#ids = ids;
    this.#forced = forced;
    this.#options = options;
    this.#sampler = new Sampler(options);
    this.#most = Math.min(options.maxTokens, shared.contextLength - ids.length);
    const { tokenizer } = shared;
    const foreign = Object.keys(options.logitBias).find((id) => Number(id) >= tokenizer.vocabSize);
    if (foreign !== undefined) {
      throw new RangeError(
        `logitBias has token ${foreign}, and there are ${tokenizer.vocabSize}: take ids from tokenize.`,
      );
    }
    if (options.syntax === "enforce") {
      this.#guard = new SyntaxGuard(tokenizer, tokenizer.decodeBytes(ids), forced);
      const { length } = this.#guard.closing(forced);
      if (length > this.#most) {
        throw new RangeError(
          `What the prompt leaves open takes ${length} tokens to close and there are ${this.#most}: allow more with maxTokens, or shorten the prompt.`,
        );
      }
    }
    this.#result = {
      reason: "abort",
      promptTokens: ids.length,
      ...(cut > 0 ? { truncatedTokens: cut } : {}),
      completionTokens: 0,
      logprob: 0,
      seed: options.seed,
    };
  }

  /** Runs it; the stream it borrows is given back at the end, or when the caller leaves early. */
  async *run(): AsyncGenerator<Piece, GenerationResult, undefined> {
    const { tokenizer, streams } = this.#shared;
    const { signal } = this.#options, ids = this.#ids;
    const slot = await streams.acquire(ids, signal);
    if (slot === undefined) return this.#result;
    try {
      const given = [...tokenizer.decodeBytes(ids), ...this.#forced];
      const text = new TextDecoder().decode(Uint8Array.from(given));
      yield this.#give({ text, tokens: [...ids], logprob: 0 });
      const last = ids.length - 1, { prefillRows } = streams;
      let at = Math.min(streams.shared(slot, ids), last);
      for (; at < last; at += prefillRows) {
        if (signal?.aborted) return this.#result;
        streams.prefill(slot, ids.subarray(at, Math.min(at + prefillRows, last)), at);
        await turn();
      }
      yield* this.#draw(slot);
    } finally {
      streams.release(slot);
    }
    const result = this.#result, { syntax, verdict } = this.#options;
    if (result.reason === "abort") return result;
    if (syntax !== "off") result.syntax = checkSyntax(this.#text);
    if (verdict) {
      const { classify } = await import("../safety/verdict.ts");
      result.verdict = await classify(this.#text);
    }
    return result;
  }

  /** Draws tokens after a prompt that is in the cache but for its last token. */
  async *#draw(slot: number): AsyncGenerator<Piece, void, undefined> {
    const { tokenizer, streams } = this.#shared, { signal, stop, explain } = this.#options;
    const ids = this.#ids, guard = this.#guard, sampler = this.#sampler, result = this.#result;
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    const matcher = new StopMatcher(stop);
    const fresh = (): Piece => ({
      text: "",
      tokens: [],
      logprob: 0,
      ...(explain ? { explanations: [] } : {}),
    });
    let piece = fresh(), token = ids[ids.length - 1], closing: Uint32Array | undefined;
    sampler.see(ids);
    while (result.completionTokens < this.#most) {
      const room = this.#most - result.completionTokens;
      if (this.#forced.length === 0 && guard?.mustClose(room)) {
        closing = guard.closing(this.#forced);
        break;
      }
      const position = ids.length - 1 + result.completionTokens;
      const logits = await streams.step(slot, token, position, {
        room,
        sampler,
        guesses: this.#guesses(),
      });
      if (signal?.aborted) {
        yield* this.#rest(piece, matcher.flush());
        return;
      }
      const drawn = await this.#drawToken(logits, room - 1);
      if (!drawn) {
        closing = guard!.closing(this.#forced);
        break;
      }
      token = drawn.token;
      piece.explanations?.push({
        ...await this.#explain(drawn, logits),
        text: this.#textGiven(token),
      });
      guard?.take(token);
      sampler.take(token);
      result.completionTokens++;
      result.logprob += drawn.logprob;
      piece.tokens.push(token);
      piece.logprob += drawn.logprob;
      if (token === tokenizer.endOfText) {
        result.reason = "stop";
        break;
      }
      const bytes = tokenizer.tokenBytes(token),
        known = Math.min(bytes.length, this.#forced.length);
      this.#forced = this.#forced.subarray(known);
      const match = matcher.push(decoder.decode(bytes.subarray(known), { stream: true }));
      piece.text += match.text;
      if (match.stop !== undefined) {
        result.reason = "stop";
        result.stop = match.stop;
        yield* this.#rest(piece, guard ? closingOf(this.#text + piece.text) : "");
        return;
      }
      if (piece.text) {
        yield this.#give(piece);
        piece = fresh();
      }
    }
    if (result.reason === "abort") result.reason = "length";
    let tail = matcher.flush();
    if (closing) {
      piece.tokens.push(...closing);
      result.completionTokens += closing.length;
      const bytes = tokenizer.decodeBytes(closing);
      tail += decoder.decode(bytes.subarray(Math.min(bytes.length, this.#forced.length)), {
        stream: true,
      });
    }
    // The guard has seen the first bytes of a last character, so that it counts as one.
    if (guard) tail += decoder.decode();
    yield* this.#rest(piece, tail);
  }

  /** Tokens that the text most probably goes on with where it has to go on in a certain way. */
  #guesses(): ArrayLike<number> {
    if (this.#forced.length === 0) return this.#forced;
    return this.#shared.tokenizer.encode(new TextDecoder().decode(this.#forced));
  }

  /** Draws a token that may come next; `undefined` if only what closes the script may. */
  async #drawToken(logits: StreamLogits, room: number): Promise<Drawn | undefined> {
    const { tokenizer } = this.#shared, guard = this.#guard, forced = this.#forced;
    const sampler = this.#sampler, refused = new Set<number>();
    const fits = (token: number): boolean => {
      if (token >= tokenizer.vocabSize || refused.has(token)) return false; // a padded vocabulary
      if (forced.length === 0) return true;
      return token !== tokenizer.endOfText && startsAlike(tokenizer.tokenBytes(token), forced);
    };
    let more: Candidates | undefined;
    const drawFromMore = async (allowed: (token: number) => boolean) => {
      if (!sampler.drawsFromTop) return undefined;
      more ??=
        await (forced.length === 0 ? widen(logits) : forcedCandidates(logits, tokenizer, forced));
      return sampler.drawFromTop(more, allowed);
    };
    for (let draws = 0; draws < MOST_DRAWS; draws++) {
      const drawn = sampler.drawFromTop(logits, fits) ?? await drawFromMore(fits) ??
        sampler.draw(await logits.all(), fits, logits.normalizer);
      if (!guard || guard.admits(drawn.token, room, forced)) return drawn;
      refused.add(drawn.token);
    }
    // What else there is is looked through from the likeliest down, as far as a draw needs it.
    const known = new Uint8Array(tokenizer.vocabSize); // 1: it may come; 2: it may not
    const admits = (token: number): boolean => {
      const admitted = () =>
        fits(token) && guard!.mayBegin(token) && guard!.admits(token, room, forced);
      return token < known.length && (known[token] ||= admitted() ? 1 : 2) === 1;
    };
    const drawn = sampler.drawFromTop(logits, admits) ?? await drawFromMore(admits);
    if (drawn) return drawn;
    for (let token = 0; token < tokenizer.vocabSize; token++) {
      if (admits(token)) return sampler.draw(await logits.all(), admits, logits.normalizer);
    }
  }

  /** What a token adds to the text: all but what had to come. */
  #textGiven(token: number): string {
    const { tokenizer } = this.#shared;
    if (token === tokenizer.endOfText) return "";
    return new TextDecoder().decode(tokenizer.tokenBytes(token).subarray(this.#forced.length));
  }

  /** What the model thought of a token and of those it could have been. */
  async #explain({ token, logprob }: Drawn, logits: StreamLogits): Promise<Explanation> {
    const { tokenizer } = this.#shared;
    let { ids, values }: { ids: ArrayLike<number>; values: ArrayLike<number> } = logits;
    if (values.length <= RIVALS) {
      const all = await logits.all();
      ids = [...all.keys()].sort((a, b) => all[b] - all[a] || a - b).slice(0, RIVALS + 1);
      values = Array.from(ids, (id) => all[id]);
    }
    const tell = (token: number, logprob: number): TokenProbability => ({
      token,
      text: token < tokenizer.vocabSize ? tokenizer.decode([token]) : "",
      probability: Math.exp(logprob),
    });
    const rivals = Array.from(ids, (id, i) => tell(id, values[i] - logits.normalizer));
    return {
      ...tell(token, logprob),
      rivals: rivals.filter((rival) => rival.token !== token).slice(0, RIVALS),
    };
  }

  /** The last piece, if there is anything in it. */
  *#rest(piece: Piece, tail: string): Generator<Piece, void, undefined> {
    piece.text += tail;
    if (piece.text) yield this.#give(piece);
  }

  #give(piece: Piece): Piece {
    this.#text += piece.text;
    return piece;
  }
}
