/**
 * What a run tells while it goes on: a progress line on stderr, `log.jsonl`, and `loss.svg`.
 *
 * @module
 */

import { lineChart } from "../chart.ts";
import type { TrainingStep, ValidationScore } from "./trainer.ts";

/** One line of `log.jsonl`: a training report or a validation. */
export type LogEntry =
  | ({ kind: "train"; seconds: number } & TrainingStep)
  | { kind: "validation"; step: number; seconds: number; scores: Record<string, ValidationScore> };

/** Seconds in words: `42s`, `3m 20s`, `2h 5m`. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return "?";
  const s = Math.round(seconds);
  if (s < 60) return `${s}s`;
  if (s < 3600) return `${Math.floor(s / 60)}m ${s % 60}s`;
  return `${Math.floor(s / 3600)}h ${Math.floor(s % 3600 / 60)}m`;
}

/** Milliseconds between progress lines where stderr is no terminal. */
const LINE_INTERVAL = 10_000;

/** Shows how far a run has come: one line that is rewritten on a terminal, a line now and then elsewhere. */
export class Progress {
  readonly #terminal = Deno.stderr.isTerminal();
  #lastLine = -Infinity;
  #speed = 0;

  /** Shows a report of a run that ends after `steps` steps; `tokensPerStep` gives the time left. */
  show(step: TrainingStep, steps: number, tokensPerStep: number): void {
    this.#speed = this.#speed
      ? 0.9 * this.#speed + 0.1 * step.tokensPerSecond
      : step.tokensPerSecond;
    const left = (steps - step.step) * tokensPerStep / this.#speed;
    const done = Math.round(20 * step.step / steps);
    const text = `step ${step.step}/${steps} [${"#".repeat(done)}${".".repeat(20 - done)}] ` +
      `loss ${step.loss.toFixed(3)} | norm ${step.gradNorm.toFixed(2)} | ` +
      `${Math.round(this.#speed)} tokens/s | ${duration(left)} left` +
      (step.skipped ? ` | ${step.skipped} steps skipped` : "");
    if (this.#terminal) {
      this.#write(`\r\x1b[2K${text}`);
    } else if (performance.now() - this.#lastLine > LINE_INTERVAL || step.step === steps) {
      this.#lastLine = performance.now();
      this.#write(`${text}\n`);
    }
  }

  /** Prints a line of its own. */
  line(text: string): void {
    this.#write(this.#terminal ? `\r\x1b[2K${text}\n` : `${text}\n`);
  }

  #write(text: string): void {
    const bytes = new TextEncoder().encode(text);
    for (let at = 0; at < bytes.length;) at += Deno.stderr.writeSync(bytes.subarray(at));
  }
}

/** The log of a run, kept in a file and in memory. */
export class RunLog {
  /** All entries so far, those of earlier parts of the run included. */
  readonly entries: LogEntry[];
  readonly #path: string;

  private constructor(path: string, entries: LogEntry[]) {
    this.#path = path;
    this.entries = entries;
  }

  /** Opens the log at `path`; entries after `step`, of work that was lost, are dropped. */
  static async open(path: string, step: number): Promise<RunLog> {
    let text = "";
    try {
      if (step > 0) text = await Deno.readTextFile(path);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
    const entries: LogEntry[] = [];
    for (const line of text.split("\n")) {
      if (!line) continue;
      try {
        const entry = JSON.parse(line) as LogEntry;
        if (entry.step <= step) entries.push(entry);
      } catch {
        break; // a line that a kill cut short; what follows it cannot be older
      }
    }
    await Deno.writeTextFile(path, entries.map((entry) => `${JSON.stringify(entry)}\n`).join(""));
    return new RunLog(path, entries);
  }

  /** Seconds of training in the entries so far. */
  get seconds(): number {
    return this.entries.at(-1)?.seconds ?? 0;
  }

  /** Appends an entry. */
  async add(entry: LogEntry): Promise<void> {
    this.entries.push(entry);
    await Deno.writeTextFile(this.#path, `${JSON.stringify(entry)}\n`, { append: true });
  }
}

/**
 * Loss curves as an SVG: training loss (a moving average of reports) and each validation corpus,
 * nats per token against steps.
 */
export function lossCurves(entries: LogEntry[], title: string): string {
  const curves = new Map<string, [step: number, loss: number][]>();
  const training: [number, number][] = [];
  let average: number | undefined;
  for (const entry of entries) {
    if (entry.kind === "train") {
      average = average === undefined ? entry.loss : 0.9 * average + 0.1 * entry.loss;
      training.push([entry.step, average]);
    } else {
      for (const [name, { loss }] of Object.entries(entry.scores)) {
        const key = `validation: ${name}`;
        if (!curves.has(key)) curves.set(key, []);
        curves.get(key)!.push([entry.step, loss]);
      }
    }
  }
  const stride = Math.max(1, Math.floor(training.length / 600));
  const all = new Map([["training", training.filter((_, i) => i % stride === 0)], ...curves]);
  const points = [...all.values()].flat();
  if (points.length === 0) return "";
  const lastStep = Math.max(1, ...points.map(([step]) => step));
  const low = Math.floor(Math.min(...points.map(([, loss]) => loss)) * 2) / 2;
  const high = Math.ceil(Math.max(...points.map(([, loss]) => loss), low + 0.5) * 2) / 2;
  const tick = high - low > 4 ? 1 : 0.5;
  const losses = Array.from({ length: Math.floor((high - low) / tick + 1e-9) + 1 }, (_, i) => {
    const loss = low + i * tick;
    return [loss, loss.toFixed(1)] as const;
  });
  const steps = [0, 1, 2, 3, 4].map((i) => {
    const step = Math.round(lastStep * i / 4);
    return [step, String(step)] as const;
  });
  return lineChart({
    title,
    x: { label: "steps", low: 0, high: lastStep, ticks: steps },
    y: { label: "nats per token", low, high, ticks: losses },
    curves: [...all].map(([name, points]) => {
      const last = points.at(-1);
      return { name: last ? `${name} ${last[1].toFixed(3)}` : name, points };
    }),
  });
}
