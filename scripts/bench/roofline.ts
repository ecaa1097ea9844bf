/**
 * What a GPU can do at best: f32 multiply-adds in registers, and bytes copied through memory. Every
 * kernel is bound by one of them (Williams et al. 2009, "Roofline"), so they tell how far a kernel is
 * from the best that it can be.
 *
 * @module
 */

import commonCode from "../../src/backend/webgpu/common.wgsl" with { type: "text" };
import { PipelineCache } from "../../src/backend/webgpu/pipeline_cache.ts";
import {
  buildProgram,
  type Dispatch,
  float,
  type WebGpuProgram,
  type WebGpuTensor,
} from "../../src/backend/webgpu/program.ts";
import { WebGpuBackend } from "../../src/backend/webgpu/webgpu_backend.ts";
import { adapterKind, expectNear, reason, type Result } from "./measure.ts";
import copyCode from "./probe/copy.wgsl" with { type: "text" };
import multiplyAddCode from "./probe/multiply_add.wgsl" with { type: "text" };

/** What was measured. */
export interface Roofline {
  /** f32 operations per second; a multiply-add is two. */
  flops: number;
  /** Bytes per second, those read and those written together. */
  bandwidth: number;
  /** Each size that was tried. */
  results: Result[];
}

const MULTIPLY_ADD: readonly string[] = [commonCode, multiplyAddCode];
const COPY: readonly string[] = [copyCode];

/** Multiply-adds of each chain in a round. */
const STEPS = 16;
/** A chain tends to 1000 · term, slowly enough that a step more or less shows. */
const FACTOR = Math.fround(0.999), TERM = Math.fround(0.01);

/** How many times as long as a GPU says the host may wait for it. */
const LATE = 100;

/** Sizes that fill a large GPU, and sizes that a software adapter ends within a second. */
const SIZES = {
  real: { groups: [1024, 4096, 16384], megabytes: [256, 512, 1024], milliseconds: 10 },
  software: { groups: [16, 64], megabytes: [8, 32], milliseconds: 20 },
};

/** Runs dispatches of our own kernels and tells how long they take. */
class Bench implements Disposable {
  readonly backend: WebGpuBackend;
  readonly #pipelines: PipelineCache;

  constructor(backend: WebGpuBackend) {
    this.backend = backend;
    this.#pipelines = new PipelineCache(backend.device);
  }

