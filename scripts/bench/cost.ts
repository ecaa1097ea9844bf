/**
 * What a training step costs as context, batch and model grow: tokens per second, time, memory and
 * rate of each, as a table and as a figure.
 *
 * @module
 */

import { cpus } from "node:os";
import type { Backend, Tensor } from "../../src/backend/backend.ts";
import { chooseBackend } from "../../src/backend/select.ts";
import { type Axis, type Curve, lineChart } from "../../src/chart.ts";
import { initialParameters } from "../../src/model/parameters.ts";
import { BackendEngine } from "../../src/trainer/engine.ts";
import { type AdapterKind, reason, type Result } from "./measure.ts";
import { type Case, modelShape, type Options } from "./options.ts";
import { fullBatch, modelFlops } from "./profile.ts";
import { trainingHyper } from "./train.ts";

/** Grids that a large GPU, and two cores, end in a few minutes. */
const GRIDS = {
  gpu: {
    presets: ["tiny", "small", "base"],
    batchSizes: [1, 4, 16],
    lengths: [128, 256, 512, 1024, 2048],
  },
  cpu: { presets: ["tiny", "small"], batchSizes: [1, 4], lengths: [128, 256, 512, 1024, 2048] },
};

/** Milliseconds for which a cell is timed, as far as its steps are short. */
const ENOUGH = 500;
const MOST_STEPS = 20;

/** Seconds after which no cell is started, unless the user gives others. */
const LIMIT = 240;

/** A measured cell of the grid. */
type Cell = Case & { stepMs: number; tokensPerSecond: number; megabytes: number; gflops: number };

/**
 * Measures each cell of the grid, the cheapest first, and writes the figure if one is asked for. Each
 * context has a model made for it, so that contexts longer than the presets' can be measured too.
 * What a cell allocates is given back before the next. Cells that fail, or for which no time is
 * left, have rows that say so.
 * @param tell Called with the row of each cell that has ended.
 */
export async function benchCost(
  options: Options,
  adapter: AdapterKind,
  tell: (rows: Result[]) => void,
): Promise<Result[]> {
  const { backends, threads, limit = LIMIT } = options;
  const isGpu = adapter === "real" && backends.includes("webgpu");
  const name = isGpu || !backends.includes("wasm") ? "webgpu" : "wasm";
  const chosen = await chooseBackend({
    backend: name,
    purpose: "train",
    threads: name === "wasm" ? threads : undefined,
  });
  using backend = chosen.backend;
  const warning = name === "webgpu" && !isGpu ? "; SOFTWARE ADAPTER" : "";
  const machine = name === "webgpu"
    ? backend.description + warning
    : `${backend.description}, ${cpus()[0]?.model ?? "unknown processor"}`;
  const tensors = keepTensors(backend);
  const results: Result[] = [], cells: Cell[] = [];
  const start = performance.now();
  for (const cell of grid(options, isGpu)) {
    const { preset, batchSize, sequenceLength } = cell;
    const input = `${preset}, ${batchSize} × ${sequenceLength}`;
    const result: Result = { bench: "cost", contender: name, input, unit: "tokens/s", note: "" };
    results.push(result);
    try {
      if (performance.now() - start > 1000 * limit) throw new Error(`no time left of ${limit} s`);
      const measured = await measure(backend, tensors, cell);
      cells.push(measured);
      const { stepMs, megabytes, gflops, tokensPerSecond } = measured;
      result.value = tokensPerSecond;
      result.figures = { stepMs, megabytes, gflops };
      result.note = `${text(stepMs)} ms a step, ${text(megabytes)} MB, ${text(gflops)} GFLOP/s; ` +
        machine;
    } catch (error) {
      result.note = `not run: ${reason(error)}`;
    } finally {
      for (const tensor of tensors.splice(0)) backend.free(tensor);
    }
    tell([result]);
  }
  if (options.svg !== undefined && cells.length > 0) {
    await Deno.writeTextFile(options.svg, figure(cells, machine));
  }
  return results;
}

/** The cells, from the least work to the most. */
function grid(options: Options, isGpu: boolean): Case[] {
  const usual = GRIDS[isGpu ? "gpu" : "cpu"];
  const { presets = usual.presets, batchSizes = usual.batchSizes, lengths = usual.lengths } =
    options;
  const cells = presets.flatMap((preset) =>
    lengths.flatMap((sequenceLength) =>
      batchSizes.map((batchSize): Case => {
        return { preset, config: modelShape(preset, sequenceLength), batchSize, sequenceLength };
      })
    )
  );
  const work = ({ config, batchSize, sequenceLength }: Case) =>
    modelFlops(config, batchSize, sequenceLength);
  return cells.sort((a, b) => work(a) - work(b));
}

