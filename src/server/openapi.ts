/**
 * `/openapi.json`: what the service takes and gives, from the schemas by which it checks requests.
 *
 * @see https://spec.openapis.org/oas/v3.1.0
 * @module
 */

import denoJson from "../../deno.json" with { type: "json" };
import { CHAT_SCHEMA, COMPLETION_SCHEMA } from "./openai_request.ts";
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
}

const JSON_TYPE = "application/json";

const OPERATIONS: Record<string, Record<string, Operation>> = {
  "/v1/completions": {
    post: {
      id: "createCompletion",
      summary: "Write scripts.",
      body: COMPLETION_SCHEMA,
      gives: [JSON_TYPE, "text/event-stream"],
    },
  },
  "/v1/chat/completions": {
    post: {
      id: "createChatCompletion",
      summary: "Write a script for the last message of the user.",
      body: CHAT_SCHEMA,
      gives: [JSON_TYPE, "text/event-stream"],
    },
  },
  "/v1/models": {
    get: { id: "listModels", summary: "The model that is served.", gives: [JSON_TYPE] },
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

/** Statuses of every request that has a body. */
const BODY_ERRORS: Record<number, string> = {
  400: "A field is wrong, or the prompt is too long; both counts are told then.",
  404: "There is no such model.",
  408: "The body came too slowly.",
  413: "The body is too large.",
  415: "The body is not application/json.",
  429: "The queue is full or the rate limit is reached; Retry-After tells how long to wait.",
  503: "The model is being loaded or started again, or the service is going down.",
};

const ERROR: Schema = {
  type: "object",
  required: ["error"],
  properties: {
    error: {
      type: "object",
      required: ["message", "type"],
      properties: {
        message: { type: "string", description: "A sentence and a remedy." },
        type: { type: "string" },
        param: { type: "string", description: "The field that is wrong, or null." },
        code: { type: "string", description: "Short name of what is wrong, or null." },
      },
      additionalProperties: {},
    },
  },
};

/** The document. */
export function openapi(model: string): Record<string, unknown> {
  const paths = Object.entries(OPERATIONS).map(([path, operations]) => [
    path,
    Object.fromEntries(Object.entries(operations).map(([method, one]) => [method, operation(one)])),
  ]);
  return {
    openapi: "3.1.0",
    info: {
      title: "Bashling",
      version: denoJson.version,
      description: `Writes bash from English. The model is called ${model}.`,
    },
    paths: Object.fromEntries(paths),
    components: {
      schemas: { Error: ERROR },
      securitySchemes: { key: { type: "http", scheme: "bearer" } },
    },
    security: [{ key: [] }, {}],
  };
}

function operation({ id, summary, body, gives, isPublic, also = {} }: Operation) {
  const errors = {
    ...(isPublic ? {} : { 401: "A key is needed." }),
    ...(body ? BODY_ERRORS : {}),
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
      ? { requestBody: { required: true, content: { [JSON_TYPE]: { schema: body } } } }
      : {}),
    responses: Object.fromEntries([...alike, ...answers]),
  };
}
