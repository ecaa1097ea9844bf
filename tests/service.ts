/** Starts the service for tests: in this process, or as `deno task serve` does. */

import { ApiKeys } from "../src/server/guard.ts";
import { Service, type ServiceParts, type ServiceSettings } from "../src/server/service.ts";
import type { LogLine } from "../scripts/soak/serving.ts";
import { writeRandomModel } from "./random_model.ts";

export {
  askUntil,
  type LogLine,
  metricsOf,
  ServingProcess,
  type Slots,
  slotsOf,
} from "../scripts/soak/serving.ts";

/** A service in this process. */
export interface TestService extends AsyncDisposable {
  service: Service;
  /** Where it answers, without a slash at the end. */
  base: string;
  /** What it has logged. */
  log: LogLine[];
}

/** What a test may set: every setting, and single ones of the model's. */
export type TestSettings = Partial<Omit<ServiceSettings, "model">> & {
  model?: Partial<ServiceSettings["model"]>;
};

/** A folder with the small random model; goes when the test file ends. */
export const randomWeights: string = await writeRandomModel();
globalThis.addEventListener("unload", () => Deno.removeSync(randomWeights, { recursive: true }));

/** Starts a service with the small random model on wasm, and does not wait until it is loaded. */
export async function startService(
  { model, ...changes }: TestSettings = {},
  parts: ServiceParts = {},
): Promise<TestService> {
  const log: LogLine[] = [], decoder = new TextDecoder();
  const sink = {
    write(bytes: Uint8Array): Promise<void> {
      for (const line of decoder.decode(bytes).trimEnd().split("\n")) log.push(JSON.parse(line));
      return Promise.resolve();
    },
  };
  const service = new Service({
    host: "127.0.0.1",
    port: 0,
    name: "bashling",
    model: { weights: randomWeights, backend: "wasm", threads: 1, streams: 4, ...model },
    queue: 64,
    keys: await ApiKeys.parse(""),
    rate: Infinity,
    origins: [],
    allowedHosts: [],
    trustProxy: false,
    maxBody: 1_000_000,
    maxChoices: 16,
    maxTokens: Infinity,
    bodyTimeout: 5000,
    writeTimeout: 5000,
    deadline: 30_000,
    watchdog: 20_000,
    logPrompts: false,
    ...changes,
  }, { sink, ...parts });
  return {
    service,
    base: `http://127.0.0.1:${service.address.port}`,
    log,
    [Symbol.asyncDispose]: () => service.close(0),
  };
}

/** Starts a service, waits until it is loaded, runs `test` and ends the service. */
export async function withService(
  settings: TestSettings,
  test: (running: TestService) => Promise<void>,
  parts: ServiceParts = {},
): Promise<void> {
  await using running = await startService(settings, parts);
  await running.service.ready;
  await test(running);
}

/** Sends JSON. */
export function post(url: string, body: unknown, init: RequestInit = {}): Promise<Response> {
  return fetch(url, {
    method: "POST",
    body: JSON.stringify(body),
    ...init,
    headers: { "content-type": "application/json", ...init.headers },
  });
}

/** What an error's body tells. */
export interface ErrorBody {
  message: string;
  type: string;
  code: string | null;
  param: string | null;
  [more: string]: unknown;
}

/** The error that an answer tells. */
export async function errorOf(response: Response): Promise<ErrorBody> {
  return (await response.json()).error;
}

/** Values of the events of a stream, without the one that ends it; the test fails without that. */
export async function* eventsOf(response: Response): AsyncGenerator<Chunk> {
  let rest = "", isDone = false;
  for await (const text of response.body!.pipeThrough(new TextDecoderStream())) {
    const events = (rest + text).split("\n\n");
    rest = events.pop()!;
    for (const event of events) {
      if (event === ":") continue; // a sign of life
      if (isDone || !event.startsWith("data: ")) throw new Error(`An event is ${event}`);
      if (event === "data: [DONE]") isDone = true;
      else yield JSON.parse(event.slice("data: ".length));
    }
  }
  if (!isDone || rest !== "") throw new Error(`The stream broke off${rest && ` in ${rest}`}`);
}

/** What the tests read of a chunk, or of a whole answer. */
export interface Chunk {
  id: string;
  object: string;
  choices: {
    index: number;
    text?: string;
    delta?: { role?: string; content?: string };
    message?: { role: string; content: string };
    finish_reason: string | null;
    seed?: number;
  }[];
  usage?: { prompt_tokens: number; completion_tokens: number; total_tokens: number } | null;
  error?: ErrorBody;
}