/** Keeps every tensor that a backend allocates from here on in the array returned. */
function keepTensors(backend: Backend): Tensor[] {
  const tensors: Tensor[] = [];
  const allocate = backend.tensor.bind(backend);
  backend.tensor = (shape, dtype) => {
    const tensor = allocate(shape, dtype);
    tensors.push(tensor);
    return tensor;
  };
  return tensors;
}

/** @throws {Error} if the loss is no number, or the backend cannot hold the cell. */
async function measure(backend: Backend, tensors: Tensor[], cell: Case): Promise<Cell> {
  const { config, batchSize, sequenceLength } = cell;
  // The engine is not disposed of: the backend serves the next cell too.
  const engine = await BackendEngine.create(backend, config, {
    batchSize,
    sequenceLength,
    dropout: 0,
  });
  const bytes = tensors.reduce((sum, { size }) => sum + 4 * size, 0);
  const parameters = initialParameters(config, 1), zeros = new Float32Array(parameters.length);
  await engine.writeState({ parameters, m: zeros, v: zeros });
  const batch = fullBatch(config, batchSize, sequenceLength);
  let step = 0;
  /** Milliseconds of a step, over `count` with one readback. */
  const train = async (count: number): Promise<number> => {
    const start = performance.now();
    for (let i = 0; i < count; i++) await engine.trainStep([batch], trainingHyper(step++), 0);
    const { loss } = await engine.readStats();
    if (!Number.isFinite(loss)) throw new Error(`the loss is ${loss}`);
    return (performance.now() - start) / count;
  };
  await train(1);
  const once = await train(1);
  const count = Math.min(MOST_STEPS, Math.ceil(ENOUGH / once));
  const stepMs = count > 1 ? await train(count) : once;
  return {
    ...cell,
    stepMs,
    tokensPerSecond: 1000 * batchSize * sequenceLength / stepMs,
    megabytes: bytes / 1e6,
    gflops: modelFlops(config, batchSize, sequenceLength) / stepMs / 1e6,
  };
}

/** Tokens per second against the context, a curve for each model and batch; both axes logarithmic. */
function figure(cells: Cell[], machine: string): string {
  const curves = new Map<string, [number, number][]>();
  for (const { preset, batchSize, sequenceLength, tokensPerSecond } of cells) {
    const key = `${preset}, batch of ${batchSize}`;
    if (!curves.has(key)) curves.set(key, []);
    curves.get(key)!.push([sequenceLength, tokensPerSecond]);
  }
  const lengths = [...new Set(cells.map(({ sequenceLength }) => sequenceLength))];
  const rates = cells.map(({ tokensPerSecond }) => tokensPerSecond);
  const x: Axis = {
    label: "context, tokens",
    low: Math.min(...lengths),
    high: Math.max(...lengths, 2 * Math.min(...lengths)),
    ticks: lengths.map((length) => [length, String(length)]),
    logarithmic: true,
  };
  const marks = roundNumbers(Math.min(...rates), 2 * Math.max(...rates)); // the legend needs room
  const y: Axis = {
    label: "tokens per second",
    low: marks[0],
    high: marks.at(-1)!,
    ticks: marks.map((rate) => [rate, rate.toLocaleString("en")]),
    logarithmic: true,
  };
  const sorted = [...curves].map(([name, points]): Curve => {
    return { name, points: points.sort(([a], [b]) => a - b) };
  });
  return lineChart({ title: `Training on ${machine}`, x, y, curves: sorted });
}

/** Numbers 1, 2 and 5 times a power of ten, from the last at or below `low` to one above `high`. */
function roundNumbers(low: number, high: number): number[] {
  const numbers: number[] = [];
  for (let power = 10 ** Math.floor(Math.log10(low)); power <= 10 * high; power *= 10) {
    numbers.push(power, 2 * power, 5 * power);
  }
  const first = numbers.findLastIndex((number) => number <= low);
  return numbers.slice(first, numbers.findIndex((number) => number > high) + 1);
}

const text = (value: number): string => value.toLocaleString("en", { maximumSignificantDigits: 3 });
