/**
 * OpenAI's interface, its requests: what one may have, and what it means.
 *
 * @see https://platform.openai.com/docs/api-reference/completions
 * @module
 */

import { LEAST_PROMPT, MOST_BIASES } from "../generator/options.ts";
import { ApiError } from "./api_error.ts";
import type { JobOptions } from "./messages.ts";
import { checkObject, type Refused, type Schema } from "./schema.ts";

/** Limits of what one request may ask for. */
export interface AskLimits {
  /** Most scripts that one request may have made. */
  maxChoices: number;
  /** Most tokens that a script may be asked to have. */
  maxTokens: number;
}

/** A request, understood. */
export interface Ask {
  kind: "completion" | "chat";
  /** Scripts in English, or their beginnings. */
  prompts: string[];
  /** Scripts to give for each. */
  n: number;
  /** Scripts to make for each. */
  bestOf: number;
  /** Options of the first script of a prompt; the seed rises from one to the next. */
  options: JobOptions & { seed: number };
  /** Give the beginning too. */
  echo: boolean;
  /** Rivals of each token to tell, if any probabilities are to be told. */
  logprobs?: number;
  stream: boolean;
  includeUsage: boolean;
  /** The model's name in the request. */
  model?: string;
  /** Of whom the client says that it asks for. */
  user?: string;
}

const SAMPLING: Record<string, Schema> = {
  temperature: {
    type: "number",
    description: "0 takes the likeliest token; below 1 focused, above 1 wild.",
    minimum: 0,
    maximum: 2,
  },
  top_p: {
    type: "number",
    description: "Draw from the fewest likeliest tokens that together reach this probability.",
    minimum: 0,
    maximum: 1,
  },
  top_k: {
    type: "integer",
    description: "Draw from the k likeliest tokens; 0 for all.",
    minimum: 0,
    maximum: 1_000_000,
  },
  min_p: {
    type: "number",
    description: "Draw from tokens at least this many times as likely as the likeliest.",
    default: 0,
    minimum: 0,
    maximum: 1,
  },
  repetition_penalty: {
    type: "number",
    description: "Above 1 makes tokens that the context has already less likely.",
    default: 1,
    minimum: 0.1,
    maximum: 10,
  },
  frequency_penalty: {
    type: "number",
    description: "Makes a token less likely for each time that it was drawn.",
    default: 0,
    minimum: -2,
    maximum: 2,
  },
  presence_penalty: {
    type: "number",
    description: "Makes a token less likely once it was drawn.",
    default: 0,
    minimum: -2,
    maximum: 2,
  },
  logit_bias: {
    type: "object",
    description: "Makes tokens, by their ids, likelier or less likely.",
    maxProperties: MOST_BIASES,
    additionalProperties: { type: "number", minimum: -100, maximum: 100 },
  },
  seed: {
    type: "integer",
    description: "Decides all draws; the same seed gives the same script. Default: a new one.",
    minimum: 0,
    maximum: Number.MAX_SAFE_INTEGER - 1000,
  },
  stop: {
    description: "End before the first of these strings.",
    anyOf: [
      { type: "string", minLength: 1, maxLength: 1000 },
      { type: "array", maxItems: 16, items: { type: "string", minLength: 1, maxLength: 1000 } },
    ],
  },
  max_tokens: {
    type: "integer",
    description: "Most tokens to generate. Default: what the model's generation_config.json says.",
    minimum: 1,
    maximum: Number.MAX_SAFE_INTEGER,
  },
  n: { type: "integer", description: "Scripts to give.", default: 1, minimum: 1, maximum: 128 },
  truncate_prompt_tokens: {
    description: "Cut a longer prompt to so many tokens, its end; -1: to what the context holds.",
    anyOf: [
      { type: "integer", minimum: LEAST_PROMPT, maximum: 1_000_000 },
      { type: "integer", minimum: -1, maximum: -1 },
    ],
  },
  syntax: {
    type: "string",
    description: "enforce: only valid bash is written; check: tell whether it is; off.",
    default: "enforce",
    enum: ["off", "check", "enforce"],
  },
  verdict: {
    type: "boolean",
    description: "Tell what the script may do: safe, caution or destructive, and why.",
    default: true,
  },
  stream: { type: "boolean", description: "Send the script as it is made.", default: false },
  stream_options: {
    type: "object",
    description: "Of a stream.",
    properties: {
      include_usage: {
        type: "boolean",
        description: "Tell the numbers of tokens in a chunk of their own before the end.",
        default: false,
      },
    },
  },
  user: {
    type: "string",
    description: "Of whom the client asks for: users of one key get fair turns.",
    maxLength: 256,
  },
};

