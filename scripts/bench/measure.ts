/**
 * How the benchmarks measure: contenders run in turn, so that a busy moment hits all of them, and
 * the median of their rounds counts.
 *
 * @module
 */

/** One row of the table. */
export interface Result {
  /** The benchmark, such as `train`. */
  bench: string;
  /** Who ran, such as `wasm` or `jax-js wasm`. */
  contender: string;
  /** What it was given, such as `8 × 512 tokens`. */
  input: string;
  /** The figure; absent if the contender could not run. */
  value?: number;
  /** Its unit. */
  unit: string;
  /** What a reader must know: a software adapter, or why there is no figure. */
  note: string;
  /** Milliseconds from one token of a stream to its next, at these shares of all tokens. */
  latency?: { p50: number; p99: number };
  /** Further figures of the row by name, with their units in it, such as `stepMs`. */
  figures?: Record<string, number>;
}

/** Something that is timed. */
export interface Runner {
  /** Units of work of one run: tokens, bytes, floating point operations. */
  work: number;
  /** Does the work, to its end. */
  run(): Promise<void>;
}

/** The middle value, or the mean of the two middle ones. */
export function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  return (sorted[Math.ceil(middle) - 1] + sorted[Math.floor(middle)]) / 2;
}

/** Work per second of each runner: the median of `rounds` runs, taken in turn after one warm-up. */
export async function alternate(runners: Runner[], rounds: number): Promise<number[]> {
  const rates: number[][] = runners.map(() => []);
  for (let round = -1; round < rounds; round++) {
    for (const [i, { work, run }] of runners.entries()) {
      const start = performance.now();
      await run();
      if (round >= 0) rates[i].push(work * 1000 / (performance.now() - start));
    }
  }
  return rates.map(median);
}

/** {@linkcode alternate}, with the rates put into rows. A runner that fails is out, and its row tells why. */
export async function timeAll(
  timed: readonly { result: Result; runner: Runner }[],
  rounds: number,
): Promise<void> {
  const failed = new Set<Result>();
  const runners = timed.map(({ result, runner: { work, run } }): Runner => ({
    work,
    run: async () => {
      if (failed.has(result)) return;
      try {
        await run();
      } catch (error) {
        failed.add(result);
        result.note = `failed: ${reason(error)}`;
      }
    },
  }));
  const rates = await alternate(runners, rounds);
  timed.forEach(({ result }, i) => result.value = failed.has(result) ? undefined : rates[i]);
}

/**
 * Checks a figure against the expected one before anything is timed.
 * @throws {Error} if they differ by more than `tolerance`, relative to `expected`.
 */
export function expectNear(
  what: string,
  actual: number,
  expected: number,
  tolerance: number = 1e-3,
): void {
  if (!(Math.abs(actual - expected) <= tolerance * Math.abs(expected))) {
    throw new Error(`its ${what} is ${actual}, expected ${expected}`);
  }
}

/** The reason of a failure in one line. */
export function reason(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n")[0];
}

/** A number of streams in words. */
export function named(streams: number): string {
  return `${streams} ${streams === 1 ? "stream" : "streams"}`;
}

/** Whether a contender computes on a GPU where there is one. */
export function usesGpu(contender: string): boolean {
  return /\bwebgpu\b|^pytorch/.test(contender);
}

/** What runs WebGPU: nothing, a software adapter or a real one. */
export type AdapterKind = "none" | "software" | "real";

/** What runs WebGPU here: the adapter that our backend opens. Without a wish it may be another. */
export async function adapterKind(): Promise<AdapterKind> {
  const adapter = await navigator.gpu?.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) return "none";
  return adapter.info.isFallbackAdapter ? "software" : "real";
}

const COLUMNS = ["bench", "contender", "input", "value", "unit", "note"] as const;

/** The results as a table in Markdown. */
export function table(results: Result[]): string {
  const cells = results.map((result) =>
    COLUMNS.map((column) => {
      const value = result[column];
      if (typeof value !== "number") return value ?? "–";
      return value.toLocaleString("en", { maximumSignificantDigits: 3 });
    })
  );
  const rows = [[...COLUMNS], ...cells];
  const widths = COLUMNS.map((_, i) => Math.max(...rows.map((row) => row[i].length)));
  const line = (row: string[]) =>
    `| ${
      row.map((cell, i) =>
        COLUMNS[i] === "value" ? cell.padStart(widths[i]) : cell.padEnd(widths[i])
      )
        .join(" | ")
    } |`;
  return [line(rows[0]), line(widths.map((width) => "-".repeat(width))), ...cells.map(line)]
    .join("\n");
}
