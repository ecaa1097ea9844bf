/**
 * What goes wrong with a request, in the form that OpenAI's clients understand.
 *
 * @module
 */

/** Statuses that the service answers with when something is wrong. */
export type ErrorStatus = 400 | 401 | 403 | 404 | 405 | 408 | 413 | 415 | 429 | 500 | 503;

/** `type` of the error objects, which clients may branch on. */
const TYPES: Record<ErrorStatus, string> = {
  400: "invalid_request_error",
  401: "authentication_error",
  403: "permission_error",
  404: "not_found_error",
  405: "invalid_request_error",
  408: "timeout_error",
  413: "invalid_request_error",
  415: "invalid_request_error",
  429: "rate_limit_error",
  500: "server_error",
  503: "unavailable_error",
};

/** What an {@linkcode ApiError} can have beside its status and message. */
export interface ApiErrorDetails {
  /** Short name of what is wrong. */
  code?: string;
  /** The field of the request that is wrong. */
  param?: string;
  /** Seconds after which to try again; `Retry-After`. */
  retryAfter?: number;
  /** Headers of the answer. */
  headers?: Record<string, string>;
  /** Members that are added to the error object. */
  extra?: Record<string, unknown>;
}

/** A request that cannot be served: the message is a sentence and a remedy. */
export class ApiError extends Error {
  override name = "ApiError";
  /** Status of the answer. */
  readonly status: ErrorStatus;
  /** Short name of what is wrong, for the log, which must not have what was sent. */
  readonly code: string | null;
  readonly #details: ApiErrorDetails;

  /** @param message For whoever sent the request; it tells nothing of this machine. */
  constructor(status: ErrorStatus, message: string, details: ApiErrorDetails = {}) {
    super(message);
    this.status = status;
    this.code = details.code ?? null;
    this.#details = details;
  }

  /** The error as JSON: `{ error: { message, type, param, code } }`. */
  toJSON(): { error: Record<string, unknown> } {
    const { message, code } = this, { param = null, extra } = this.#details;
    return { error: { message, type: TYPES[this.status], param, code, ...extra } };
  }

  /** The error as an answer. */
  toResponse(): Response {
    const { retryAfter, headers } = this.#details;
    return Response.json(this.toJSON(), {
      status: this.status,
      headers: {
        ...headers,
        ...(retryAfter === undefined ? {} : { "retry-after": String(retryAfter) }),
      },
    });
  }
}