const MODEL: Schema = { type: "string", description: "Name of the model.", maxLength: 256 };

/** Body of `POST /v1/completions`. */
export const COMPLETION_SCHEMA: Schema = {
  type: "object",
  required: ["prompt"],
  properties: {
    model: MODEL,
    prompt: {
      description:
        "What the script should do, in English, or the beginning of a script: a text that starts " +
        "with #. A text, its tokens, or several of either.",
      anyOf: [
        { type: "string" },
        { type: "array", minItems: 1, maxItems: 128, items: { type: "string" } },
        { type: "array", minItems: 1, maxItems: 32768, items: { type: "integer", minimum: 0 } },
        {
          type: "array",
          minItems: 1,
          maxItems: 128,
          items: {
            type: "array",
            minItems: 1,
            maxItems: 32768,
            items: { type: "integer", minimum: 0 },
          },
        },
      ],
    },
    ...SAMPLING,
    best_of: {
      type: "integer",
      description: "Scripts to make, of which those are given that the model is surest of.",
      minimum: 1,
      maximum: 128,
    },
    echo: {
      type: "boolean",
      description: "Give the script's beginning too: its shebang and the prompt as a comment.",
      default: false,
    },
    logprobs: {
      type: "integer",
      description: "Tell the log-probability of each token and of so many likeliest ones.",
      minimum: 0,
      maximum: 5,
    },
  },
};

const TEXT_PARTS: Schema = {
  type: "array",
  maxItems: 128,
  items: {
    type: "object",
    required: ["type", "text"],
    properties: { type: { type: "string", enum: ["text"] }, text: { type: "string" } },
  },
};

/** Body of `POST /v1/chat/completions`. */
export const CHAT_SCHEMA: Schema = {
  type: "object",
  required: ["messages"],
  properties: {
    model: MODEL,
    messages: {
      type: "array",
      description:
        "The last message of the role user is the prompt; the model reads no others, for it knows " +
        "no conversation.",
      minItems: 1,
      maxItems: 1024,
      items: {
        type: "object",
        required: ["role"],
        properties: {
          role: { type: "string", enum: ["system", "developer", "user", "assistant"] },
          content: { anyOf: [{ type: "string" }, TEXT_PARTS] },
          name: { type: "string" },
          refusal: { type: "string" },
        },
      },
    },
    ...SAMPLING,
    max_completion_tokens: { ...SAMPLING.max_tokens, description: "The same as max_tokens." },
    response_format: {
      type: "object",
      description: "Text is all there is.",
      required: ["type"],
      properties: { type: { type: "string", enum: ["text"] } },
    },
  },
};

/** Fields of `/v1/completions` that are refused. */
const COMPLETION_REFUSED: Refused = {
  suffix: "the model was not trained to fill in the middle; leave it out.",
};

const NO_TOOLS = "the model writes bash and calls no tools; leave it out.";

/** Fields of `/v1/chat/completions` that are refused. */
const CHAT_REFUSED: Refused = {
  tools: NO_TOOLS,
  tool_choice: NO_TOOLS,
  parallel_tool_calls: NO_TOOLS,
  functions: NO_TOOLS,
  function_call: NO_TOOLS,
  audio: "the model writes text; leave it out.",
  modalities: "the model writes text; leave it out.",
  logprobs: "ask /v1/completions for them.",
  top_logprobs: "ask /v1/completions for them.",
  store: "nothing is stored; leave it out.",
};

/**
 * Understands a body of `/v1/completions`.
 * @param decode Text of tokens.
 * @throws {ApiError} 400 if it cannot be.
 */
