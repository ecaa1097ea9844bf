/**
 * The service in a process of its own, as `deno task serve` starts it: the same flags and permissions.
 *
 * @module
 */

import denoJson from "../../deno.json" with { type: "json" };

/** A line of the service's log. */
export type LogLine = Record<string, unknown> & { event: string };

/** Milliseconds that it may take to load. */
const LONGEST_START = 60_000;

/** A service that runs in a process of its own. */
export class ServingProcess implements AsyncDisposable {
  /** Where it answers, without a slash at the end. */
  readonly base: string;
  /** What it has logged. */
  readonly log: readonly LogLine[];
  /** The process. */
  readonly child: Deno.ChildProcess;
  /** Ends when nothing more comes from it. */
  readonly #reading: Promise<unknown>;

  private constructor(
    child: Deno.ChildProcess,
    base: string,
    log: LogLine[],
    reading: Promise<unknown>,
  ) {
    this.child = child;
    this.base = base;
    this.log = log;
    this.#reading = reading;
  }

  /**
   * Starts it on a port that is free, and waits until the model is loaded.
   * @param args Further options of `bashling serve`.
   * @throws {Error} with what it printed, if it ends instead or takes longer than a minute.
   */
  static async start(
    args: string[] = [],
    env: Record<string, string> = {},
  ): Promise<ServingProcess> {
    const [, ...task] = denoJson.tasks.serve.command.split(" ");
    const child = new Deno.Command(Deno.execPath(), {
      args: [...task, "--port", "0", ...args],
      cwd: new URL("../..", import.meta.url),
      env: { NO_COLOR: "1", ...env },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const log: LogLine[] = [], others: string[] = [];
    const base = Promise.withResolvers<string>();
    const printed = async () => {
      for await (const line of linesOf(child.stdout)) {
        const address = line.match(/^serving \S+ at (http:\S+)$/)?.[1];
        if (address) base.resolve(address);
        else others.push(line);
      }
    };
    const logged = async () => {
      for await (const line of linesOf(child.stderr)) {
        if (line.startsWith("{")) log.push(JSON.parse(line));
        else others.push(line);
      }
    };
    const reading = Promise.all([printed(), logged()]).then(() =>
      base.reject(new Error(`The service ended before it answered:\n${others.join("\n")}`))
    );
    const timer = setTimeout(() => child.kill("SIGKILL"), LONGEST_START);
    try {
      return new ServingProcess(child, await base.promise, log, reading);
    } catch (error) {
      await child.status;
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Tells it to end, and waits until it has; returns its exit code. */
  async stop(signal: Deno.Signal = "SIGTERM"): Promise<number> {
    try {
      this.child.kill(signal);
    } catch {
      // It has ended already.
    }
    const { code } = await this.child.status;
    await this.#reading;
    return code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

async function* linesOf(bytes: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<string> {
  let rest = "";
  for await (const text of bytes.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
  if (rest !== "") yield rest;
}

/** What `/slots` tells. */
export interface Slots {
  running: { client: string; seconds: number; tokens: number; prompt_tokens: number }[];
  waiting: number;
}

/** What is at work and what waits. */
export async function slotsOf(base: string): Promise<Slots> {
  return await (await fetch(`${base}/slots`)).json();
}

/** Series of `/metrics` by their names with labels. */
export async function metricsOf(base: string): Promise<Map<string, number>> {
  const text = await (await fetch(`${base}/metrics`)).text();
  const series = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(series.map((line) => {
    const at = line.lastIndexOf(" ");
    return [line.slice(0, at), Number(line.slice(at + 1))];
  }));
}

/**
 * Asks again and again until an answer is as wanted, or for `seconds`; returns the last answer.
 *
 * What the service does after a client has left is told to nobody, so that it can only be asked for.
 */
export async function askUntil<Answer>(
  ask: () => Promise<Answer>,
  isWanted: (answer: Answer) => boolean,
  seconds = 5,
): Promise<Answer> {
  const end = performance.now() + seconds * 1000;
  while (true) {
    const answer = await ask();
    if (isWanted(answer) || performance.now() > end) return answer;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
