/**
 * Bashling where there is no GPU, no process of one's own and little memory: one module that exports
 * `fetch`, as edge runtimes want it. It makes one script at a time, on one thread and without Workers.
 *
 * It understands the fields of OpenAI's `POST /v1/completions` that {@linkcode FIELDS} names. The
 * service of `bashling serve` has more, and needs Deno's Worker and a machine that stays.
 *
 * ```sh
 * deno serve --allow-read --port 8000 deploy/edge/main.ts
 * ```
 *
 * @module
 */

// Outside of this repository: "jsr:@bashling/bashling".
import { Bashling, type GenerateOptions, type GenerationResult } from "../../mod.ts";

/** What a request may have, and what the library calls it. */
const FIELDS: Record<string, keyof GenerateOptions | "prompt" | "stream"> = {
  prompt: "prompt",
  stream: "stream",
  max_tokens: "maxTokens",
  temperature: "temperature",
  top_k: "topK",
  top_p: "topP",
  seed: "seed",
  stop: "stop",
};

/** Most bytes of a request. */
const MOST_BYTES = 10_000;

/** Most requests at work and waiting; more are refused. */
const MOST_REQUESTS = 8;

/** Longest time for an answer, in milliseconds. */
const DEADLINE = 30_000;

/** The model is loaded once for each isolate; the first request waits for it. */
let loading: Promise<Bashling> | undefined;
let requests = 0;

function loadModel(): Promise<Bashling> {
  return loading ??= Bashling.load({ backend: "wasm", threads: 1 }).catch((error) => {
    loading = undefined;
    throw error;
  });
}

const failure = (status: number, message: string, headers?: HeadersInit): Response =>
  Response.json({ error: { message } }, { status, headers });

/** A request that cannot be served as it is. */
class Refusal extends Error {}

/** Turns complaints about a request's fields into refusals. */
function refuse(error: unknown): never {
  const isTheirs = error instanceof TypeError || error instanceof RangeError ||
    error instanceof SyntaxError;
  throw isTheirs ? new Refusal(error.message) : error;
}

/** Options of the library, and the rest, from a body. */
async function readAsk(request: Request) {
  const size = request.headers.get("content-length");
  if (size === null || Number(size) > MOST_BYTES) {
    throw new RangeError(`Send at most ${MOST_BYTES} bytes, with Content-Length.`);
  }
  const body: unknown = await request.json();
  if (typeof body !== "object" || body === null) throw new TypeError("Send a JSON object.");
  const ask: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(body)) {
    if (!Object.hasOwn(FIELDS, name)) {
      throw new TypeError(`There is no field ${name}: leave it out.`);
    }
    if (value !== null) ask[FIELDS[name]] = value;
  }
  const { prompt, stream = false, stop, ...options } = ask;
  if (typeof prompt !== "string") throw new TypeError("prompt is missing, or no text: give one.");
  if (stop !== undefined) options.stop = [stop].flat();
  return { prompt, stream, options: options as GenerateOptions };
}

/** What ends a script, as OpenAI tells it. */
const ending = ({ reason, seed, verdict }: GenerationResult) => ({
  finish_reason: reason === "stop" ? "stop" : "length",
  seed,
  verdict,
});

async function complete(request: Request): Promise<Response> {
  const leaving = new AbortController();
  const signal = AbortSignal.any([request.signal, leaving.signal, AbortSignal.timeout(DEADLINE)]);
  const { prompt, stream, options } = await readAsk(request).catch(refuse);
  const model = await loadModel();
  const pieces = await Promise.try(() => model.generate(prompt, { ...options, signal }))
    .catch(refuse);
  const common = {
    id: `cmpl-${crypto.randomUUID()}`,
    object: "text_completion",
    created: Math.floor(Date.now() / 1000),
    model: "bashling",
  };
  /** Makes the script; the first piece is its beginning, which OpenAI does not give back. */
  const make = async (onText: (text: string) => void): Promise<GenerationResult> => {
    await pieces.next();
    let next = await pieces.next();
    for (; !next.done; next = await pieces.next()) onText(next.value.text);
    return next.value;
  };

  if (!stream) {
    let text = "";
    const result = await make((piece) => text += piece);
    if (result.reason === "abort") return failure(503, "No end in time: ask for less.");
    const { promptTokens: prompt_tokens, completionTokens: completion_tokens } = result;
    const usage = {
      prompt_tokens,
      completion_tokens,
      total_tokens: prompt_tokens + completion_tokens,
    };
    return Response.json({ ...common, choices: [{ index: 0, text, ...ending(result) }], usage });
  }
  const encoder = new TextEncoder();
  // A reader who is slow is no reason to keep others waiting: a script is small, so it is kept.
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      const send = (choice: Record<string, unknown>) => {
        const event = JSON.stringify({ ...common, choices: [{ index: 0, ...choice }] });
        controller.enqueue(encoder.encode(`data: ${event}\n\n`));
      };
      requests++;
      make((text) => send({ text, finish_reason: null })).then((result) => {
        if (leaving.signal.aborted) return;
        if (result.reason === "abort") throw new Error("No end in time.");
        send({ text: "", ...ending(result) });
        controller.enqueue(encoder.encode("data: [DONE]\n\n"));
        controller.close();
      }).catch((error) => controller.error(error)).finally(() => requests--);
    },
    cancel: () => leaving.abort(),
  });
  return new Response(body, {
    headers: { "content-type": "text/event-stream", "cache-control": "no-cache, no-transform" },
  });
}

export default {
  async fetch(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    if (pathname === "/health") return Response.json({ status: "ok" });
    if (pathname !== "/v1/completions") return failure(404, "There is nothing at this address.");
    if (request.method !== "POST") {
      return failure(405, `${request.method} is not for this address: use POST.`, {
        allow: "POST",
      });
    }
    if (requests >= MOST_REQUESTS) {
      return failure(429, "Too many requests: try again later.", { "retry-after": "2" });
    }
    requests++;
    try {
      return await complete(request);
    } catch (error) {
      if (error instanceof Refusal) return failure(400, error.message);
      throw error;
    } finally {
      requests--;
    }
  },
} satisfies Deno.ServeDefaultExport;
