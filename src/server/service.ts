/**
 * The service from start to end: it listens, loads the model in a Worker, answers, and goes down in
 * good order.
 *
 * @module
 */

import { App } from "./app.ts";
import { type ApiKeys, Cors, RateLimiter } from "./guard.ts";
import { Log, type LogSink, stderrSink } from "./log.ts";
import type { LoadSettings } from "./messages.ts";
import { Metrics } from "./metrics.ts";
import { EngineRoom } from "./room.ts";

/** Settings of a {@linkcode Service}; times are in milliseconds. */
export interface ServiceSettings {
  /** Address to listen on. */
  host: string;
  /** Port to listen on; 0 picks one. */
  port: number;
  /** Name of the model. */
  name: string;
  /** What to load, and how many scripts are made at once. */
  model: LoadSettings;
  /** Most scripts that may wait to be made. */
  queue: number;
  keys: ApiKeys;
  /** Requests a minute for each client. */
  rate: number;
  /** Origins of web pages that may use it. */
  origins: readonly string[];
  /** Names by which it may be called when it listens for this machine only. */
  allowedHosts: readonly string[];
  /** Take clients' addresses from `X-Forwarded-For`. */
  trustProxy: boolean;
  /** Most bytes of a body. */
  maxBody: number;
  /** Most scripts that one request may have made. */
  maxChoices: number;
  /** Most tokens that a script may be asked to have. */
  maxTokens: number;
  /** Longest time for a body to come. */
  bodyTimeout: number;
  /** Longest time that a reader may read nothing. */
  writeTimeout: number;
  /** Longest time for an answer. */
  deadline: number;
  /** Time after which a Worker that does not answer is replaced. */
  watchdog: number;
  /** Let prompts stand in the log. */
  logPrompts: boolean;
}

/** What tests put in the place of the usual. */
export interface ServiceParts {
  /** Where the log goes; stderr unless given. */
  sink?: LogSink;
  /** Starts a Worker; ours unless given. */
  spawn?: () => Worker;
}

/** A service that runs. */
export class Service {
  /** Where it listens. */
  readonly address: Deno.NetAddr;
  /** Resolves when the model is loaded for the first time; rejects if it cannot be. */
  readonly ready: Promise<void>;
  /** What it counts and measures. */
  readonly metrics: Metrics;
  readonly #app: App;
  readonly #room: EngineRoom;
  readonly #log: Log;
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  #closing?: Promise<void>;

  /**
   * Listens and begins to load.
   * @throws {Deno.errors.AddrInUse | Deno.errors.NotCapable | Deno.errors.AddrNotAvailable} if it
   * cannot listen.
   */
  constructor(settings: ServiceSettings, { sink = stderrSink, spawn }: ServiceParts = {}) {
    const { host, port, model, queue, rate, origins, watchdog, ...others } = settings;
    const log = this.#log = new Log(sink, () => this.metrics.lostLogLines.add());
    const metrics = this.metrics = new Metrics({
      waiting: () => this.#room.waiting,
      running: () => this.#room.running,
      ready: () => this.#room.state === "ready",
    });
    const cors = new Cors(origins), limiter = new RateLimiter(rate);
    let app: App | undefined;
    this.#server = Deno.serve(
      { hostname: host, port, onListen() {} },
      (request, info) => app!.handle(request, info),
    );
    this.address = this.#server.addr;
    const room = this.#room = new EngineRoom({
      settings: model,
      queueLimit: queue,
      watchdog,
      metrics,
      log,
      spawn,
    });
    this.ready = room.ready;
    this.#app = app = new App({
      ...others,
      // A name such as 127.1 may be one of this machine alone.
      host: this.address.hostname,
      allowedHosts: [...others.allowedHosts, host.toLowerCase()],
      cors,
      limiter,
      room,
      metrics,
      log,
    });
    log.info("listening", { host: this.address.hostname, port: this.address.port });
  }

  /** Requests and jobs that are kept in memory; 0 when there is nothing to do. */
  get kept(): number {
    return this.#app.underWay + this.#room.kept;
  }

  /**
   * Goes down: takes no more requests for scripts, waits for those under way, ends after `grace`
   * milliseconds those that are left, and stops listening.
   * @param isLast Whether the process exits next; see {@linkcode EngineRoom.close}.
   */
  close(grace: number, isLast = false): Promise<void> {
    return this.#closing ??= this.#close(grace, isLast);
  }

  async #close(grace: number, isLast: boolean): Promise<void> {
    this.#log.info("going down", { underWay: this.#app.underWay });
    this.#app.drain();
    const end = performance.now() + grace;
    while (this.#app.underWay > 0 && performance.now() < end) await pause(20);
    const left = this.#app.underWay;
    this.#app.abort();
    this.#room.close(isLast);
    // Answers that are being read still have a moment; a reader that has stopped has no more.
    await within(LAST_MOMENT, this.#server.shutdown());
    this.#log.info("down", { aborted: left });
    await within(LAST_MOMENT, this.#log.flush());
  }
}

/** Milliseconds for the last bytes of answers and of the log. */
const LAST_MOMENT = 1000;

const pause = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Waits for a promise, but not longer than so many milliseconds. */
async function within(milliseconds: number, promise: Promise<void>): Promise<void> {
  const late = Promise.withResolvers<void>();
  const timer = setTimeout(late.resolve, milliseconds);
  await Promise.race([promise, late.promise]);
  clearTimeout(timer);
}
