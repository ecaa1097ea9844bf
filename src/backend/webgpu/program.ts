/**
 * Dispatches and the programs made of them. Everything a run needs is created when a program is
 * recorded: pipelines, bind groups, and one uniform buffer with the sizes of all its dispatches.
 *
 * @module
 */

import type { Program, Tensor } from "../backend.ts";
import commonCode from "./common.wgsl" with { type: "text" };
import { BUFFER_USAGE } from "./flags.ts";
import type { PipelineCache } from "./pipeline_cache.ts";
import { type Specialization, specialize } from "./template.ts";

/** A tensor on the device: a part of a buffer. */
export interface WebGpuTensor extends Tensor {
  /** The storage. */
  readonly buffer: GPUBuffer;
  /** Bytes before the first element; a multiple of 256. */
  readonly byteOffset: number;
}

/** One kernel call to be recorded. */
export interface Dispatch extends Specialization {
  /** The op it is part of; names it in errors and profiles. */
  op: string;
  /** The kernel and what it includes, without common.wgsl. */
  code: readonly string[];
  /** The numbers of its `Sizes` uniform; those that are f32 come from {@linkcode float}. */
  sizes: readonly number[];
  /** What binding 1, 2, … refer to; undefined leaves a number out. Written tensors in `writes`. */
  bindings: readonly (WebGpuTensor | undefined)[];
  /** The tensors among the bindings that the kernel writes. */
  writes: readonly WebGpuTensor[];
  /** Workgroups: a number to be folded into two dimensions, or the grid itself. */
  groups: number | readonly [x: number, y: number, z: number];
  /** About how many f32 operations it takes, by which submissions are kept short. */
  work: number;
}

/** A dispatch ready to run. */
export interface Step {
  /** See {@linkcode Dispatch.op}. */
  readonly op: string;
  readonly pipeline: GPUComputePipeline;
  readonly bindGroup: GPUBindGroup;
  readonly grid: readonly [x: number, y: number, z: number];
  readonly work: number;
}

/** A recorded program. */
export interface WebGpuProgram extends Program {
  /** Its dispatches, in order. */
  readonly steps: readonly Step[];
}

/** Bytes between the `Sizes` of two dispatches: WebGPU's default uniform alignment. */
const UNIFORM_STRIDE = 256;

/** The bits of a number as f32, for a f32 among the sizes of a dispatch. */
export function float(value: number): number {
  return new Uint32Array(Float32Array.of(value).buffer)[0];
}

/** Folds a number of workgroups into a grid that keeps WebGPU's limit in every dimension. */
export function fold(groups: number, limit: number): [number, number, number] {
  const y = Math.ceil(groups / limit);
  return [Math.ceil(groups / y), y, 1];
}

/**
 * Creates pipelines and bind groups of a program.
 * @param length Number of ops they stand for.
 * @throws {RangeError} if a dispatch does not fit the device's limits or writes what it reads.
 */
export function buildProgram(
  device: GPUDevice,
  pipelines: PipelineCache,
  dispatches: readonly Dispatch[],
  length: number,
): { program: WebGpuProgram; uniforms: GPUBuffer | undefined } {
  if (dispatches.length === 0) return { program: { length, steps: [] }, uniforms: undefined };
  const uniforms = device.createBuffer({
    label: "sizes",
    size: dispatches.length * UNIFORM_STRIDE,
    usage: BUFFER_USAGE.UNIFORM,
    mappedAtCreation: true,
  });
  const words = new Uint32Array(uniforms.getMappedRange());
  const steps = dispatches.map((dispatch, index): Step => {
    words.set(dispatch.sizes, index * UNIFORM_STRIDE / 4);
    const { op, bindings, writes, work } = dispatch;
    checkBindings(device, dispatch);
    const text = dispatch.code.join("\n");
    let source = specialize(`${commonCode}\n${text}`, dispatch);
    // A buffer of which one part is written cannot have another part bound as read-only.
    const written = new Set(writes.map((tensor) => tensor.buffer));
    bindings.forEach((tensor, i) => {
      if (tensor && written.has(tensor.buffer)) {
        source = source.replace(
          `@binding(${i + 1}) var<storage, read> `,
          `@binding(${i + 1}) var<storage, read_write> `,
        );
      }
    });
    const pipeline = pipelines.get(op, source);
    const bindGroup = device.createBindGroup({
      label: op,
      layout: pipeline.getBindGroupLayout(0),
      entries: [
        {
          binding: 0,
          resource: { buffer: uniforms, offset: index * UNIFORM_STRIDE, size: UNIFORM_STRIDE },
        },
        ...bindings.flatMap((tensor, i) =>
          tensor
            ? [{
              binding: i + 1,
              resource: {
                buffer: tensor.buffer,
                offset: tensor.byteOffset,
                size: 4 * tensor.size,
              },
            }]
            : []
        ),
      ],
    });
    const limit = device.limits.maxComputeWorkgroupsPerDimension;
    const grid = typeof dispatch.groups === "number"
      ? fold(dispatch.groups, limit)
      : dispatch.groups;
    if (grid.some((count) => count > limit)) {
      throw new RangeError(`${op} needs a grid of (${grid}) workgroups, the device has ${limit}.`);
    }
    return { op, pipeline, bindGroup, grid, work };
  });
  uniforms.unmap();
  return { program: { length, steps }, uniforms };
}

function checkBindings(device: GPUDevice, { op, bindings, writes }: Dispatch): void {
  const limit = device.limits.maxStorageBufferBindingSize;
  for (const tensor of bindings) {
    if (!tensor) continue;
    if (4 * tensor.size > limit) {
      throw new RangeError(
        `${op} needs a tensor of ${4 * tensor.size} bytes in one binding, the device has ` +
          `${limit}. Make the batch or the chunk smaller.`,
      );
    }
    for (const target of writes) {
      const overlaps = target !== tensor && target.buffer === tensor.buffer &&
        target.byteOffset < tensor.byteOffset + 4 * tensor.size &&
        tensor.byteOffset < target.byteOffset + 4 * target.size;
      if (overlaps) throw new RangeError(`${op} writes a tensor that overlaps another of its own.`);
    }
  }
}
