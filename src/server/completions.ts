/**
 * Requests for scripts: from a body to jobs, and from what they give to an answer, whole or as a stream.
 *
 * @module
 */

import { bestFirst } from "../generator/choose.ts";
import { type CheckedOptions, checkOptions } from "../generator/options.ts";
import { promptTokens, PromptTooLongError, scriptBeginning } from "../generator/prompt.ts";
import { ApiError } from "./api_error.ts";
import { type BodyLimits, readJson } from "./body.ts";
import { EventStream } from "./event_stream.ts";
import type { Exchange } from "./exchange.ts";
import type { Log, LogFields } from "./log.ts";
import type { Metrics } from "./metrics.ts";
import { Answer } from "./openai_answer.ts";
import { type Ask, type AskLimits, chatAsk, completionAsk } from "./openai_request.ts";
import {
  type EngineRoom,
  type JobRequest,
  type JobResult,
  type LoadedModel,
  unavailable,
} from "./room.ts";
import { decodeTokens } from "./tokens.ts";
import { GenerationSpan } from "./tracing.ts";
import { BEAT, PATIENCE, wholeAnswer } from "./whole_answer.ts";

/** Settings of {@linkcode Completions}. */
export interface CompletionsOptions extends AskLimits, BodyLimits {
  /** Name of the model. */
  name: string;
  /** Milliseconds that a request may take. */
  deadline: number;
  /** Milliseconds for which a reader may read nothing. */
  writeTimeout: number;
  /** Let prompts stand in the log. */
  logPrompts: boolean;
  room: EngineRoom;
  metrics: Metrics;
  log: Log;
}

/** Answers requests for scripts. */
export class Completions {
  readonly #options: CompletionsOptions;
  readonly #underWay = new Set<AbortController>();

  /** @param options The room and the others stay the caller's. */
  constructor(options: CompletionsOptions) {
    this.#options = options;
  }

  /** Requests under way. */
  get underWay(): number {
    return this.#underWay.size;
  }

  /** Ends the requests that are under way. */
  abort(): void {
    for (const controller of this.#underWay) {
      controller.abort(unavailable("The service is going down: try again later."));
    }
  }

  /** Answers a request for scripts. */
  async answer(exchange: Exchange, model: LoadedModel, kind: Ask["kind"]): Promise<Response> {
    const { name, room, metrics, deadline, logPrompts } = this.#options;
    const { request, id, fields, arrived } = exchange;
    const body = await readJson(request, this.#options);
    const ask = kind === "chat"
      ? chatAsk(body, this.#options)
      : completionAsk(body, this.#options, (tokens) => decodeTokens(model, tokens, "prompt"));
    if (ask.model !== undefined && ask.model !== name) {
      throw new ApiError(404, `There is no model ${ask.model.slice(0, 60)}: ask for ${name}.`, {
        param: "model",
        code: "model_not_found",
      });
    }
    const options = checkFields(model, ask);
    for (const prompt of ask.prompts) checkPrompt(model, prompt, ask, options);
    if (logPrompts) fields.prompts = ask.prompts;
    Object.assign(fields, { stream: ask.stream, choices: ask.prompts.length * ask.bestOf });

    const span = new GenerationSpan(kind === "chat" ? "chat" : "text_completion", name, {
      "gen_ai.request.choice.count": ask.n,
      "gen_ai.request.stream": ask.stream,
      ...(ask.options.maxTokens ? { "gen_ai.request.max_tokens": ask.options.maxTokens } : {}),
    });
    const controller = new AbortController();
    const gone = () => controller.abort(new ClientGone("The client has left."));
    request.signal.addEventListener("abort", gone);
    if (request.signal.aborted) gone(); // it left while its body was read
    const timer = setTimeout(() => {
      controller.abort(
        new ApiError(503, `No end within ${deadline / 1000} s: ask for less, or try again later.`, {
          code: "deadline_exceeded",
          retryAfter: room.retryAfter,
        }),
      );
    }, deadline);
    this.#underWay.add(controller);
    let isFirst = true;
    const onPiece = () => {
      if (isFirst) span.firstToken();
      isFirst = false;
    };
    const settled = (outcome: JobResult[][] | Error) => {
      clearTimeout(timer);
      request.signal.removeEventListener("abort", gone);
      this.#underWay.delete(controller);
      metrics.requestSeconds.observe((performance.now() - arrived) / 1000);
      if (outcome instanceof Error) return span.fail(outcome.message);
      span.end(spanAttributes(outcome));
    };
    const work = { exchange, ask, controller, onPiece, settled };
    try {
      const { fingerprint } = model;
      const answer = new Answer(ask, id, { model: name, fingerprint: fingerprint.slice(0, 12) });
      return ask.stream ? await this.#stream(work, answer) : await this.#whole(work, answer);
    } catch (error) {
      settled(error as Error);
      if (!(error instanceof ClientGone)) throw error;
      fields.cancelled = true;
      return new Response(null, { status: 499 });
    }
  }

  async #whole({ exchange, ask, controller, onPiece, settled }: Work, answer: Answer) {
    const { id, fields } = exchange, { log } = this.#options;
    const jobs = jobsOf(ask).map((ones) => ones.map((job) => ({ ...job, onPiece })));
    let hasBegun = false;
    const value = this.#run(jobs, exchange, ask, controller).then((scripts) => {
      if (ask.bestOf > ask.n) scripts.forEach((ones, i) => scripts[i] = bestFirst(ones));
      settled(scripts);
      if (hasBegun) log.info("answer ended", { id, ...timesOf(scripts) });
      else Object.assign(fields, timesOf(scripts));
      return answer.whole(scripts);
    });
    value.catch((error) => {
      if (!hasBegun) return; // the answer tells
      settled(error);
      log.info("answer broke off", { id, error: reasonOf(error) });
    });
    return await wholeAnswer(value, {
      id,
      onBegun: () => hasBegun = true,
      onGone: () => controller.abort(new ClientGone("The client has left.")),
    });
  }

