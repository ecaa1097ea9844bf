/**
 * The engine room: the Worker with the model, the queue before it, and the watchdog over it. A Worker
 * that crashed, whose device was lost, or that has not answered for too long is replaced; what it was
 * working on is answered with 503, and what was waiting waits on.
 *
 * @module
 */

import type { GenerationResult, Piece } from "../generator/generation.ts";
import { Tokenizer } from "../tokenizer/tokenizer.ts";
import { ApiError } from "./api_error.ts";
import { FairQueue } from "./fair_queue.ts";
import type { Log } from "./log.ts";
import type {
  FromWorker,
  JobEvent,
  JobOptions,
  LoadSettings,
  ModelFacts,
  ToWorker,
} from "./messages.ts";
import type { Metrics, Phase } from "./metrics.ts";

/** A script to be generated. */
export interface JobRequest {
  prompt: string;
  /** Field of the request in which the prompt came. */
  param: string;
  options: JobOptions;
  /** Called with each piece as it comes. */
  onPiece?: (piece: Piece) => void;
}

/** For whom, and how long. */
export interface JobContext {
  /** Whose turn in the queue it takes. */
  client: string;
  /** Ends it; its reason is what the job fails with. */
  signal: AbortSignal;
}

/** A script that was generated. */
export interface JobResult extends GenerationResult {
  pieces: Piece[];
  /** Seconds that it waited for a stream. */
  queueSeconds: number;
  /** Seconds from the request to the first token. */
  firstTokenSeconds?: number;
}

/** The model that is loaded. */
export interface LoadedModel extends Omit<ModelFacts, "tokenizerJson"> {
  tokenizer: Tokenizer;
}

/** Options of an {@linkcode EngineRoom}. */
export interface RoomOptions {
  settings: LoadSettings;
  /** Most jobs that may wait. */
  queueLimit: number;
  /** Milliseconds after which a Worker that does not answer is replaced. */
  watchdog: number;
  metrics: Metrics;
  log: Log;
  /** Starts a Worker; by default ours. */
  spawn?: () => Worker;
}

interface Job extends JobRequest, JobContext {
  id: number;
  result: PromiseWithResolvers<JobResult>;
  pieces: Piece[];
  /** Times in milliseconds. */
  arrived: number;
  started: number;
  firstToken?: number;
  lastToken?: number;
  /** Nobody waits for it any more, but its stream is not free yet. */
  abandoned: boolean;
  giveUp: () => void;
}

/** Where the room stands. */
export type RoomState = "loading" | "ready" | "closed";

/** Longest time that loading may take, in milliseconds. */
const LOAD_LIMIT = 300_000;

/** Longest pause between attempts to load, in milliseconds. */
const LONGEST_PAUSE = 30_000;

/** Longest `Retry-After`, in seconds. */
const LONGEST_RETRY = 120;

const ourWorker = (): Worker =>
  new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });

/** Runs jobs on the model, some at once, the others in turn. */
export class EngineRoom {
  /** Resolves when the first model is loaded; rejects if it cannot be. */
  readonly ready: Promise<void>;
  readonly #first = Promise.withResolvers<void>();
  readonly #options: RoomOptions;
  readonly #queue: FairQueue<Job>;
  readonly #running = new Map<number, Job>();
  readonly #watch: ReturnType<typeof setInterval>;
  #worker?: Worker;
  #model?: LoadedModel;
  #state: RoomState = "loading";
  #since = performance.now();
  #heard = 0;
  #asked = false;
  #looked = performance.now();
  #failures = 0;
  #pause?: ReturnType<typeof setTimeout>;
  #nextId = 1;
  /** Mean seconds that a job is at work. */
  #serviceSeconds = 0.5;

  /** Starts loading at once. */
  constructor(options: RoomOptions) {
    this.#options = options;
    this.#queue = new FairQueue(options.queueLimit);
    this.ready = this.#first.promise;
    this.ready.catch(() => {}); // told to whoever waits for it
    this.#watch = setInterval(() => this.#look(), options.watchdog / 4);
    this.#start();
  }

  /** Where it stands. */
  get state(): RoomState {
    return this.#state;
  }

  /** The model, if one is loaded. */
  get model(): LoadedModel | undefined {
    return this.#state === "ready" ? this.#model : undefined;
  }

  /** Jobs that wait. */
  get waiting(): number {
    return this.#queue.size;
  }

  /** Jobs at work, those included that nobody waits for any more. */
  get running(): number {
    return this.#running.size;
  }

