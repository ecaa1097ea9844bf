/**
 * The service as a function from requests to answers: routes, and what guards them.
 *
 * @module
 */

import { parameterLayout } from "../model/parameters.ts";
import { ApiError } from "./api_error.ts";
import { readJson } from "./body.ts";
import { Completions, type CompletionsOptions } from "./completions.ts";
import type { Exchange } from "./exchange.ts";
import { type ApiKeys, checkHost, type Cors, type RateLimiter } from "./guard.ts";
import { modelObject } from "./openai_answer.ts";
import { openapi } from "./openapi.ts";
import { pageResponse } from "./page.ts";
import { type LoadedModel, unavailable } from "./room.ts";
import { detokenize, tokenize } from "./tokens.ts";
import { nameRequestSpan } from "./tracing.ts";

/** Settings of an {@linkcode App}. */
export interface AppOptions extends CompletionsOptions {
  /** Address that the service listens on. */
  host: string;
  /** Further names by which it may be called. */
  allowedHosts: readonly string[];
  keys: ApiKeys;
  limiter: RateLimiter;
  cors: Cors;
  /** Take the client's address from the last of `X-Forwarded-For`. */
  trustProxy: boolean;
}

type Handler = (exchange: Exchange) => Promise<Response> | Response;

interface Route {
  /** By method. */
  handlers: Record<string, Handler>;
  /** Whether it can be asked without a key. */
  isPublic?: boolean;
}

/** Answers requests. */
export class App {
  readonly #options: AppOptions;
  readonly #routes: Record<string, Route>;
  readonly #started = Math.floor(Date.now() / 1000);
  readonly #completions: Completions;
  #draining = false;