  /** Answers with a stream, once the first script has begun or a second has gone by. */
  async #stream({ exchange, ask, controller, onPiece, settled }: Work, answer: Answer) {
    const { writeTimeout, log } = this.#options, { id } = exchange;
    const begun = Promise.withResolvers<void>();
    let hasBegun = false;
    const events = new EventStream({
      id,
      writeTimeout,
      onGone: (slow) =>
        controller.abort(new ClientGone(slow ? "too slow" : "The client has left.")),
    });
    const jobs = jobsOf(ask).map((ones, prompt) =>
      ones.map((job, i): JobRequest => {
        const index = prompt * ask.n + i;
        let isBeginning = true;
        return {
          ...job,
          onPiece: (piece) => {
            if (isBeginning) {
              hasBegun = true;
              begun.resolve();
              const first = answer.first(index);
              if (first) events.send(first);
            } else onPiece();
            const chunk = answer.piece(index, piece, isBeginning);
            if (chunk) events.send(chunk);
            isBeginning = false;
          },
        };
      })
    );
    const running = this.#run(jobs, exchange, ask, controller, (index, script) => {
      events.send(answer.last(index, script));
    });
    running.then((scripts) => {
      if (ask.includeUsage) events.send(answer.usage(scripts));
      events.done();
      settled(scripts);
      log.info("stream ended", { id, ...timesOf(scripts) });
    }).catch((error) => {
      if (!hasBegun) return; // the answer tells
      if (error instanceof ApiError) events.send(error.toJSON());
      events.close();
      settled(error);
      log.info("stream broke off", { id, error: reasonOf(error) });
    });
    const patience = setTimeout(() => {
      hasBegun = true;
      events.wait(BEAT);
      begun.resolve();
    }, PATIENCE);
    await Promise.race([begun.promise, running]).finally(() => clearTimeout(patience));
    return new Response(events.body, {
      headers: {
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "no-cache, no-transform",
        "x-accel-buffering": "no",
      },
    });
  }

  /** Runs all jobs of a request; the others are ended when one fails. */
  async #run(
    jobs: JobRequest[][],
    { client }: Exchange,
    { user = "" }: Ask,
    controller: AbortController,
    onScript: (index: number, script: JobResult) => void = () => {},
  ): Promise<JobResult[][]> {
    const { signal } = controller;
    const context = { client: user ? `${client}/${user}` : client, signal };
    const running = this.#options.room.submit(jobs.flat(), context);
    running.forEach((job, index) => job.then((script) => onScript(index, script), () => {}));
    try {
      const scripts = await Promise.all(running);
      return jobs.map((ones) => scripts.splice(0, ones.length));
    } catch (error) {
      controller.abort(error);
      throw error;
    }
  }
}