  /** Jobs at work: whose they are, for how many seconds, and how many tokens they have. */
  get slots(): { client: string; seconds: number; tokens: number; prompt_tokens: number }[] {
    const now = performance.now();
    return [...this.#running.values()].map(({ client, started, pieces }) => ({
      client,
      seconds: (now - started) / 1000,
      prompt_tokens: pieces[0]?.tokens.length ?? 0,
      tokens: pieces.slice(1).reduce((sum, { tokens }) => sum + tokens.length, 0),
    }));
  }

  /** Jobs that can be at work at once, and that can wait. */
  get limits(): { streams: number; queue: number } {
    return { streams: this.#options.settings.streams, queue: this.#options.queueLimit };
  }

  /** Things kept of clients and jobs; 0 when there is nothing to do. */
  get kept(): number {
    return this.#queue.clients + this.#queue.size + this.#running.size;
  }

  /** Seconds after which whoever finds the queue full should try again. */
  get retryAfter(): number {
    const { streams } = this.#options.settings;
    const seconds = (this.#queue.size + this.#running.size) * this.#serviceSeconds / streams;
    return Math.min(LONGEST_RETRY, Math.max(1, Math.ceil(seconds)));
  }

  /**
   * Takes jobs of one request: all of them, or none.
   * @throws {ApiError} 429 if the queue has no room for them, 503 if there is no model.
   */
  submit(requests: JobRequest[], { client, signal }: JobContext): Promise<JobResult>[] {
    if (this.#state === "closed") throw unavailable("The service is going down: try again later.");
    if (!this.#queue.hasRoom(client, requests.length)) {
      throw new ApiError(
        429,
        `The queue is full (${this.#queue.size} generations wait): try again later.`,
        { code: "queue_full", retryAfter: this.retryAfter },
      );
    }
    const arrived = performance.now();
    const jobs = requests.map((request): Job => {
      const job: Job = {
        ...request,
        id: this.#nextId++,
        client,
        signal,
        result: Promise.withResolvers(),
        pieces: [],
        arrived,
        started: NaN,
        abandoned: false,
        giveUp: () => this.#abandon(job),
      };
      job.result.promise.catch(() => {}); // told to whoever waits for it
      if (signal.aborted) job.result.reject(signal.reason);
      else {
        signal.addEventListener("abort", job.giveUp);
        this.#queue.push(client, job);
      }
      return job;
    });
    this.#dispatch();
    return jobs.map(({ result }) => result.promise);
  }

  /**
   * Ends all jobs with 503, and the Worker.
   * @param isLast Whether the process exits next, and may take the Worker with it: where one that has
   * asked for a GPU ends by itself while the process exits, Mesa's drivers now and then crash.
   */
  close(isLast = false): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    clearInterval(this.#watch);
    clearTimeout(this.#pause);
    const error = unavailable("The service is going down: try again later.");
    for (const job of [...this.#queue.clear(), ...this.#running.values()]) this.#fail(job, error);
    this.#running.clear();
    if (!isLast) this.#worker?.terminate();
    this.#first.reject(error);
  }

  #send(message: ToWorker): void {
    this.#worker?.postMessage(message);
  }

  /** Starts a Worker and lets it load. */
  #start(): void {
    this.#since = this.#heard = performance.now();
    this.#asked = false;
    const worker = this.#worker = (this.#options.spawn ?? ourWorker)();
    worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
      if (worker === this.#worker) this.#hear(data);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      if (worker !== this.#worker) return;
      this.#first.reject(new Error(`The Worker cannot run: ${event.message}`));
      this.#replace(`the Worker crashed: ${event.message}`);
    };
    this.#send({ kind: "load", settings: this.#options.settings });
  }

  #hear(message: FromWorker): void {
    this.#heard = performance.now();
    switch (message.kind) {
      case "loaded":
        return this.#loaded(message.model);
      case "failed":
        this.#first.reject(new Error(message.message));
        return this.#replace(`loading failed: ${message.message}`);
      case "broken":
        return this.#replace(message.message);
      case "pong":
        this.#asked = false;
        return;
      case "events":
        for (const event of message.events) this.#happen(event);
        this.#dispatch();
    }
  }

  #loaded({ tokenizerJson, ...facts }: ModelFacts): void {
    this.#model = { ...facts, tokenizer: Tokenizer.fromJSON(tokenizerJson) };
    this.#state = "ready";
    const { backend, fingerprint } = facts;
    this.#options.log.info("model loaded", {
      fingerprint: fingerprint.slice(0, 12),
      backend: backend.name,
      description: backend.description,
      seconds: (performance.now() - this.#since) / 1000,
    });
    this.#first.resolve();
    this.#dispatch();
  }

  /** Gives waiting jobs to the Worker while it has streams free. */
  #dispatch(): void {
    while (this.#state === "ready" && this.#running.size < this.#options.settings.streams) {
      const job = this.#queue.take()?.item;
      if (!job) return;
      const { id, prompt, options } = job;
      job.started = performance.now();
      this.#running.set(id, job);
      this.#send({ kind: "generate", job: id, prompt, options });
    }
  }

  #happen(event: JobEvent): void {
    const job = this.#running.get(event.job);
    if (!job) return;
    if (event.kind === "piece") {
      const { piece } = event;
      job.pieces.push(piece);
      if (job.pieces.length > 1) {
        job.lastToken = performance.now();
        job.firstToken ??= job.lastToken;
      }
      if (!job.abandoned) job.onPiece?.(piece);
      return;
    }
    this.#running.delete(job.id);
    this.#queue.done(job.client);
    if (event.kind === "refused") {
      this.#fail(
        job,
        new ApiError(400, event.message, { code: "invalid_value", param: job.param }),
      );
    } else this.#finish(job, event.result);
  }

  /** A job has come to its end. */
  #finish(job: Job, result: GenerationResult): void {
    const { metrics } = this.#options, { arrived, started, firstToken, lastToken } = job;
    const { promptTokens, completionTokens, reason } = result;
    this.#failures = 0;
    metrics.promptTokens.add(promptTokens);
    metrics.generationTokens.add(completionTokens);
    if (job.abandoned) return;
    job.signal.removeEventListener("abort", job.giveUp);
    const seconds = (performance.now() - started) / 1000;
    this.#serviceSeconds += 0.1 * (seconds - this.#serviceSeconds);
    const queueSeconds = (started - arrived) / 1000;
    const firstTokenSeconds = firstToken && (firstToken - arrived) / 1000;
    metrics.finished.add(1, { finished_reason: reason });
    metrics.queueSeconds.observe(queueSeconds);
    if (firstTokenSeconds) metrics.firstTokenSeconds.observe(firstTokenSeconds);
    if (firstToken && completionTokens > 1) {
      metrics.tokenSeconds.observe((lastToken! - firstToken) / 1000 / (completionTokens - 1));
    }
    job.result.resolve({ ...result, pieces: job.pieces, queueSeconds, firstTokenSeconds });
  }

  #fail(job: Job, error: unknown): void {
    job.signal.removeEventListener("abort", job.giveUp);
    job.result.reject(error);
  }

  /** Nobody waits for a job any more. */
  #abandon(job: Job): void {
    const isWaiting = this.#queue.remove(job.client, job);
    const phase: Phase = isWaiting ? "queue" : job.pieces.length < 2 ? "prefill" : "decode";
    this.#options.metrics.cancellations.add(1, { phase });
    job.abandoned = true;
    this.#fail(job, job.signal.reason);
    if (!isWaiting) this.#send({ kind: "cancel", job: job.id });
  }

  /** Looks whether the Worker is alive. */
  #look(): void {
    const now = performance.now(), { watchdog } = this.#options;
    const late = now - this.#looked > watchdog;
    this.#looked = now;
    if (this.#pause !== undefined) return;
    if (late) {
      // This process was stopped or starved, and the Worker with it.
      this.#heard = now;
      return;
    }
    if (this.#state === "loading") {
      if (now - this.#since > LOAD_LIMIT) this.#replace("loading took too long");
    } else if (this.#asked && now - this.#heard > watchdog) {
      this.#replace(`the Worker has not answered for ${Math.round((now - this.#heard) / 1000)} s`);
    } else if (!this.#asked) {
      this.#asked = true;
      this.#send({ kind: "ping" });
    }
  }

  /** Ends the Worker and starts another, after a pause if it happens again and again. */
  #replace(reason: string): void {
    this.#worker?.terminate();
    this.#worker = undefined;
    if (this.#state === "closed") return;
    this.#state = "loading";
    this.#options.metrics.engineRestarts.add();
    const error = unavailable("The model had to be started again: try again.");
    const held = [...this.#running.values()];
    this.#running.clear();
    for (const job of held) {
      this.#queue.done(job.client);
      this.#fail(job, error);
    }
    const pause = this.#failures === 0
      ? 0
      : Math.min(LONGEST_PAUSE, 1000 * 2 ** (this.#failures - 1));
    this.#failures++;
    this.#options.log.error("the model is started again", { reason, held: held.length, pause });
    this.#pause = setTimeout(() => {
      this.#pause = undefined;
      this.#start();
    }, pause);
  }
}

/** An error that says that there is no model just now. */
export function unavailable(message: string): ApiError {
  return new ApiError(503, message, { code: "unavailable", retryAfter: 2 });
}
