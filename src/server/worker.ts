/**
 * The Worker in which the model lives, so that the service answers while it computes. It runs the jobs
 * that it is given at once and tells what happens to them, a message for each step of the model.
 *
 * @module
 */

import { Bashling } from "../generator/generator.ts";
import type { FromWorker, JobEvent, ToWorker } from "./messages.ts";

const scope = globalThis as unknown as {
  onmessage: ((event: MessageEvent<ToWorker>) => void) | null;
  postMessage(message: FromWorker): void;
  addEventListener(
    type: "error" | "unhandledrejection",
    listener: (event: Event & { error?: unknown; reason?: unknown }) => void,
  ): void;
};

let model: Bashling | undefined;
const running = new Map<number, AbortController>();
let outbox: JobEvent[] = [];

const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);

/** Sends what has happened, together with all that happens before the next turn. */
function tell(event: JobEvent): void {
  if (outbox.push(event) > 1) return;
  setImmediate(() => {
    const events = outbox;
    outbox = [];
    scope.postMessage({ kind: "events", events });
  });
}

async function load(settings: Extract<ToWorker, { kind: "load" }>["settings"]): Promise<void> {
  try {
    model = await Bashling.load(settings);
  } catch (error) {
    scope.postMessage({ kind: "failed", message: messageOf(error) });
    return;
  }
  const { config, backend, fingerprint, tokenizer, generation } = model;
  scope.postMessage({
    kind: "loaded",
    model: { config, backend, fingerprint, generation, tokenizerJson: tokenizer.toJSON() },
  });
}

async function generate(
  { job, prompt, options }: Extract<ToWorker, { kind: "generate" }>,
): Promise<void> {
  const controller = new AbortController();
  let generation: ReturnType<Bashling["generate"]>;
  try {
    generation = model!.generate(prompt, { ...options, signal: controller.signal });
  } catch (error) {
    tell({ job, kind: "refused", message: messageOf(error) });
    return;
  }
  running.set(job, controller);
  try {
    let next = await generation.next();
    for (; !next.done; next = await generation.next()) {
      tell({ job, kind: "piece", piece: next.value });
    }
    tell({ job, kind: "end", result: next.value });
  } catch (error) {
    // Options and prompt were right, so it is the device or the weights.
    scope.postMessage({ kind: "broken", message: messageOf(error) });
  } finally {
    running.delete(job);
  }
}

scope.onmessage = ({ data }) => {
  switch (data.kind) {
    case "load":
      return void load(data.settings);
    case "generate":
      return void generate(data);
    case "cancel":
      return running.get(data.job)?.abort();
    case "ping":
      return scope.postMessage({ kind: "pong" });
  }
};

// A fault of ours is told instead of printed; this Worker is replaced then.
for (const type of ["error", "unhandledrejection"] as const) {
  scope.addEventListener(type, (event) => {
    event.preventDefault();
    const message = `the Worker failed: ${messageOf(event.error ?? event.reason)}`;
    scope.postMessage({ kind: "broken", message });
  });
}
