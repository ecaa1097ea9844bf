/**
 * `/openapi.json`: what the service takes and gives, from the schemas by which it checks requests.
 *
 * @see https://spec.openapis.org/oas/v3.1.0
 * @module
 */

import denoJson from "../../deno.json" with { type: "json" };
import { type AskLimits, CHAT_SCHEMA, COMPLETION_SCHEMA } from "./openai_request.ts";
import type { Schema } from "./schema.ts";
import { DETOKENIZE_SCHEMA, TOKENIZE_SCHEMA } from "./tokens.ts";

/** An operation in short. */
interface Operation {
  id: string;
  summary: string;
  body?: Schema;
  /** Media types of the answer. */
  gives: string[];
  isPublic?: boolean;
  /** Statuses other than 200 that are answered in the same form. */
  also?: Record<number, string>;
  /** Further statuses that are answered with an error. */
  errors?: Record<number, string>;
}

const JSON_TYPE = "application/json";

const NO_MODEL = "There is no such model.";

const NOT_READY =
  "The model is being loaded or started again, the service is going down, or the answer was not " +
  "ready in time; Retry-After tells how long to wait.";

const OPERATIONS: Record<string, Record<string, Operation>> = {
  "/v1/completions": {
    post: {
      id: "createCompletion",
      summary: "Write scripts.",
      body: COMPLETION_SCHEMA,
      gives: [JSON_TYPE, "text/event-stream"],
      errors: { 404: NO_MODEL },
    },
  },
  "/v1/chat/completions": {
    post: {
      id: "createChatCompletion",
      summary: "Write a script for the last message of the user.",
      body: CHAT_SCHEMA,
      gives: [JSON_TYPE, "text/event-stream"],
      errors: { 404: NO_MODEL },
    },
  },
  "/v1/models": {
    get: {
      id: "listModels",
      summary: "The model that is served.",
      gives: [JSON_TYPE],
      errors: { 503: NOT_READY },
    },
  },
  "/tokenize": {
    post: {
      id: "tokenize",
      summary: "The tokens of a text.",
      body: TOKENIZE_SCHEMA,
      gives: [JSON_TYPE],
    },
  },
  "/detokenize": {
    post: {
      id: "detokenize",
      summary: "The text of tokens.",
      body: DETOKENIZE_SCHEMA,
      gives: [JSON_TYPE],
    },
  },
  "/health": {
    get: { id: "health", summary: "Whether it is alive.", gives: [JSON_TYPE], isPublic: true },
  },
  "/ready": {
    get: {
      id: "ready",
      summary: "Whether it takes requests for scripts.",
      gives: [JSON_TYPE],
      isPublic: true,
      also: { 503: "It is loading, or going down." },
    },
  },
  "/metrics": {
    get: { id: "metrics", summary: "Prometheus' text format.", gives: ["text/plain"] },
  },
  "/slots": {
    get: { id: "slots", summary: "The generations at work and in the queue.", gives: [JSON_TYPE] },
  },
  "/openapi.json": {
    get: { id: "openapi", summary: "This document.", gives: [JSON_TYPE], isPublic: true },
  },
};

/** Statuses of every request. */
const ERRORS: Record<number, string> = {
  403: "It listens for its own machine and was called by another name.",
  500: "A fault of the service.",
};

/** Statuses of every request that has a body. */
const BODY_ERRORS: Record<number, string> = {
  400: "A field is wrong, or the prompt is too long; both counts are told then.",
  408: "The body came too slowly.",
  413: "The body is too large.",
  415: "The body is not application/json.",
  429: "The queue is full or the rate limit is reached; Retry-After tells how long to wait.",
  503: NOT_READY,
};

const ERROR = {
  type: "object",
  required: ["error"],
  properties: {
    error: {
      type: "object",
      required: ["message", "type", "param", "code"],
      properties: {
        message: { type: "string", description: "A sentence and a remedy." },
        type: { type: "string" },
        param: { type: ["string", "null"], description: "The field that is wrong." },
        code: { type: ["string", "null"], description: "Short name of what is wrong." },
      },
    },
  },
};

/**
 * The document.
 * @param model Name of the model.
 * @param limits What this service allows, where that is less than the schemas say.
 */
export function openapi(model: string, limits: AskLimits): Record<string, unknown> {
  const { maxChoices, maxTokens } = limits;
  const most = {
    n: maxChoices,
    best_of: maxChoices,
    max_tokens: maxTokens,
    max_completion_tokens: maxTokens,
  };
  const paths = Object.entries(OPERATIONS).map(([path, operations]) => [
    path,
    Object.fromEntries(
      Object.entries(operations).map(([method, one]) => [method, operation(one, most)]),
    ),
  ]);
  return {
    openapi: "3.1.0",
    info: {
      title: "Bashling",
      version: denoJson.version,
      description: `Writes bash from English. The model is called ${model}. A field of a ` +
        "request that is null counts as absent.",
    },
    paths: Object.fromEntries(paths),
    components: {
      schemas: { Error: ERROR },
      securitySchemes: {
        key: { type: "http", scheme: "bearer" },
        header: { type: "apiKey", in: "header", name: "X-API-Key" },
      },
    },
    security: [{ key: [] }, { header: [] }, {}],
  };
}

function operation(
  { id, summary, body, gives, isPublic, also = {}, errors: own = {} }: Operation,
  most: Record<string, number>,
) {
  const errors = {
    ...ERRORS,
    ...(isPublic ? {} : { 401: "A key is needed." }),
    ...(body ? BODY_ERRORS : {}),
    ...own,
  };
  const content = Object.fromEntries(gives.map((type) => [type, {}]));
  const alike = Object.entries({ 200: "As asked.", ...also })
    .map(([status, description]) => [status, { description, content }]);
  const answers = Object.entries(errors).map(([status, description]) => [status, {
    description,
    content: { [JSON_TYPE]: { schema: { $ref: "#/components/schemas/Error" } } },
  }]);
  return {
    operationId: id,
    summary,
    ...(isPublic ? { security: [] } : {}),
    ...(body
      ? {
        requestBody: { required: true, content: { [JSON_TYPE]: { schema: closed(body, most) } } },
      }
      : {}),
    responses: Object.fromEntries([...alike, ...answers]),
  };
}

/**
 * A schema as others read it: members that it does not name are forbidden, which the service takes for
 * granted and JSON Schema does not, and no maximum is above what this service allows.
 */
function closed(schema: Schema, most: Record<string, number> = {}): Schema {
  const { properties, items, anyOf, additionalProperties = false } = schema;
  const within = ([name, one]: [string, Schema]): [string, Schema] => [
    name,
    { ...closed(one), ...(name in most ? { maximum: Math.min(one.maximum!, most[name]) } : {}) },
  ];
  return {
    ...schema,
    ...(schema.type === "object" ? { additionalProperties } : {}),
    ...(properties
      ? { properties: Object.fromEntries(Object.entries(properties).map(within)) }
      : {}),
    ...(items ? { items: closed(items) } : {}),
    ...(anyOf ? { anyOf: anyOf.map((one) => closed(one)) } : {}),
  };
}