export function completionAsk(
  body: unknown,
  limits: AskLimits,
  decode: (tokens: number[]) => string,
): Ask {
  const fields = checkObject(body, COMPLETION_SCHEMA, COMPLETION_REFUSED);
  const prompts = promptsOf(fields.prompt, decode);
  const ask: Ask = {
    ...commonAsk(fields, "completion", prompts, limits),
    echo: fields.echo as boolean ?? false,
    logprobs: fields.logprobs as number | undefined,
  };
  if (ask.stream && ask.bestOf > ask.n) {
    throw conflict("best_of", "The best of several scripts cannot be streamed: leave stream out.");
  }
  if (ask.echo && ask.logprobs !== undefined) {
    throw conflict("echo", "Log-probabilities of the prompt are not told: leave echo out.");
  }
  return ask;
}

/**
 * Understands a body of `/v1/chat/completions`.
 * @throws {ApiError} 400 if it cannot be.
 */
export function chatAsk(body: unknown, limits: AskLimits): Ask {
  const { max_completion_tokens, ...fields } = checkObject(body, CHAT_SCHEMA, CHAT_REFUSED);
  if (max_completion_tokens !== undefined) {
    if (fields.max_tokens !== undefined) {
      throw conflict("max_tokens", "max_completion_tokens is the same: leave max_tokens out.");
    }
    fields.max_tokens = max_completion_tokens;
  }
  const messages = fields.messages as { role: string; content?: string | { text: string }[] }[];
  const message = messages.findLast(({ role }) => role === "user");
  if (!message) {
    throw new ApiError(400, "There is no message of the role user: add one.", {
      param: "messages",
      code: "invalid_value",
    });
  }
  const content = message.content ?? "";
  const prompt = typeof content === "string" ? content : content.map(({ text }) => text).join("\n");
  return { ...commonAsk(fields, "chat", [prompt], limits), echo: true };
}

const conflict = (param: string, message: string): ApiError =>
  new ApiError(400, message, { param, code: "invalid_value" });

function promptsOf(prompt: unknown, decode: (tokens: number[]) => string): string[] {
  if (typeof prompt === "string") return [prompt];
  const items = prompt as (string | number | number[])[];
  if (typeof items[0] === "number") return [decode(items as number[])];
  return items.map((item) => typeof item === "string" ? item : decode(item as number[]));
}

function commonAsk(
  fields: Record<string, unknown>,
  kind: Ask["kind"],
  prompts: string[],
  { maxChoices, maxTokens }: AskLimits,
): Ask {
  const n = fields.n as number ?? 1, bestOf = fields.best_of as number ?? n;
  if (bestOf < n) throw conflict("best_of", `best_of is ${bestOf}, expected n = ${n} or more.`);
  if (prompts.length * bestOf > maxChoices) {
    throw conflict(
      "n",
      `${
        prompts.length * bestOf
      } scripts are asked for, expected at most ${maxChoices}: ask for fewer.`,
    );
  }
  if (fields.max_tokens as number > maxTokens) {
    throw conflict(
      "max_tokens",
      `max_tokens is ${fields.max_tokens}, expected at most ${maxTokens}.`,
    );
  }
  const stream = fields.stream as boolean ?? false;
  if (fields.stream_options !== undefined && !stream) {
    throw conflict("stream_options", "stream_options needs stream: set it, or leave these out.");
  }
  const { include_usage } = (fields.stream_options ?? {}) as { include_usage?: boolean };
  const options = {
    maxTokens: fields.max_tokens,
    temperature: fields.temperature,
    topK: fields.top_k,
    topP: fields.top_p,
    minP: fields.min_p,
    repetitionPenalty: fields.repetition_penalty,
    frequencyPenalty: fields.frequency_penalty,
    presencePenalty: fields.presence_penalty,
    logitBias: fields.logit_bias,
    stop: fields.stop === undefined ? undefined : [fields.stop].flat(),
    truncate: fields.truncate_prompt_tokens === -1 ? true : fields.truncate_prompt_tokens,
    syntax: fields.syntax,
    verdict: fields.verdict,
    seed: fields.seed ?? crypto.getRandomValues(new Uint32Array(1))[0],
    explain: fields.logprobs === undefined ? undefined : true,
  };
  return {
    kind,
    prompts,
    n,
    bestOf,
    options: Object.fromEntries(
      Object.entries(options).filter(([, value]) => value !== undefined),
    ) as Ask["options"],
    echo: false,
    stream,
    includeUsage: include_usage ?? false,
    model: fields.model as string | undefined,
    user: fields.user as string | undefined,
  };
}
