/**
 * Resident memory of training and of generation on wasm, each in a process of its own, and whether
 * it grows.
 *
 * @module
 */

import { reason, type Result } from "./measure.ts";
import type { MemoryReport, MemoryTask } from "./memory_probe.ts";

/** Options of {@linkcode benchMemory}. */
export interface MemoryBenchOptions {
  /** The preset to train. */
  preset: string;
  /** B of training. */
  batchSize: number;
  /** T of training. */
  sequenceLength: number;
  /** Steps, and generations, between which memory must not grow. */
  growthSteps: number;
  /** Threads; all cores if absent. */
  threads?: number;
  /** Folder of the weights that generate; the shipped ones if absent. */
  weights?: string;
}

async function probe(task: MemoryTask): Promise<MemoryReport> {
  const script = new URL("./memory_probe.ts", import.meta.url);
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-lock", "--quiet", "--allow-all", script.href, JSON.stringify(task)],
  });
  const { success, stdout, stderr } = await command.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trim();
  if (!success) throw new Error(text(stderr));
  return JSON.parse(text(stdout)) as MemoryReport;
}

/** Megabytes, 10^6 bytes. */
const MB = 1e6;

/** Measures peak memory of both, then growth on a model of 32 channels and of short generations. */
export async function benchMemory(options: MemoryBenchOptions): Promise<Result[]> {
  const { preset, batchSize, sequenceLength, growthSteps: steps, threads, weights } = options;
  const base = { preset, threads, weights };
  const tasks: { input: string; task: MemoryTask }[] = [
    {
      input: `train ${preset}, ${batchSize} × ${sequenceLength}`,
      task: { ...base, what: "train", steps: 2, batchSize, sequenceLength },
    },
    {
      input: "generate, 200 tokens",
      task: { ...base, what: "generate", steps: 2, batchSize: 1, sequenceLength: 200 },
    },
    {
      input: `train, ${steps} steps`,
      task: { ...base, what: "train growth", steps, batchSize: 2, sequenceLength: 64 },
    },
    {
      input: `generate, ${steps} times`,
      task: { ...base, what: "generate growth", steps, batchSize: 1, sequenceLength: 8 },
    },
  ];
  const results: Result[] = [];
  for (const { input, task } of tasks) {
    const grows = task.what.endsWith("growth");
    const row = { bench: "memory", contender: "wasm", input, unit: "MB" };
    try {
      const { peak, early, late } = await probe(task);
      results.push(
        grows
          ? { ...row, value: (late - early) / MB, note: "growth since the first tenth" }
          : { ...row, value: peak / MB, note: "most resident memory" },
      );
    } catch (error) {
      results.push({ ...row, note: `not run: ${reason(error)}` });
    }
  }
  return results;
}
