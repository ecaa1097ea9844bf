/**
 * Buffers through which results come back to the host. They are kept and used again.
 *
 * @module
 */

import { BUFFER_USAGE, MAP_READ } from "./flags.ts";

/** Bytes above which a staging buffer is not kept. */
const MAX_KEPT = 1 << 24;

/** Copies parts of buffers to the host. */
export class StagingBuffers {
  readonly #device: GPUDevice;
  readonly #free: GPUBuffer[] = [];

  /** @param device Where the buffers are. */
  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** Copies `size` bytes out, after everything submitted so far. */
  async read(buffer: GPUBuffer, offset: number, size: number): Promise<ArrayBuffer> {
    const staging = this.#take(size);
    const encoder = this.#device.createCommandEncoder();
    encoder.copyBufferToBuffer(buffer, offset, staging, 0, size);
    this.#device.queue.submit([encoder.finish()]);
    try {
      await staging.mapAsync(MAP_READ, 0, size);
      const data = staging.getMappedRange(0, size).slice(0);
      staging.unmap();
      if (staging.size > MAX_KEPT) staging.destroy();
      else this.#free.push(staging);
      return data;
    } catch (error) {
      staging.destroy();
      throw error;
    }
  }

  /** Gives the kept buffers back. */
  destroy(): void {
    for (const buffer of this.#free.splice(0)) buffer.destroy();
  }

  #take(size: number): GPUBuffer {
    const fit = this.#free.findIndex((buffer) => buffer.size >= size);
    if (fit >= 0) return this.#free.splice(fit, 1)[0];
    return this.#device.createBuffer({
      label: "staging",
      size: 2 ** Math.ceil(Math.log2(Math.max(256, size))),
      usage: BUFFER_USAGE.MAP_READ | BUFFER_USAGE.COPY_DST,
    });
  }
}
