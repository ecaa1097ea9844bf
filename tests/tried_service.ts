/** A service in this process, in whose Worker faults can be asked for. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { ApiKeys } from "../src/server/guard.ts";
import { Service, type ServiceSettings } from "../src/server/service.ts";

/** A prompt without a fault. */
export const PROMPT = "Print the date";

const SETTINGS: Omit<ServiceSettings, "model"> = {
  host: "127.0.0.1",
  port: 0,
  name: "bashling",
  queue: 100,
  keys: await ApiKeys.parse(""),
  rate: Infinity,
  origins: [],
  allowedHosts: [],
  trustProxy: false,
  maxBody: 100_000,
  maxChoices: 16,
  maxTokens: Infinity,
  bodyTimeout: 5000,
  writeTimeout: 5000,
  deadline: 20_000,
  watchdog: 1000,
  logPrompts: false,
};

/** A service in this process, its log, and its Workers, the last one last. */
export class Tried implements AsyncDisposable {
  readonly workers: Worker[] = [];
  log = "";
  readonly service: Service;
  readonly url: string;

  constructor(weights: string | undefined, change: Partial<ServiceSettings> = {}) {
    const model = { weights, streams: 4, backend: "wasm" as const, threads: 1 };
    this.service = new Service({ ...SETTINGS, model, ...change }, {
      spawn: () => {
        const url = new URL("./faulty_worker.ts", import.meta.url);
        const worker = new Worker(url, { type: "module" });
        this.workers.push(worker);
        return worker;
      },
      sink: {
        write: (bytes) => {
          this.log += new TextDecoder().decode(bytes);
          return Promise.resolve();
        },
      },
    });
    this.url = `http://127.0.0.1:${this.service.address.port}`;
  }

  ask(body: Record<string, unknown>): Promise<Response> {
    return ask(this.url, body);
  }

  /** Asks until the service is ready, or is not. */
  async until(ready: boolean): Promise<void> {
    for (;;) {
      const response = await fetch(`${this.url}/ready`);
      await response.body?.cancel();
      if (response.ok === ready) return;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** It still works, and keeps nothing. */
  async check(): Promise<void> {
    await this.until(true);
    const response = await this.ask({ prompt: PROMPT, max_tokens: 5, seed: 1 });
    assertEquals(response.status, 200, await response.text());
    assertEquals(this.service.kept, 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.service.close(0);
  }
}

/** Asks a service for a script, which need not be valid. */
export function ask(url: string, body: Record<string, unknown>): Promise<Response> {
  return fetch(`${url}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ syntax: "off", verdict: false, ...body }),
  });
}

/** Asserts that an answer says that there is no model just now. */
export async function assertUnavailable(response: Response): Promise<void> {
  if (response.status === 200) {
    // It had begun with signs of life, and was cut off.
    await assertRejects(() => response.text());
    return;
  }
  const { error } = await response.json();
  assertEquals([response.status, error.code], [503, "unavailable"], error.message);
  assert(Number(response.headers.get("retry-after")) >= 1);
}

/** Values of a stream's events. */
export async function readEvents(response: Response): Promise<string[]> {
  return (await response.text()).split("\n\n").filter((event) => event.startsWith("data: "))
    .map((event) => event.replace(/^data: /, ""));
}
