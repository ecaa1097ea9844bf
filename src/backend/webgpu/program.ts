/**
 * Dispatches and the programs made of them. Everything a run needs is created when a program is
 * recorded: pipelines, bind groups, and one uniform buffer with the sizes of all its dispatches.
 *
 * @module
 */

import { BYTES, type Program, type Tensor } from "../backend.ts";
import { BUFFER_USAGE } from "./flags.ts";
import type { Kernel, PipelineCache } from "./pipeline_cache.ts";

/** A tensor on the device: a part of a buffer. */
export interface WebGpuTensor extends Tensor {
  /** The storage. */
  readonly buffer: GPUBuffer;
  /** Bytes before the first element; a multiple of 256. */
  readonly byteOffset: number;
}

/** One kernel call to be recorded. */
export interface Dispatch extends Kernel {
  /** The numbers of its `Sizes` uniform; those that are f32 come from {@linkcode float}. */
  sizes: readonly number[];
  /** Tensors of binding 1 and on, which the kernel writes; undefined leaves a number out. */
  writes: readonly (WebGpuTensor | undefined)[];
  /** Tensors of the bindings after these, which it only reads; likewise. */
  reads: readonly (WebGpuTensor | undefined)[];
  /** Workgroups: a number to be folded into two dimensions, or the grid itself. */
  groups: number | readonly [x: number, y: number, z: number];
  /** About how many f32 operations it takes, by which submissions are kept short. */
  work: number;
}

/** A dispatch ready to run. */
export interface Step {
  /** The op it is part of. */
  readonly op: string;
  /** The compiled kernel. */
  readonly pipeline: GPUComputePipeline;
  /** Its tensors and sizes. */
  readonly bindGroup: GPUBindGroup;
  /** Workgroups. */
  readonly grid: readonly [x: number, y: number, z: number];
  /** See {@linkcode Dispatch.work}. */
  readonly work: number;
  /** What it was made of, for profiles. */
  readonly dispatch: Dispatch;
}

/** A recorded program. */
export interface WebGpuProgram extends Program {
  /** Its dispatches, in order. */
  readonly steps: readonly Step[];
  /** The sizes of its dispatches; none where it has no dispatch. */
  readonly uniforms: GPUBuffer | undefined;
}

/** Bytes of a tensor, which WebGPU wants to be a multiple of 4. */
export function bytesOf({ dtype, size }: Pick<Tensor, "dtype" | "size">): number {
  return Math.ceil(BYTES[dtype] * size / 4) * 4;
}

/** Bytes between the `Sizes` of two dispatches: WebGPU's default uniform alignment. */
const UNIFORM_STRIDE = 256;

/** The bits of a number as f32, for an f32 among the sizes of a dispatch. */
export function float(value: number): number {
  return new Uint32Array(Float32Array.of(value).buffer)[0];
}

/** Names of the flags that are set. */
export function on(flags: Record<string, unknown>): string[] {
  return Object.keys(flags).filter((name) => flags[name]);
}

/** The flag F16_… of each of these tensors that is f16. */
export function halves(tensors: Record<string, Tensor | undefined>): string[] {
  return Object.keys(tensors).filter((name) => tensors[name]?.dtype === "f16")
    .map((name) => `F16_${name}`);
}

/** Folds a number of workgroups into a grid within `limit` in both dimensions. */
export function fold(groups: number, limit: number): [number, number, number] {
  const y = Math.ceil(groups / limit);
  return [Math.ceil(groups / y), y, 1];
}

/**
 * Creates the pipelines and bind groups of a program.
 * @param length Number of ops that the dispatches stand for.
 * @param maxBinding Most bytes of a tensor that one dispatch may touch.
 * @throws {RangeError} if a dispatch exceeds the limits, or writes a tensor it also reads.
 */
export function buildProgram(
  device: GPUDevice,
  pipelines: PipelineCache,
  dispatches: readonly Dispatch[],
  length: number,
  maxBinding: number,
): WebGpuProgram {
  const limit = device.limits.maxComputeWorkgroupsPerDimension;
  const grids = dispatches.map((dispatch) => {
    checkTensors(dispatch, maxBinding);
    return gridOf(dispatch, limit);
  });
  if (dispatches.length === 0) return { length, steps: [], uniforms: undefined };
  const uniforms = device.createBuffer({
    label: "sizes",
    size: dispatches.length * UNIFORM_STRIDE,
    usage: BUFFER_USAGE.UNIFORM,
    mappedAtCreation: true,
  });
  const words = new Uint32Array(uniforms.getMappedRange());
  const steps = dispatches.map((dispatch, index): Step => {
    const { op, sizes, writes, reads, work } = dispatch;
    words.set(sizes, index * UNIFORM_STRIDE / 4);
    // A buffer of which one part is written cannot have another part bound as read-only.
    const written = new Set(writes.map((tensor) => tensor?.buffer));
    const mixed = reads.flatMap((tensor, i) =>
      tensor && written.has(tensor.buffer) ? [writes.length + 1 + i] : []
    );
    const pipeline = pipelines.get(dispatch, mixed);
    const entries: GPUBindGroupEntry[] = [{
      binding: 0,
      resource: { buffer: uniforms, offset: index * UNIFORM_STRIDE, size: UNIFORM_STRIDE },
    }];
    [...writes, ...reads].forEach((tensor, i) => {
      if (!tensor) return;
      const { buffer, byteOffset: offset } = tensor;
      entries.push({ binding: i + 1, resource: { buffer, offset, size: bytesOf(tensor) } });
    });
    const layout = pipeline.getBindGroupLayout(0);
    const bindGroup = device.createBindGroup({ label: op, layout, entries });
    return { op, pipeline, bindGroup, grid: grids[index], work, dispatch };
  });
  uniforms.unmap();
  return { length, steps, uniforms };
}

function gridOf({ op, groups }: Dispatch, limit: number): readonly [number, number, number] {
  const grid = typeof groups === "number" ? fold(groups, limit) : groups;
  if (grid.some((count) => count > limit)) {
    throw new RangeError(
      `${op} needs a grid of (${grid}) workgroups, the GPU takes ${limit} each way. Make the ` +
        "batch smaller.",
    );
  }
  return grid;
}

function checkTensors({ op, writes, reads }: Dispatch, maxBinding: number): void {
  const tensors = [...writes, ...reads].filter((tensor) => tensor !== undefined);
  const largest = Math.max(...tensors.map(bytesOf));
  if (largest > maxBinding) {
    throw new RangeError(
      `${op} needs a tensor of ${largest} bytes in one piece, the GPU binds at most ` +
        `${maxBinding}. Choose a smaller model, shorter sequences or fewer streams.`,
    );
  }
  tensors.slice(0, writes.filter(Boolean).length).forEach((target, i) => {
    const overlaps = tensors.some((tensor, j) =>
      i !== j && target.buffer === tensor.buffer &&
      target.byteOffset < tensor.byteOffset + bytesOf(tensor) &&
      tensor.byteOffset < target.byteOffset + bytesOf(target)
    );
    if (overlaps) throw new RangeError(`${op} would write a tensor that it also reads.`);
  });
}
