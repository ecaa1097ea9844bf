/**
 * Who may ask, from where, and how often.
 *
 * @module
 */

import { ApiError } from "./api_error.ts";

/** A key and the name under which its use is logged. */
interface ApiKey {
  name: string;
  digest: Uint8Array<ArrayBuffer>;
}

const digestOf = async (text: string): Promise<Uint8Array<ArrayBuffer>> =>
  new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));

/** Whether two digests are equal, in a time that tells nothing of where they differ. */
function sameDigest(a: Uint8Array, b: Uint8Array): boolean {
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= a[i] ^ b[i];
  return difference === 0;
}

/** The keys with which the service may be used; without any, everyone may use it. */
export class ApiKeys {
  readonly #keys: readonly ApiKey[];

  private constructor(keys: readonly ApiKey[]) {
    this.#keys = keys;
  }

  /**
   * Reads keys from a text: one in a line or between commas, as `key` or `name:key`. A `#` at the
   * start of a line, or after a space or a comma, begins a comment that the line's end ends.
   *
   * @throws {RangeError} if a key is shorter than 16 characters or has other than visible ASCII ones.
   */
  static async parse(text: string): Promise<ApiKeys> {
    const uncommented = text.replace(/(^|[\s,])#.*$/gm, "$1");
    const entries = uncommented.split(/[\n,]/).map((entry) => entry.trim()).filter(Boolean);
    const keys = entries.map(async (entry, i): Promise<ApiKey> => {
      const [, name = `key-${i + 1}`, key] = entry.match(/^(?:([\w.-]{1,64}):)?(.*)$/)!;
      if (!/^[\x21-\x7e]{16,512}$/.test(key)) {
        throw new RangeError(
          `API key ${i + 1} (${name}) cannot be one: it needs 16 or more visible ASCII characters.`,
        );
      }
      return { name, digest: await digestOf(key) };
    });
    return new ApiKeys(await Promise.all(keys));
  }

  /** Number of keys. */
  get size(): number {
    return this.#keys.length;
  }

  /**
   * The name of the key that a request has, in `Authorization: Bearer` or `X-API-Key`; `undefined` if
   * there are no keys.
   * @throws {ApiError} 401 if it has none of them.
   */
  async check(headers: Headers): Promise<string | undefined> {
    if (this.#keys.length === 0) return undefined;
    const bearer = headers.get("authorization")?.match(/^Bearer +(\S+)$/i)?.[1];
    const given = bearer ?? headers.get("x-api-key");
    const challenge = { "www-authenticate": 'Bearer realm="bashling"' };
    if (!given) {
      throw new ApiError(401, "There is no API key: send it as Authorization: Bearer KEY.", {
        code: "missing_api_key",
        headers: challenge,
      });
    }
    const digest = await digestOf(given);
    let name: string | undefined;
    for (const key of this.#keys) if (sameDigest(key.digest, digest)) name = key.name;
    if (name !== undefined) return name;
    throw new ApiError(401, "The API key is not one of this service: check it.", {
      code: "invalid_api_key",
      headers: challenge,
    });
  }
}

/** Allows so many requests a minute for each client, a minute's worth of them at once. */
export class RateLimiter {
  readonly #perMinute: number;
  /** What each client may still ask, and when that was so, in milliseconds. */
  readonly #clients = new Map<string, { left: number; at: number }>();

  /** @param perMinute Requests a minute; Infinity for no limit. */
  constructor(perMinute: number) {
    this.#perMinute = perMinute;
  }

  /** Clients that are not at rest. */
  get clients(): number {
    return this.#clients.size;
  }

  /**
   * Counts a request.
   * @throws {ApiError} 429 with the time to wait, if it is one too many.
   */
  take(client: string, now: number = performance.now()): void {
    if (this.#perMinute === Infinity) return;
    this.#forget(now);
    const left = this.#left(client, now);
    if (left < 1) {
      throw new ApiError(
        429,
        `More than ${this.#perMinute} requests a minute: wait, or ask for a higher limit.`,
        {
          code: "rate_limit_exceeded",
          retryAfter: Math.ceil((1 - left) * 60 / this.#perMinute),
        },
      );
    }
    this.#clients.delete(client);
    this.#clients.set(client, { left: left - 1, at: now });
  }

  #left(client: string, now: number): number {
    const entry = this.#clients.get(client);
    if (!entry) return this.#perMinute;
    return Math.min(this.#perMinute, entry.left + (now - entry.at) * this.#perMinute / 60_000);
  }

  /** Forgets clients that have their minute's worth again, the longest at rest first. */
  #forget(now: number): void {
    for (const client of this.#clients.keys()) {
      if (this.#left(client, now) < this.#perMinute) return;
      this.#clients.delete(client);
    }
  }
}

/** Which web pages may use the service from a browser. */
export class Cors {
  readonly #origins: ReadonlySet<string>;

  /**
   * @param origins Origins such as `https://example.org`, or `*` for all.
   * @throws {RangeError} if one cannot be.
   */
  constructor(origins: readonly string[]) {
    for (const origin of origins) {
      if (origin !== "*" && (!URL.canParse(origin) || new URL(origin).origin !== origin)) {
        throw new RangeError(
          `${origin} is no origin: write scheme, host and port, as https://example.org.`,
        );
      }
    }
    this.#origins = new Set(origins);
  }

  /** Headers that let the page that asks read the answer; none if it may not. */
  headers(request: Request): Record<string, string> {
    const origin = request.headers.get("origin");
    if (this.#origins.size === 0) return {};
    if (origin === null || !(this.#origins.has("*") || this.#origins.has(origin))) {
      return { vary: "origin" };
    }
    return {
      vary: "origin",
      "access-control-allow-origin": this.#origins.has("*") ? "*" : origin,
      "access-control-expose-headers": "retry-after, x-request-id",
    };
  }

  /** Answers a browser that asks whether it may ask. */
  preflight(request: Request, methods: readonly string[]): Response {
    const headers = this.headers(request);
    if (headers["access-control-allow-origin"]) {
      headers["access-control-allow-methods"] = methods.join(", ");
      headers["access-control-allow-headers"] =
        "authorization, content-type, x-api-key, x-request-id";
      headers["access-control-max-age"] = "600";
    }
    return new Response(null, { status: 204, headers });
  }
}

const LOOPBACK = /^(localhost|127(\.\d+){3}|\[::1\])$/;

/**
 * Checks the name under which the service was called. A service for this machine alone must not be
 * called by another name: that is how a web page reaches it through a name that it controls (DNS
 * rebinding).
 *
 * @param bound Address that the service listens on.
 * @param allowed Further names, lower case.
 * @throws {ApiError} 403 if it was called by a name that is not allowed.
 */
export function checkHost(request: Request, bound: string, allowed: readonly string[]): void {
  if (!LOOPBACK.test(bound) && bound !== "::1") return;
  const { hostname } = new URL(request.url);
  if (LOOPBACK.test(hostname) || allowed.includes(hostname)) return;
  throw new ApiError(
    403,
    "This service is for its own machine: call it localhost, or allow the name with --allow-host.",
    { code: "host_not_allowed" },
  );
}
