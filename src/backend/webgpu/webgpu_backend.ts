/**
 * The WebGPU backend: ops as WGSL kernels, recorded once as bind groups and replayed.
 *
 * @module
 */

import type { Backend, DType, Ops, Program, Tensor } from "../backend.ts";
import { DeviceLostError } from "../device_lost.ts";
import { checked, checkShape, checkView, checkWrite, sizeOf } from "../checked.ts";
import { type OpenDevice, openDevice, type WebGpuOptions } from "./device.ts";
import { PipelineCache } from "./pipeline_cache.ts";
import { buildProgram, type WebGpuProgram, type WebGpuTensor } from "./program.ts";
import { profile, type StepTime } from "./profile.ts";
import { Recorder } from "./recorder.ts";
import { BUFFER_USAGE } from "./flags.ts";
import { StagingBuffers } from "./staging.ts";

/**
 * f32 operations in one submission. An integrated GPU of 1 TFLOP/s takes about 20 ms for them, so
 * that a desktop's own frames find their turn in between.
 */
const SUBMISSION_WORK = 2e10;

/** Runs the operations on a GPU. */
export class WebGpuBackend implements Backend {
  /** Always "webgpu". */
  readonly name = "webgpu";
  /** The adapter's own name. */
  readonly description: string;
  /** The device, for those who bring kernels of their own. */
  readonly device: GPUDevice;
  readonly #pipelines: PipelineCache;
  readonly #staging: StagingBuffers;
  readonly #buffers = new Set<GPUBuffer>();
  readonly #maxBinding: number;
  #scratch: GPUBuffer | undefined;
  #checks: Promise<Error | undefined>[] = [];
  #refused: Error | undefined;
  #lost: DeviceLostError | undefined;

  private constructor({ device, description, subgroups }: OpenDevice, maxBinding: number) {
    this.device = device;
    this.description = description;
    this.#maxBinding = maxBinding;
    this.#pipelines = new PipelineCache(device, subgroups);
    this.#staging = new StagingBuffers(device);
    device.lost.then(({ message }) => {
      this.#lost = new DeviceLostError(message);
    });
    device.addEventListener("uncapturederror", (event) => {
      event.preventDefault(); // it is not printed but thrown, by the next finish or read
      this.#refused ??= toError((event as GPUUncapturedErrorEvent).error);
    });
  }

  /**
   * Opens a GPU.
   * @throws {Error} if there is no adapter, or only one in software and `allowFallback` is not set.
   * @throws {RangeError} if `maxBindingBytes` is more than the GPU allows.
   */
  static async create(options: WebGpuOptions = {}): Promise<WebGpuBackend> {
    const open = await openDevice(options), { device } = open;
    const limit = device.limits.maxStorageBufferBindingSize;
    const { maxBindingBytes = limit } = options;
    if (!(maxBindingBytes >= 256 && maxBindingBytes <= limit)) {
      device.destroy();
      throw new RangeError(`maxBindingBytes is ${maxBindingBytes}, expected 256 to ${limit}.`);
    }
    return new WebGpuBackend(open, maxBindingBytes);
  }

  tensor(shape: readonly number[], dtype: DType = "f32"): Tensor {
    const size = sizeOf(checkShape(shape));
    const limit = this.device.limits.maxBufferSize;
    if (4 * size > limit) {
      throw new RangeError(
        `A tensor of (${shape}) takes ${4 * size} bytes, a buffer of this GPU at most ${limit}.`,
      );
    }
    const buffer = this.#allocate(4 * size);
    this.#buffers.add(buffer);
    const tensor: WebGpuTensor = { dtype, shape, size, buffer, byteOffset: 0 };
    return tensor;
  }

  view(tensor: Tensor, offset: number, shape: readonly number[]): Tensor {
    checkView(tensor, offset, shape);
    const { dtype, buffer, byteOffset } = tensor as WebGpuTensor;
    const view: WebGpuTensor = {
      dtype,
      shape,
      size: sizeOf(shape),
      buffer,
      byteOffset: byteOffset + 4 * offset,
    };
    return view;
  }

  free(tensor: Tensor): void {
    const { buffer } = tensor as WebGpuTensor;
    buffer.destroy();
    this.#buffers.delete(buffer);
  }

