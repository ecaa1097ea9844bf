/**
 * Load on the service: clients that ask again and again, a third of whose requests are cancelled at some
 * moment. What must hold: nothing fails but with 429 and a time to wait, memory stays flat, and
 * nothing is kept at the end.
 *
 * Usage: deno run --allow-all scripts/soak/load.ts [SECONDS] [CLIENTS]
 *
 * @module
 */

import { Random } from "../../src/random.ts";
import { askUntil, metricsOf, ServingProcess, slotsOf } from "./serving.ts";

/** What was measured. */
export interface LoadReport {
  /** Requests by how they ended: a status, `cancelled`, or what went wrong. */
  endings: Record<string, number>;
  /** Endings that must not be. */
  failures: string[];
  tokensPerSecond: number;
  /** Milliseconds to a stream's first script, the wait in the queue included. */
  firstToken: { p50: number; p99: number };
  /** Resident megabytes of the service after the warm-up and at the end. */
  memory: { start: number; end: number };
  /** What the service has at work or in its queue when all clients have left. */
  left: number;
}

const PROMPTS = [
  "Create a backup script",
  "Delete log files older than 30 days",
  "Count the lines of all text files",
  "Check whether a website is up",
  "List the ten largest files",
];

/** Longest pause that a client makes because it was told to, in milliseconds. */
const LONGEST_PAUSE = 2000;

/**
 * Loads a service.
 * @param warmUp Seconds after which memory is first read.
 */
export async function load(
  { base }: ServingProcess,
  { clients, seconds, warmUp }: { clients: number; seconds: number; warmUp: number },
): Promise<LoadReport> {
  const end = performance.now() + seconds * 1000;
  const endings: Record<string, number> = {}, failures: string[] = [], firsts: number[] = [];
  const note = (ending: string) => endings[ending] = (endings[ending] ?? 0) + 1;
  const memory = async () => (await metricsOf(base)).get("process_resident_memory_bytes")! / 1e6;

  const ask = async (client: number, i: number): Promise<number> => {
    const random = new Random(client * 100_003 + i);
    const controller = new AbortController(), started = performance.now();
    const stream = random.uniform() < 0.6;
    const cancels = random.uniform() < 1 / 3;
    const timer = cancels
      ? setTimeout(() => controller.abort(), 2 ** (random.uniform() * 11)) // 1 ms to 2 s
      : undefined;
    const body = {
      prompt: PROMPTS[i % PROMPTS.length],
      seed: client * 1000 + i,
      max_tokens: 20 + Math.floor(random.uniform() * 120),
      temperature: 1.5,
      n: random.uniform() < 0.1 ? 2 : 1,
      user: `user ${client}`,
      stream,
    };
    try {
      const response = await fetch(`${base}/v1/completions`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
        signal: controller.signal,
      });
      const text = await readAll(response, () => firsts.push(performance.now() - started), stream);
      note(String(response.status));
      if (response.status === 429) {
        const wait = Number(response.headers.get("retry-after"));
        if (!(wait >= 1)) failures.push("429 without Retry-After");
        return Math.min(LONGEST_PAUSE, wait * 1000);
      }
      const isWhole = stream ? text.endsWith("data: [DONE]\n\n") : JSON.parse(text).choices;
      if (response.status !== 200 || !isWhole) {
        failures.push(`${response.status}: ${text.slice(-200)}`);
      }
    } catch (error) {
      if (controller.signal.aborted) note("cancelled");
      else failures.push(String(error));
    } finally {
      clearTimeout(timer);
    }
    return 0;
  };

  const run = async (client: number): Promise<void> => {
    for (let i = 0; performance.now() < end; i++) {
      const pause = await ask(client, i);
      if (pause > 0) await new Promise((resolve) => setTimeout(resolve, pause));
    }
  };
  const start = new Promise<number>((resolve) =>
    setTimeout(() => resolve(memory()), warmUp * 1000)
  );
  const before = (await metricsOf(base)).get("bashling_generation_tokens_total")!;
  await Promise.all(Array.from({ length: clients }, (_, client) => run(client)));
  const { running, waiting } = await askUntil(
    () => slotsOf(base),
    (slots) => slots.running.length + slots.waiting === 0,
  );
  const tokens = (await metricsOf(base)).get("bashling_generation_tokens_total")! - before;
  firsts.sort((a, b) => a - b);
  const quantile = (p: number) => firsts[Math.floor(p * (firsts.length - 1))];
  return {
    endings,
    failures,
    tokensPerSecond: tokens / seconds,
    firstToken: { p50: quantile(0.5), p99: quantile(0.99) },
    memory: { start: await start, end: await memory() },
    left: running.length + waiting,
  };
}

/** Reads an answer; `onFirst` is called at the first event of a stream with a piece of a script. */
async function readAll(
  response: Response,
  onFirst: () => void,
  stream: boolean,
): Promise<string> {
  let text = "", isFirst = stream && response.ok;
  for await (const part of response.body!.pipeThrough(new TextDecoderStream())) {
    text += part;
    if (isFirst && text.includes("data: ")) {
      isFirst = false;
      onFirst();
    }
  }
  return text;
}

/** Most megabytes that memory may grow by after the first minute, the noise of a heap under load. */
const MOST_GROWTH = 60;

if (import.meta.main) {
  const [seconds = 600, clients = 200] = Deno.args.map(Number);
  if (!(seconds >= 2 && clients >= 1)) {
    console.error("SECONDS and CLIENTS are numbers, 2 or more seconds and 1 or more clients.");
    Deno.exit(2);
  }
  await using serving = await ServingProcess.start();
  const warmUp = Math.min(60, seconds / 2);
  const report = await load(serving, { clients, seconds, warmUp });
  console.log(JSON.stringify({ clients, seconds, ...report }));
  const growth = report.memory.end - report.memory.start;
  const isWell = report.failures.length === 0 && report.left === 0 && growth <= MOST_GROWTH;
  if (await serving.stop() !== 0 || !isWell) Deno.exit(1);
}
