/**
 * OpenAI's interface, its answers: whole, or as the chunks of a stream.
 *
 * @see https://platform.openai.com/docs/api-reference/completions
 * @module
 */

import type { Explanation, Piece } from "../generator/generation.ts";
import type { ModelConfig } from "../model/config.ts";
import type { Ask } from "./openai_request.ts";
import type { JobResult } from "./room.ts";

/** Tokens read and made for an answer. */
export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
}

/** The sum over scripts; a prompt counts once, however many scripts are made from it. */
export function usageOf(scripts: JobResult[][]): Usage {
  const prompt_tokens = scripts.reduce((sum, [{ promptTokens }]) => sum + promptTokens, 0);
  const completion_tokens = scripts.flat().reduce((sum, one) => sum + one.completionTokens, 0);
  return { prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens };
}

/** Writes the answers to one request. */
export class Answer {
  readonly #ask: Ask;
  readonly #common: Record<string, unknown>;
  /** Characters given of each choice, for the offsets of tokens. */
  readonly #offsets: number[] = [];

  /** @param served Name and fingerprint of the model. */
  constructor(ask: Ask, id: string, served: { model: string; fingerprint: string }) {
    this.#ask = ask;
    const isChat = ask.kind === "chat";
    this.#common = {
      id: `${isChat ? "chatcmpl" : "cmpl"}-${id}`,
      object: isChat ? ask.stream ? "chat.completion.chunk" : "chat.completion" : "text_completion",
      created: Math.floor(Date.now() / 1000),
      model: served.model,
      system_fingerprint: served.fingerprint,
    };
  }

  /** A whole answer: the scripts of each prompt, the best first. */
  whole(scripts: JobResult[][]): Record<string, unknown> {
    const { n, kind } = this.#ask;
    const choices = scripts.flatMap((ones, prompt) =>
      ones.slice(0, n).map((script, i) => {
        const index = prompt * n + i, text = this.#textOf(script.pieces);
        const choice = kind === "chat"
          ? { index, message: { role: "assistant", content: text, refusal: null } }
          : { index, text };
        return { ...choice, ...this.#logprobs(index, script.pieces), ...this.#end(script) };
      })
    );
    return { ...this.#common, choices, usage: usageOf(scripts) };
  }

  /** The first chunk of a choice, where the interface has one. */
  first(index: number): Record<string, unknown> | undefined {
    if (this.#ask.kind !== "chat") return undefined;
    return this.#chunk([{ index, delta: { role: "assistant", content: "" }, finish_reason: null }]);
  }

  /** A chunk with a piece of a script, if any of it is to be given. */
  piece(index: number, piece: Piece, isBeginning: boolean): Record<string, unknown> | undefined {
    if (isBeginning && !this.#ask.echo) return undefined;
    const { text } = piece;
    const choice = this.#ask.kind === "chat"
      ? { index, delta: { content: text } }
      : { index, text, ...this.#logprobs(index, [piece]) };
    return this.#chunk([{ ...choice, finish_reason: null }]);
  }

  /** The last chunk of a choice. */
  last(index: number, script: JobResult): Record<string, unknown> {
    const choice = this.#ask.kind === "chat"
      ? { index, delta: {} }
      : { index, text: "", logprobs: null };
    return this.#chunk([{ ...choice, ...this.#end(script) }]);
  }

  /** The chunk with the numbers of tokens. */
  usage(scripts: JobResult[][]): Record<string, unknown> {
    return { ...this.#chunk([]), usage: usageOf(scripts) };
  }

  #chunk(choices: unknown[]): Record<string, unknown> {
    return { ...this.#common, choices, ...(this.#ask.includeUsage ? { usage: null } : {}) };
  }

  #textOf(pieces: Piece[]): string {
    return pieces.slice(this.#ask.echo ? 0 : 1).map(({ text }) => text).join("");
  }

  /** How a script ended, and what it is. */
  #end({ reason, seed, syntax, verdict, truncatedTokens }: JobResult): Record<string, unknown> {
    return {
      finish_reason: reason === "stop" ? "stop" : "length",
      seed,
      ...(syntax ? { syntax } : {}),
      ...(verdict ? { verdict } : {}),
      ...(truncatedTokens ? { truncated_prompt_tokens: truncatedTokens } : {}),
    };
  }

  /** Probabilities as OpenAI's first interface tells them. */
  #logprobs(index: number, pieces: Piece[]): Record<string, unknown> {
    if (this.#ask.kind === "chat") return { logprobs: null };
    const { logprobs: count } = this.#ask;
    if (count === undefined) return { logprobs: null };
    const explanations = pieces.flatMap(({ explanations = [] }) => explanations)
      .filter(({ text }) => text !== "");
    const text_offset = explanations.map(({ text }) => {
      const at = this.#offsets[index] ?? 0;
      this.#offsets[index] = at + text.length;
      return at;
    });
    return {
      logprobs: {
        tokens: explanations.map(({ text }) => text),
        token_logprobs: explanations.map(({ probability }) => Math.log(probability)),
        top_logprobs: explanations.map((one) => topLogprobs(one, count)),
        text_offset,
      },
    };
  }
}

/** The `count` likeliest tokens, and the one that was drawn. */
function topLogprobs(drawn: Explanation, count: number): Record<string, number> {
  const likeliest = [drawn, ...drawn.rivals]
    .sort((a, b) => b.probability - a.probability).slice(0, count);
  return Object.fromEntries(
    [...likeliest, drawn].map(({ text, probability }) => [text, Math.log(probability)]),
  );
}

/** What `/v1/models` tells of the model. */
export function modelObject(
  id: string,
  { config, parameters, description }: {
    config: ModelConfig;
    parameters: number;
    description: string;
  },
  created: number,
): Record<string, unknown> {
  return {
    id,
    object: "model",
    created,
    owned_by: "bashling",
    meta: {
      n_vocab: config.vocabSize,
      n_ctx_train: config.contextLength,
      n_embd: config.width,
      n_layer: config.layers,
      n_head: config.heads,
      n_params: parameters,
      backend: description,
    },
  };
}
