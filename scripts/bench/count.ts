/**
 * What a training step asks of a GPU, counted and not run: dispatches, submissions, and the bytes
 * that kernels must move, in f32 and in f16.
 *
 * @module
 */

import type { Precision, Program } from "../../src/backend/backend.ts";
import { costOf } from "../../src/backend/webgpu/profile.ts";
import type { WebGpuProgram } from "../../src/backend/webgpu/program.ts";
import { WebGpuBackend } from "../../src/backend/webgpu/webgpu_backend.ts";
import type { ModelConfig } from "../../src/model/config.ts";
import { BackendEngine } from "../../src/trainer/engine.ts";
import type { Result } from "./measure.ts";
import { PaperAdapter } from "./paper_adapter.ts";
import { fullBatch } from "./profile.ts";
import { trainingHyper } from "./train.ts";

/** Options of {@linkcode benchCount}. */
export interface CountBenchOptions {
  /** The model's shape. */
  config: ModelConfig;
  /** B, sequences of a batch. */
  batchSize: number;
  /** T, tokens of a sequence. */
  sequenceLength: number;
}

/** As the recipes have it. */
const DROPOUT = 0.1;

/** What all dispatches of one op come to. */
interface Count {
  dispatches: number;
  /** Floating point operations, about. */
  work: number;
  /** Bytes of the tensors that are bound. */
  bytes: number;
}

/** Counts a step in either precision: its ops from the most bytes down, then the whole. */
export async function benchCount(options: CountBenchOptions): Promise<Result[]> {
  return [...await countStep(options, "f32"), ...await countStep(options, "f16")];
}

async function countStep(options: CountBenchOptions, precision: Precision): Promise<Result[]> {
  const { config, batchSize, sequenceLength } = options;
  const paper = new PaperAdapter();
  const backend = await WebGpuBackend.create({ adapter: paper.adapter });
  const settings = { batchSize, sequenceLength, dropout: DROPOUT, precision };
  using engine = await BackendEngine.create(backend, config, settings);
  const ops = new Map<string, Count>();
  const run = backend.run.bind(backend);
  backend.run = (program: Program) => {
    for (const { dispatch } of (program as WebGpuProgram).steps) {
      const { op, work, bytes } = costOf(dispatch);
      const count = ops.get(op) ?? { dispatches: 0, work: 0, bytes: 0 };
      ops.set(op, count);
      count.dispatches++;
      count.work += work;
      count.bytes += bytes;
    }
    run(program);
  };
  await engine.trainStep([fullBatch(config, batchSize, sequenceLength)], trainingHyper(0), 0);

  const total = { dispatches: 0, work: 0, bytes: 0 };
  for (const count of ops.values()) {
    for (const key of ["dispatches", "work", "bytes"] as const) total[key] += count[key];
  }
  const { submissions } = paper;
  const base = {
    bench: "count",
    input: `${batchSize} × ${sequenceLength}, ${precision}, dropout ${DROPOUT}`,
    unit: "MB",
  };
  const row = (contender: string, { dispatches, work, bytes }: Count): Result => ({
    ...base,
    contender,
    value: bytes / 1e6,
    note: `${dispatches} dispatch${dispatches > 1 ? "es" : ""}, ${Math.round(work / 1e9)} GFLOP`,
    figures: { dispatches, bytes, gflop: work / 1e9 },
  });
  const all = row("all", total);
  return [
    ...[...ops].sort(([, a], [, b]) => b.bytes - a.bytes).map(([op, count]) => row(op, count)),
    {
      ...all,
      note: `${all.note}, ${submissions} submissions`,
      figures: { ...all.figures, submissions },
    },
    { ...base, contender: "all buffers", value: paper.bytes / 1e6, note: "allocated" },
  ];
}
