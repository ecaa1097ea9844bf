/**
 * `/tokenize` and `/detokenize`.
 *
 * @module
 */

import { ApiError } from "./api_error.ts";
import type { LoadedModel } from "./room.ts";
import { checkObject, type Schema } from "./schema.ts";

/** Body of `POST /tokenize`. */
export const TOKENIZE_SCHEMA: Schema = {
  type: "object",
  required: ["prompt"],
  properties: {
    prompt: { type: "string", description: "A text." },
    with_pieces: { type: "boolean", description: "Tell each token's text too.", default: false },
  },
};

/** Body of `POST /detokenize`. */
export const DETOKENIZE_SCHEMA: Schema = {
  type: "object",
  required: ["tokens"],
  properties: {
    tokens: {
      type: "array",
      description: "Ids of tokens.",
      items: { type: "integer", minimum: 0 },
    },
  },
};

/**
 * The tokens of a text as they are; what a prompt gets around it is not added.
 * @throws {ApiError} 400 if the body is wrong.
 */
export function tokenize({ tokenizer, config }: LoadedModel, body: unknown): object {
  const { prompt, with_pieces } = checkObject(body, TOKENIZE_SCHEMA);
  const tokens = tokenizer.encode(prompt as string);
  return {
    tokens: [...tokens],
    count: tokens.length,
    max_model_len: config.contextLength,
    ...(with_pieces ? { pieces: Array.from(tokens, (id) => tokenizer.decode([id])) } : {}),
  };
}

/**
 * The text of tokens.
 * @throws {ApiError} 400 if the body is wrong or an id is no token's.
 */
export function detokenize(model: LoadedModel, body: unknown): object {
  const { tokens } = checkObject(body, DETOKENIZE_SCHEMA);
  return { prompt: decodeTokens(model, tokens as number[], "tokens") };
}

/**
 * The text of tokens.
 * @param param The field in which they came.
 * @throws {ApiError} 400 if an id is no token's.
 */
export function decodeTokens({ tokenizer }: LoadedModel, tokens: number[], param: string): string {
  const foreign = tokens.find((id) => id >= tokenizer.vocabSize);
  if (foreign !== undefined) {
    throw new ApiError(
      400,
      `There is no token ${foreign}: ids are below ${tokenizer.vocabSize}.`,
      { param, code: "invalid_value" },
    );
  }
  return tokenizer.decode(tokens);
}
