/**
 * Where the time of a training step on a GPU goes: every dispatch timed by itself, and how far each
 * kind of kernel is from the best that the chip can do.
 *
 * @module
 */

import type { Program } from "../../src/backend/backend.ts";
import type { StepTime } from "../../src/backend/webgpu/profile.ts";
import { WebGpuBackend } from "../../src/backend/webgpu/webgpu_backend.ts";
import type { Batch } from "../../src/corpus/batches.ts";
import type { ModelConfig } from "../../src/model/config.ts";
import { initialParameters, parameterLayout } from "../../src/model/parameters.ts";
import { Random } from "../../src/random.ts";
import { BackendEngine } from "../../src/trainer/engine.ts";
import { adapterKind, median, type Result } from "./measure.ts";
import { measureRoofline, type Roofline } from "./roofline.ts";
import { trainingHyper } from "./train.ts";

/** Options of {@linkcode benchProfile}. */
export interface ProfileBenchOptions {
  /** The model's shape. */
  config: ModelConfig;
  /** B, sequences of a batch. */
  batchSize: number;
  /** T, tokens of a sequence. */
  sequenceLength: number;
  /** Profiles, of which each dispatch's median counts, and timed rounds of whole steps. */
  rounds: number;
  /** Steps of a round. */
  steps: number;
}

/** Dispatches of one label. */
interface Group {
  count: number;
  ms: number;
  work: number;
  bytes: number;
  /** Milliseconds that the roofline would allow. */
  bound: number;
}

/**
 * Floating point operations of a training step as they are usually counted: 6 for each parameter
 * and token, and for each layer the two products of causal attention, three times (forward, and
 * twice as much backward). What kernels compute again does not count.
 */
export function modelFlops(config: ModelConfig, batchSize: number, sequenceLength: number): number {
  const N = batchSize * sequenceLength;
  const attention = 3 * 2 * N * sequenceLength * config.width; // half of 2 · 2 · N · T · C
  return 6 * parameterLayout(config).count * N + config.layers * attention;
}

/** A batch whose rows are one document each, so that attention has all of its work to do. */
export function fullBatch(config: ModelConfig, batchSize: number, sequenceLength: number): Batch {
  const N = batchSize * sequenceLength, random = new Random(1);
  const draw = () => Uint32Array.from({ length: N }, () => random.below(config.vocabSize));
  const positions = Uint32Array.from({ length: N }, (_, n) => n % sequenceLength);
  return { tokens: draw(), targets: draw(), positions, count: N, bytes: 0 };
}

/**
 * Profiles a training step. The sum over its dispatches stands beside the time of a step that is not
 * profiled: with a pass for each dispatch none can overlap, and what lies between two is not seen.
 * @throws {Error} if there is no adapter, it has no timestamp queries, or the loss is no number.
 */
export async function benchProfile(options: ProfileBenchOptions): Promise<Result[]> {
  const { config, rounds, steps } = options;
  const software = await adapterKind() === "software";
  // A software adapter gets one short sequence, as it does from the other benchmarks.
  const B = software ? 1 : options.batchSize;
  const T = software ? Math.min(64, options.sequenceLength) : options.sequenceLength;
  const roofline = await measureRoofline();
  const backend = await WebGpuBackend.create({ allowFallback: true });
  const { description } = backend;
  using engine = await BackendEngine.create(backend, config, {
    batchSize: B,
    sequenceLength: T,
    dropout: 0,
  });
  const parameters = initialParameters(config, 1), zeros = new Float32Array(parameters.length);
  await engine.writeState({ parameters, m: zeros, v: zeros });
  const batch = fullBatch(config, B, T);
  let step = 0;
  const train = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) await engine.trainStep([batch], trainingHyper(step++), 0);
    const { loss } = await engine.readStats();
    if (!Number.isFinite(loss)) throw new Error(`the loss is ${loss}`);
  };

  // A step's programs are those that it runs.
  const programs: Program[] = [];
  const run = backend.run.bind(backend);
  backend.run = (program) => {
    programs.push(program);
    run(program);
  };
  await train(1);
  backend.run = run;

  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const start = performance.now();
    await train(steps);
    times.push((performance.now() - start) / steps);
  }
  const profiles: StepTime[][] = [];
  for (let round = 0; round < Math.min(rounds, 3); round++) {
    const all: StepTime[] = [];
    for (const program of programs) all.push(...await backend.profile(program));
    profiles.push(all);
  }
  const note = description + (software ? "; SOFTWARE ADAPTER" : "");
  const shape = `${B} × ${T}`;
  return report(profiles, median(times), roofline, modelFlops(config, B, T), { note, shape });
}

/**
 * The rows: groups from the slowest down, then the whole step. A clock that ticks slowly may give a
 * group no time at all; such a group has no rates.
 */
export function report(
  profiles: StepTime[][],
  stepMs: number,
  { flops, bandwidth }: Roofline,
  modelWork: number,
  { note, shape }: { note: string; shape: string },
): Result[] {
  const groups = new Map<string, Group>();
  profiles[0].forEach(({ label, work, bytes }, i) => {
    const group = groups.get(label) ?? { count: 0, ms: 0, work: 0, bytes: 0, bound: 0 };
    groups.set(label, group);
    group.count++;
    group.ms += median(profiles.map((times) => times[i].ms));
    group.work += work;
    group.bytes += bytes;
    group.bound += 1000 * Math.max(work / flops, bytes / bandwidth);
  });
  const sum = (key: keyof Group) =>
    [...groups.values()].reduce((sum, group) => sum + group[key], 0);
  const total = sum("ms");
  if (!(total > 0)) throw new Error(`the GPU's clock says ${total} ms for all dispatches`);
  const rows = [...groups].sort(([, a], [, b]) => b.ms - a.ms).map(([label, group]): Result => {
    const { count, ms, work, bytes, bound } = group;
    const share = ms / total,
      rates = ms > 0
        ? { gflops: work / ms / 1e6, gbps: bytes / ms / 1e6, bound: bound / ms }
        : undefined;
    return {
      bench: "profile",
      contender: label,
      input: `${shape}, ${count} dispatch${count > 1 ? "es" : ""}`,
      value: ms,
      unit: "ms",
      note: rates
        ? `${percent(share)} of the time, ${whole(rates.gflops)} GFLOP/s, ` +
          `${whole(rates.gbps)} GB/s, ${percent(rates.bound)} of the roofline`
        : "too short for the GPU's clock",
      figures: { share, ...rates },
    };
  });
  const utilisation = modelWork / (stepMs / 1000) / flops;
  const base = { bench: "profile", input: shape };
  return [
    ...rows,
    {
      ...base,
      contender: "all dispatches",
      value: total,
      unit: "ms",
      note: `${percent(sum("bound") / total)} of the roofline; ${note}`,
      figures: { bound: sum("bound") / total, dispatches: profiles[0].length },
    },
    {
      ...base,
      contender: "a step, not profiled",
      value: stepMs,
      unit: "ms",
      note: `${percent(stepMs / total - 1)} more than its dispatches`,
    },
    {
      ...base,
      contender: "model FLOPs utilisation",
      value: 100 * utilisation,
      unit: "%",
      note: `${whole(modelWork / 1e9)} GFLOP a step, of ${whole(flops / 1e9)} GFLOP/s measured`,
      figures: { utilisation, modelGflop: modelWork / 1e9, rateGflops: flops / 1e9 },
    },
  ];
}

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
const whole = (value: number): string =>
  value.toLocaleString("en", { maximumSignificantDigits: 3 });
