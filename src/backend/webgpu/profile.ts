/**
 * Times of single dispatches, by timestamp queries.
 *
 * @module
 */

import { BUFFER_USAGE, MAP_READ } from "./flags.ts";
import type { Step } from "./program.ts";

/** How long one dispatch took. */
export interface StepTime {
  /** The op it is part of. */
  op: string;
  /** Milliseconds on the GPU's clock. */
  ms: number;
  /** About how many f32 operations it was. */
  work: number;
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
    const count = 2 * chunk.length;
    const queries = device.createQuerySet({ type: "timestamp", count });
    const resolved = device.createBuffer({
      size: 8 * count,
      usage: BUFFER_USAGE.QUERY_RESOLVE | BUFFER_USAGE.COPY_SRC,
    });
    const staging = device.createBuffer({
      size: 8 * count,
      usage: BUFFER_USAGE.MAP_READ | BUFFER_USAGE.COPY_DST,
    });
    const encoder = device.createCommandEncoder();
    chunk.forEach(({ pipeline, bindGroup, grid }, i) => {
      const pass = encoder.beginComputePass({
        timestampWrites: {
          querySet: queries,
          beginningOfPassWriteIndex: 2 * i,
          endOfPassWriteIndex: 2 * i + 1,
        },
      });
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, bindGroup);
      pass.dispatchWorkgroups(...grid);
      pass.end();
    });
    encoder.resolveQuerySet(queries, 0, count, resolved, 0);
    encoder.copyBufferToBuffer(resolved, 0, staging, 0, 8 * count);
    device.queue.submit([encoder.finish()]);
    await staging.mapAsync(MAP_READ);
    const stamps = new BigUint64Array(staging.getMappedRange()); // nanoseconds
    chunk.forEach(({ op, work }, i) => {
      times.push({ op, ms: Number(stamps[2 * i + 1] - stamps[2 * i]) / 1e6, work });
    });
    staging.unmap();
    for (const resource of [queries, resolved, staging]) resource.destroy();
  }
  return times;
}