  write(tensor: Tensor, data: Float32Array | Uint32Array, offset = 0): void {
    checkWrite(tensor, data, offset);
    const { buffer, byteOffset } = tensor as WebGpuTensor;
    this.device.queue.writeBuffer(
      buffer,
      byteOffset + 4 * offset,
      data as Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>,
    );
  }

  async read(tensor: Tensor): Promise<Float32Array<ArrayBuffer>> {
    if (tensor.dtype !== "f32") {
      throw new TypeError(`Cannot read a ${tensor.dtype} tensor, only f32.`);
    }
    const { buffer, byteOffset, size } = tensor as WebGpuTensor;
    // The copy is submitted before anything is awaited: later runs must not change what is read.
    const [copy] = await Promise.allSettled([this.#staging.read(buffer, byteOffset, 4 * size)]);
    await this.#verify(); // a lost device says more than the mapping that failed
    if (copy.status === "rejected") {
      // The mapping may fail a moment before the loss is told.
      await new Promise((resolve) => setTimeout(resolve, 10));
      throw this.#lost ?? copy.reason;
    }
    return new Float32Array(copy.value);
  }

  record(build: (ops: Ops) => void): Program {
    if (this.#lost) throw this.#lost;
    const recorder = new Recorder(this.#maxBinding, (elements) => this.#scratchFor(elements));
    build(checked(recorder));
    const { dispatches, length } = recorder;
    return buildProgram(this.device, this.#pipelines, dispatches, length, this.#maxBinding);
  }

  run(program: Program): void {
    const { steps } = program as WebGpuProgram;
    for (let next = 0; next < steps.length;) {
      const encoder = this.device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      for (let work = 0; next < steps.length && work < SUBMISSION_WORK; next++) {
        const { pipeline, bindGroup, grid } = steps[next];
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, bindGroup);
        pass.dispatchWorkgroups(...grid);
        work += steps[next].work;
      }
      pass.end();
      this.device.queue.submit([encoder.finish()]);
    }
  }

  async finish(): Promise<void> {
    await this.#verify();
    await this.device.queue.onSubmittedWorkDone();
    await this.#verify();
  }

  /**
   * Runs a program with a clock reading around every dispatch.
   * @returns Milliseconds of each dispatch, in order, by the name of the op it is part of.
   * @throws {Error} if the adapter has no timestamp queries.
   */
  async profile(program: Program): Promise<StepTime[]> {
    await this.finish();
    const times = await profile(this.device, (program as WebGpuProgram).steps);
    await this.#verify();
    return times;
  }

  /** Gives back the device and all tensors on it. */
  [Symbol.dispose](): void {
    this.#staging.destroy();
    for (const buffer of this.#buffers) buffer.destroy();
    this.#buffers.clear();
    this.device.destroy();
  }

  #allocate(bytes: number): GPUBuffer {
    this.device.pushErrorScope("out-of-memory");
    const buffer = this.device.createBuffer({
      size: bytes,
      usage: BUFFER_USAGE.STORAGE | BUFFER_USAGE.COPY_SRC | BUFFER_USAGE.COPY_DST,
    });
    this.#checks.push(
      this.device.popErrorScope().then((error) =>
        error
          ? new RangeError(
            `The GPU has no memory left for ${bytes} bytes. Make the batch or the model smaller.`,
          )
          : undefined
      ),
    );
    return buffer;
  }

  /**
   * One buffer serves all ops in turn. Where a larger one is needed, programs recorded before it
   * keep theirs, and it goes with them.
   */
  #scratchFor(elements: number): WebGpuTensor {
    if (!this.#scratch || this.#scratch.size < 4 * elements) {
      this.#scratch = this.#allocate(2 ** Math.ceil(Math.log2(Math.max(64, 4 * elements))));
    }
    const buffer = this.#scratch;
    return { dtype: "f32", shape: [elements], size: elements, buffer, byteOffset: 0 };
  }

  async #verify(): Promise<void> {
    if (this.#lost) throw this.#lost;
    const checks = this.#checks;
    this.#checks = [];
    await this.#pipelines.verify();
    for (const check of checks) {
      const error = await check;
      if (error) throw error;
    }
    if (this.#lost) throw this.#lost;
    const refused = this.#refused;
    this.#refused = undefined;
    if (refused) throw refused;
  }
}

function toError(error: GPUError): Error {
  const message = `The GPU refused a command: ${error.message.trim()}`;
  return error instanceof GPUOutOfMemoryError ? new RangeError(message) : new Error(message);
}