  async program(dispatch: Dispatch): Promise<WebGpuProgram> {
    const { device } = this.backend, most = device.limits.maxStorageBufferBindingSize;
    const program = buildProgram(device, this.#pipelines, [dispatch], 1, most);
    await this.#pipelines.verify();
    return program;
  }

  /** Milliseconds of a run: on the GPU's clock if it has one, else until the host hears of its end. */
  async time(program: WebGpuProgram): Promise<number> {
    if (this.backend.device.features.has("timestamp-query")) {
      return (await this.backend.profile(program)).reduce((sum, { ms }) => sum + ms, 0);
    }
    const start = performance.now();
    this.backend.run(program);
    await this.backend.finish();
    return performance.now() - start;
  }

  async best(program: WebGpuProgram, runs: number): Promise<number> {
    let least = Infinity;
    for (let run = 0; run < runs; run++) least = Math.min(least, await this.time(program));
    return least;
  }

  [Symbol.dispose](): void {
    this.backend[Symbol.dispose]();
  }
}

/**
 * Measures both by several sizes; the best counts. Results are checked first.
 * @throws {Error} if there is no adapter, or a result is wrong.
 */
export async function measureRoofline(): Promise<Roofline> {
  const software = await adapterKind() === "software";
  using bench = new Bench(await WebGpuBackend.create({ allowFallback: true }));
  const { groups, megabytes, milliseconds } = SIZES[software ? "software" : "real"];
  const note = bench.backend.description + (software ? "; SOFTWARE ADAPTER" : "");
  const base = { bench: "roofline", contender: "webgpu", note };
  const results: Result[] = [];
  let flops = 0, bandwidth = 0;
  for (const chains of [4, 8]) {
    for (const count of groups) {
      const rate = await multiplyAdds(bench, chains, count, milliseconds);
      flops = Math.max(flops, rate);
      const input = `multiply-adds f32, ${chains} × 4 a thread, ${256 * count} threads`;
      results.push({ ...base, input, value: rate / 1e9, unit: "GFLOP/s" });
    }
  }
  for (const size of megabytes) {
    for (const precision of ["f32", "f16"] as const) {
      const row = { ...base, input: `copy of ${size} MiB, ${precision}`, unit: "GB/s" };
      try {
        const rate = await copy(bench, size * 2 ** 20, precision);
        if (precision === "f32") bandwidth = Math.max(bandwidth, rate);
        results.push({ ...row, value: rate / 1e9 });
      } catch (error) {
        results.push({ ...row, note: `not run: ${reason(error)}` });
      }
    }
  }
  if (bandwidth === 0) throw new Error(`no copy was measured: ${results.at(-1)!.note}`);
  return { flops, bandwidth, results };
}

/** f32 operations per second of `groups` workgroups of 256 threads, each with `chains` chains. */
async function multiplyAdds(
  bench: Bench,
  chains: number,
  groups: number,
  milliseconds: number,
): Promise<number> {
  const { backend } = bench, threads = 256 * groups;
  const sums = backend.tensor([threads, 4]) as WebGpuTensor;
  const programOf = (rounds: number) =>
    bench.program({
      op: "multiply-add probe",
      code: MULTIPLY_ADD,
      constants: { CHAINS: chains, STEPS },
      sizes: [rounds, float(FACTOR), float(TERM)],
      writes: [sums],
      reads: [],
      groups,
      work: 8 * threads * rounds * STEPS * chains,
    });
  try {
    let rounds = 4, program = await programOf(rounds);
    await bench.time(program);
    checkSums(await backend.read(sums), chains, rounds);
    while (await bench.best(program, 2) < milliseconds) {
      // A GPU's clock that stands still must not let the work grow without end.
      const start = performance.now(), ms = await bench.time(program);
      const waited = performance.now() - start;
      if (waited > LATE * Math.max(milliseconds, ms)) {
        throw new Error(`the GPU's clock says ${ms} ms where the host waited for ${waited} ms`);
      }
      program = await programOf(rounds *= 2);
    }
    const ms = await bench.best(program, 5);
    checkSums(await backend.read(sums), chains, rounds);
    return 1000 * program.steps[0].work / ms;
  } finally {
    backend.free(sums);
  }
}

/** Compares the sums of some threads with the closed form of x = factor · x + term. */
function checkSums(sums: Float32Array, chains: number, rounds: number): void {
  const power = FACTOR ** (rounds * STEPS), limit = TERM / (1 - FACTOR);
  for (let i = 0; i < sums.length; i += Math.max(1, Math.floor(sums.length / 1000))) {
    const thread = Math.floor(i / 4);
    let expected = 0;
    for (let chain = 0; chain < chains; chain++) {
      const start = 0.25 * (i % 4) + thread % 16 + chain;
      expected += power * (start - limit) + limit;
    }
    // Each step rounds by 6e-8 at most, and its error shrinks by the factor: 6e-5 in the long run.
    expectNear("sum", sums[i], expected, 1e-4);
  }
}

/** Bytes per second, read and written, of a copy of `bytes` bytes. */
async function copy(bench: Bench, bytes: number, precision: "f32" | "f16"): Promise<number> {
  const { backend } = bench, { features, limits } = backend.device;
  if (precision === "f16" && !features.has("shader-f16")) {
    throw new Error("the device was opened without f16");
  }
  if (bytes > limits.maxStorageBufferBindingSize) {
    throw new Error(`the GPU binds at most ${limits.maxStorageBufferBindingSize} bytes`);
  }
  const flags = precision === "f16" ? ["F16"] : [];
  const size = bytes / (precision === "f16" ? 8 : 16);
  const [source, out] = [0, 1].map(() => backend.tensor([bytes / 4]) as WebGpuTensor);
  const programOf = (writes: WebGpuTensor, reads?: WebGpuTensor) =>
    bench.program({
      op: "copy probe",
      code: COPY,
      flags: reads ? flags : [...flags, "FILL"],
      sizes: [size],
      writes: [writes],
      reads: reads ? [reads] : [],
      groups: Math.ceil(size / 256),
      work: size,
    });
  try {
    backend.run(await programOf(source));
    const program = await programOf(out, source);
    const ms = await bench.best(program, 6);
    if (!(ms > 0)) throw new Error(`the GPU's clock says ${ms} ms for a copy`);
    const words = (tensor: WebGpuTensor, at: number) =>
      backend.read(backend.view(tensor, at, [64]));
    for (const at of [0, bytes / 8, bytes / 4 - 64]) { // in words: begin, middle, end
      const [expected, actual] = [await words(source, at), await words(out, at)];
      const bits = [expected, actual].map((data) => new Uint32Array(data.buffer));
      if (bits[0].some((word, i) => word === 0 || word !== bits[1][i])) {
        throw new Error(`its copy is wrong behind word ${at}`);
      }
    }
    return 1000 * 2 * bytes / ms;
  } finally {
    backend.free(source);
    backend.free(out);
  }
}

/** The table of {@linkcode measureRoofline}, the best of each last. */
export async function benchRoofline(): Promise<Result[]> {
  const { flops, bandwidth, results } = await measureRoofline();
  const base = { ...results[0], note: "" };
  return [
    ...results,
    { ...base, input: "best rate, f32", value: flops / 1e9, unit: "GFLOP/s" },
    { ...base, input: "best bandwidth, f32", value: bandwidth / 1e9, unit: "GB/s" },
  ];
}
