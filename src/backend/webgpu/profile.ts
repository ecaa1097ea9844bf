/**
 * Times of dispatches, by timestamp queries.
 *
 * @module
 */

import { BUFFER_USAGE, MAP_READ } from "./flags.ts";
import { kernels } from "./kernels.ts";
import { bytesOf, type Dispatch, type Step } from "./program.ts";

/** What one dispatch has to do. */
export interface StepCost {
  /** The op it is part of. */
  op: string;
  /** The op and its kernel; for products of matrices the shape too, such as `matmul 64 × 8 × 32, aᵀ`. */
  label: string;
  /** About how many f32 operations it was. */
  work: number;
  /** Bytes that it reads and writes at least: see {@linkcode trafficOf}. */
  bytes: number;
}

/** What one dispatch had to do, and how long it took. */
export interface StepTime extends StepCost {
  /** Milliseconds on the GPU's clock. */
  ms: number;
}

/** Ops whose kernels read each tensor of the result before they replace it. */
const IN_PLACE = new Set(["adamw", "crossEntropy", "dropout", "layernormBackward"]);

/**
 * Bytes of the tensors that a dispatch is bound to: those it reads once, those it writes once, or
 * twice if it also reads them. What a kernel reads more than once is not counted, as a cache may
 * hold it, and of a table it counts the whole, though rows may be left out.
 */
function trafficOf({ op, code, flags = [], writes, reads }: Dispatch): number {
  const total = (tensors: Dispatch["writes"]) =>
    tensors.reduce((sum, tensor) => sum + (tensor ? bytesOf(tensor) : 0), 0);
  const isSum = op === "add" && !(flags.includes("A") && flags.includes("B")); // out is a term
  const reread = IN_PLACE.has(op) || flags.includes("ACCUMULATE") || code === kernels.slices ||
    isSum;
  return total(reads) + (reread ? 2 : 1) * total(writes);
}

/** Names of kernels, for those ops that take several. */
const KERNEL_NAMES = new Map<readonly string[], string>(
  Object.entries(kernels).map(([name, code]) => [code, name]),
);

/** See {@linkcode StepCost.label}. */
function labelOf({ op, code, flags = [], sizes }: Dispatch): string {
  const kernel = KERNEL_NAMES.get(code);
  if (kernel === "matmul" || kernel === "matmulPart") {
    const [m, n, k] = sizes;
    const marks = [
      flags.includes("TRANSPOSE_A") && "aᵀ",
      flags.includes("TRANSPOSE_B") && "bᵀ",
      kernel === "matmulPart" && "in parts",
    ].filter(Boolean);
    return [`matmul ${m} × ${n} × ${k}`, ...marks].join(", ");
  }
  return kernel === undefined || kernel === op ? op : `${op}, ${kernel}`;
}

/** What a dispatch has to do. */
export function costOf(dispatch: Dispatch): StepCost {
  const { op, work } = dispatch;
  return { op, label: labelOf(dispatch), work, bytes: trafficOf(dispatch) };
}

/** Most queries of a set. */
const MAX_QUERIES = 4096;

/**
 * Runs steps, each in a pass of its own between two clock readings.
 * @throws {Error} if the device has no timestamp queries.
 */
export async function profile(device: GPUDevice, steps: readonly Step[]): Promise<StepTime[]> {
  if (!device.features.has("timestamp-query")) {
    throw new Error("Cannot profile: this GPU has no timestamp queries.");
  }
  const times: StepTime[] = [];
  for (let from = 0; from < steps.length; from += MAX_QUERIES / 2) {
    const chunk = steps.slice(from, from + MAX_QUERIES / 2);
    const spent = await timePasses(device, chunk.map((step) => [step]));
    chunk.forEach(({ dispatch }, i) => {
      times.push({ ...costOf(dispatch), ms: spent[i] });
    });
  }
  return times;
}

/**
 * Runs lists of steps, each in a pass of its own between two clock readings, and a submission of its
 * own, which leaves a desktop alive.
 * @param passes At most 2,048, on a device with timestamp queries.
 * @returns Milliseconds of each on the GPU's clock.
 */
export async function timePasses(
  device: GPUDevice,
  passes: readonly (readonly Step[])[],
): Promise<number[]> {
  const count = 2 * passes.length;
  const queries = device.createQuerySet({ type: "timestamp", count });
  const resolved = device.createBuffer({
    size: 8 * count,
    usage: BUFFER_USAGE.QUERY_RESOLVE | BUFFER_USAGE.COPY_SRC,
  });
  const staging = device.createBuffer({
    size: 8 * count,
    usage: BUFFER_USAGE.MAP_READ | BUFFER_USAGE.COPY_DST,
  });
  passes.forEach((steps, i) => {
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass({
      timestampWrites: {
        querySet: queries,
        beginningOfPassWriteIndex: 2 * i,
        endOfPassWriteIndex: 2 * i + 1,
      },
    });
    for (const { pipeline, bindGroup, grid } of steps) {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, bindGroup);
      pass.dispatchWorkgroups(...grid);
    }
    pass.end();
    device.queue.submit([encoder.finish()]);
  });
  const encoder = device.createCommandEncoder();
  encoder.resolveQuerySet(queries, 0, count, resolved, 0);
  encoder.copyBufferToBuffer(resolved, 0, staging, 0, 8 * count);
  device.queue.submit([encoder.finish()]);
  await staging.mapAsync(MAP_READ);
  const stamps = new BigUint64Array(staging.getMappedRange()); // nanoseconds
  const spent = passes.map((_, i) => Number(stamps[2 * i + 1] - stamps[2 * i]) / 1e6);
  staging.unmap();
  for (const resource of [queries, resolved, staging]) resource.destroy();
  return spent;
}