  /** @param options The room and the others stay the caller's. */
  constructor(options: AppOptions) {
    this.#options = options;
    this.#completions = new Completions(options);
    const post = (handler: Handler): Route => ({ handlers: { POST: handler } });
    const get = (handler: Handler, isPublic = false): Route => ({
      handlers: { GET: handler, HEAD: handler },
      isPublic,
    });
    const { room, metrics } = options;
    this.#routes = {
      "/": get(({ request }) => pageResponse("index.html", request), true),
      "/page.js": get(({ request }) => pageResponse("page.js", request), true),
      "/page.css": get(({ request }) => pageResponse("page.css", request), true),
      "/health": get(() => Response.json({ status: "ok" }), true),
      "/ready": get(() => this.#readiness(), true),
      "/openapi.json": get(() => Response.json(openapi(options.name, options)), true),
      "/metrics": get(() =>
        new Response(metrics.text(), {
          headers: { "content-type": "text/plain; version=0.0.4; charset=utf-8" },
        })
      ),
      "/slots": get(() =>
        Response.json({ running: room.slots, waiting: room.waiting, ...room.limits })
      ),
      "/v1/models": get(() => Response.json({ object: "list", data: [this.#modelObject()] })),
      [`/v1/models/${options.name}`]: get(() => Response.json(this.#modelObject())),
      "/v1/completions": post((exchange) =>
        this.#completions.answer(exchange, this.#model(), "completion")
      ),
      "/v1/chat/completions": post((exchange) =>
        this.#completions.answer(exchange, this.#model(), "chat")
      ),
      "/tokenize": post(async ({ request }) =>
        Response.json(tokenize(this.#model(), await readJson(request, options)))
      ),
      "/detokenize": post(async ({ request }) =>
        Response.json(detokenize(this.#model(), await readJson(request, options)))
      ),
    };
  }

  /** Requests for scripts that are under way. */
  get underWay(): number {
    return this.#completions.underWay;
  }

  /** Takes no more requests for scripts. */
  drain(): void {
    this.#draining = true;
  }

  /** Ends the requests for scripts that are under way. */
  abort(): void {
    this.#completions.abort();
  }

  /** Answers a request. */
  async handle(request: Request, info: { remoteAddr: Deno.Addr }): Promise<Response> {
    const { log, metrics, cors } = this.#options;
    const given = request.headers.get("x-request-id");
    const exchange: Exchange = {
      request,
      id: given && /^[\w.-]{1,64}$/.test(given) ? given : crypto.randomUUID(),
      client: this.#addressOf(request, info.remoteAddr),
      arrived: performance.now(),
      fields: {},
    };
    const path = URL.canParse(request.url) ? new URL(request.url).pathname : "";
    const route = Object.hasOwn(this.#routes, path) ? this.#routes[path] : undefined;
    let response: Response;
    try {
      nameRequestSpan(request.method, route ? path : "unknown");
      response = await this.#answer(exchange, route);
    } catch (error) {
      response = this.#failure(error, exchange);
    }
    const headers = response.headers;
    headers.set("x-request-id", exchange.id);
    headers.set("x-content-type-options", "nosniff");
    if (!headers.has("cache-control")) headers.set("cache-control", "no-store");
    for (const [name, value] of Object.entries(cors.headers(request))) headers.set(name, value);
    const { status } = response;
    metrics.requests.add(1, { route: route ? path : "unknown", status });
    if (status >= 400 || !route?.isPublic) {
      log.info("request", {
        id: exchange.id,
        client: exchange.client,
        method: request.method,
        path: path.slice(0, 100),
        status,
        seconds: (performance.now() - exchange.arrived) / 1000,
        ...exchange.fields,
      });
    }
    return response;
  }

  async #answer(exchange: Exchange, route: Route | undefined): Promise<Response> {
    const { request } = exchange, { host, allowedHosts, keys, limiter, cors } = this.#options;
    if (!URL.canParse(request.url)) {
      throw new ApiError(400, "The address or the Host header cannot be one: correct it.", {
        code: "invalid_url",
      });
    }
    checkHost(request, host, allowedHosts);
    if (!route) {
      throw new ApiError(404, "There is nothing at this address: see /openapi.json.", {
        code: "unknown_url",
      });
    }
    const methods = Object.keys(route.handlers);
    if (request.method === "OPTIONS") return cors.preflight(request, methods);
    if (!Object.hasOwn(route.handlers, request.method)) {
      throw new ApiError(405, `${request.method} is not for this address: use ${methods[0]}.`, {
        code: "method_not_allowed",
        headers: { allow: [...methods, "OPTIONS"].join(", ") },
      });
    }
    if (!route.isPublic) {
      exchange.client = await keys.check(request.headers) ?? exchange.client;
      if (request.method === "POST") limiter.take(exchange.client);
    }
    return await route.handlers[request.method](exchange); // Deno leaves the body of a HEAD out
  }

  #failure(error: unknown, { id, fields }: Exchange): Response {
    if (error instanceof ApiError) {
      fields.error = error.code;
      return error.toResponse();
    }
    const message = error instanceof Error ? error.stack ?? error.message : String(error);
    this.#options.log.error("a request failed", { id, error: message });
    return new ApiError(500, `Something went wrong: tell who runs this service (request ${id}).`)
      .toResponse();
  }

  #addressOf(request: Request, address: Deno.Addr): string {
    if (this.#options.trustProxy) {
      const forwarded = request.headers.get("x-forwarded-for")?.split(",").at(-1)?.trim();
      if (forwarded && /^[\da-fA-F.:]{2,45}$/.test(forwarded)) return forwarded;
    }
    return "hostname" in address ? address.hostname : "local";
  }

  #readiness(): Response {
    const { state } = this.#options.room;
    const status = this.#draining ? "draining" : state;
    return Response.json({ status }, { status: status === "ready" ? 200 : 503 });
  }

  /** The model. @throws {ApiError} 503 if there is none, or the service is going down. */
  #model(): LoadedModel {
    if (this.#draining) throw unavailable("The service is going down: try again later.");
    const { model } = this.#options.room;
    if (!model) throw unavailable("The model is being loaded: try again in a moment.");
    return model;
  }

  #modelObject(): Record<string, unknown> {
    const { config, backend: { description } } = this.#model();
    const { count: parameters } = parameterLayout(config);
    return modelObject(this.#options.name, { config, parameters, description }, this.#started);
  }
}