/** What a request for scripts is made of. */
interface Work {
  exchange: Exchange;
  ask: Ask;
  controller: AbortController;
  /** Called with each piece after the first. */
  onPiece: () => void;
  /** Called once, at the end. */
  settled: (outcome: JobResult[][] | Error) => void;
}

/** Nobody is there any more to be answered. */
class ClientGone extends Error {
  override name = "ClientGone";
}

/** Why an answer broke off, without what was sent. */
const reasonOf = (error: Error): string | null =>
  error instanceof ApiError ? error.code : error.message;

/** The jobs for each prompt. */
function jobsOf(ask: Ask): JobRequest[][] {
  const { prompts, bestOf, options } = ask, param = promptParam(ask);
  return prompts.map((prompt) =>
    Array.from({ length: bestOf }, (_, i) => ({
      prompt,
      param,
      options: { ...options, seed: options.seed + i },
    }))
  );
}

/** Field of a request in which its prompts came. */
const promptParam = ({ kind }: Ask): string => kind === "chat" ? "messages" : "prompt";

/** @throws {ApiError} 400 if a field cannot be, though it is as the schema says. */
function checkFields(model: LoadedModel, { options }: Ask): CheckedOptions {
  const { tokenizer: { vocabSize }, generation } = model;
  try {
    const checked = checkOptions(options, generation);
    const foreign = Object.keys(checked.logitBias).find((id) => Number(id) >= vocabSize);
    if (foreign === undefined) return checked;
    throw new RangeError(`logitBias has token ${foreign}, expected ids below ${vocabSize}.`);
  } catch (error) {
    if (!(error instanceof RangeError || error instanceof TypeError)) throw error;
    // The schema does not tell of the ids of logit_bias, nor of half a character in stop.
    const message = error.message.replace(/^logitBias/, "logit_bias");
    throw new ApiError(400, message, {
      param: message.match(/^\w+/)?.[0],
      code: "invalid_value",
    });
  }
}

/** @throws {ApiError} 400 if a prompt cannot be. */
function checkPrompt(
  { tokenizer, config: { contextLength } }: LoadedModel,
  prompt: string,
  ask: Ask,
  options: CheckedOptions,
): void {
  try {
    promptTokens(tokenizer, scriptBeginning(prompt), { ...options, contextLength });
  } catch (error) {
    if (error instanceof PromptTooLongError) {
      const { tokens } = error;
      throw new ApiError(
        400,
        `The prompt has ${tokens} tokens and the model's context ${contextLength}: shorten it, or set truncate_prompt_tokens to -1.`,
        {
          param: promptParam(ask),
          code: "context_length_exceeded",
          extra: { n_prompt_tokens: tokens, n_ctx: contextLength },
        },
      );
    }
    if (error instanceof RangeError || error instanceof TypeError) {
      throw new ApiError(400, error.message, { param: promptParam(ask), code: "invalid_value" });
    }
    throw error;
  }
}

/** What the log tells of scripts. */
function timesOf(scripts: JobResult[][]): LogFields {
  const all = scripts.flat();
  const largest = (values: number[]) => Math.max(...values);
  return {
    prompt_tokens: scripts.reduce((sum, [{ promptTokens }]) => sum + promptTokens, 0),
    completion_tokens: all.reduce((sum, one) => sum + one.completionTokens, 0),
    queue_seconds: largest(all.map(({ queueSeconds }) => queueSeconds)),
    first_token_seconds: largest(all.map(({ firstTokenSeconds = 0 }) => firstTokenSeconds)),
    finish_reasons: all.map(({ reason }) => reason),
  };
}

function spanAttributes(scripts: JobResult[][]) {
  const { prompt_tokens, completion_tokens, finish_reasons } = timesOf(scripts);
  return {
    "gen_ai.usage.input_tokens": prompt_tokens as number,
    "gen_ai.usage.output_tokens": completion_tokens as number,
    "gen_ai.response.finish_reasons": finish_reasons as string[],
  };
}
