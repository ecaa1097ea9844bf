/**
 * One memory measurement in a process of its own, started by memory.ts: runs what its argument
 * asks for and prints the resident memory as JSON.
 *
 * @module
 */

import { chooseBackend } from "../../src/backend/select.ts";
import type { ModelConfig } from "../../src/model/config.ts";
import { initialParameters } from "../../src/model/parameters.ts";
import { adamwHyper } from "../../src/trainer/adamw.ts";
import { BackendEngine } from "../../src/trainer/engine.ts";
import { reason } from "./measure.ts";
import { modelShape } from "./options.ts";
import { benchBatch } from "./train.ts";

/** What memory.ts asks for. */
export interface MemoryTask {
  /** Training of a preset, or of a model of 32 channels; or generation. */
  what: "train" | "train growth" | "generate" | "generate growth";
  /** The preset to train. */
  preset: string;
  /** Steps of training, or generations. */
  steps: number;
  /** B, for training. */
  batchSize: number;
  /** T, for training; for generation, tokens drawn. */
  sequenceLength: number;
  /** Threads; all cores if absent. */
  threads?: number;
  /** Folder of the weights that generate; the shipped ones if absent. */
  weights?: string;
}

/** What the probe prints, in bytes. */
export interface MemoryReport {
  /** Most resident memory seen. */
  peak: number;
  /** Resident memory after the first tenth of the steps, when caches are warm. */
  early: number;
  /** Resident memory at the end. */
  late: number;
}

const GROWTH_MODEL: ModelConfig = {
  vocabSize: 300,
  contextLength: 64,
  layers: 2,
  width: 32,
  heads: 2,
};

async function train(task: MemoryTask, config: ModelConfig, after: (step: number) => void) {
  const { batchSize, sequenceLength, threads } = task;
  const { backend } = await chooseBackend({ backend: "wasm", purpose: "train", threads });
  using engine = await BackendEngine.create(backend, config, {
    batchSize,
    sequenceLength,
    dropout: 0,
  });
  const batch = benchBatch(config, { batchSize, sequenceLength });
  const options = { beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.1, clip: 1 };
  {
    const parameters = initialParameters(config, 1);
    const zeros = new Float32Array(parameters.length);
    await engine.writeState({ parameters, m: zeros, v: zeros });
  }
  for (let step = 0; step < task.steps; step++) {
    await engine.trainStep([batch], adamwHyper(options, 3e-4, step), step);
    await engine.readStats();
    after(step);
  }
}

async function generate(task: MemoryTask, after: (step: number) => void): Promise<void> {
  const { Bashling } = await import("../../src/generator/generator.ts");
  using model = await Bashling.load({
    backend: "wasm",
    threads: task.threads,
    weights: task.weights,
  });
  for (let step = 0; step < task.steps; step++) {
    const options = { seed: step, maxTokens: task.sequenceLength };
    for await (const _piece of model.generate("Create a backup script", options));
    after(step);
  }
}

if (import.meta.main) {
  const task = JSON.parse(Deno.args[0]) as MemoryTask;
  const report: MemoryReport = { peak: 0, early: 0, late: 0 };
  // No collection is forced: after one V8 doubles its young generation, which looks like growth.
  const after = (step: number): void => {
    const { rss } = Deno.memoryUsage();
    report.peak = Math.max(report.peak, rss);
    if (step === Math.floor(task.steps / 10)) report.early = rss;
    if (step === task.steps - 1) report.late = rss;
  };
  try {
    if (task.what === "train") await train(task, modelShape(task.preset), after);
    else if (task.what === "train growth") await train(task, GROWTH_MODEL, after);
    else await generate(task, after);
  } catch (error) {
    console.error(reason(error));
    Deno.exit(1);
  }
  console.log(JSON.stringify(report));
}
