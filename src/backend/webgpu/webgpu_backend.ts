/**
 * The WebGPU backend: ops as WGSL kernels, recorded once as bind groups and replayed.
 *
 * @module
 */

import { halves, hasFloat16 } from "../../float16.ts";
import {
  type Backend,
  BYTES,
  type DType,
  type MatmulArgs,
  type Ops,
  type Program,
  type Tensor,
} from "../backend.ts";
import { DeviceLostError } from "../device_lost.ts";
import { checked, checkRead, checkShape, checkView, checkWrite, sizeOf } from "../checked.ts";
import { type OpenDevice, openDevice, type WebGpuOptions } from "./device.ts";
import { fastest } from "./autotune.ts";
import {
  candidatePlans,
  fitsShape,
  type MatmulPlan,
  type MatmulShape,
  planMatmul,
  shapeKey,
} from "./matmul_plan.ts";
import { PipelineCache } from "./pipeline_cache.ts";
import { buildProgram, bytesOf, type WebGpuProgram, type WebGpuTensor } from "./program.ts";
import { readPlans, writePlans } from "./plan_file.ts";
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
  /** Whether the GPU computes with f16, WebGPU's feature `shader-f16`. */
  readonly hasF16: boolean;
  /** Whether kernels use subgroups. */
  readonly hasSubgroups: boolean;
  /** The device, for those who bring kernels of their own. */
  readonly device: GPUDevice;
  readonly #pipelines: PipelineCache;
  readonly #staging: StagingBuffers;
  readonly #buffers = new Set<GPUBuffer>();
  readonly #maxBinding: number;
  readonly #tunes: boolean;
  /** Plans of matrix products by shape. What is here never changes, so that programs agree. */
  readonly #plans = new Map<string, MatmulPlan>();
  #scratch: GPUBuffer | undefined;
  #checks: Promise<Error | undefined>[] = [];
  #refused: Error | undefined;
  #lost: DeviceLostError | undefined;

  private constructor(open: OpenDevice, maxBinding: number, tunes: boolean) {
    const { device, description, subgroups } = open;
    this.device = device;
    this.description = description;
    this.#tunes = tunes && device.features.has("timestamp-query");
    this.hasF16 = hasFloat16 && device.features.has("shader-f16");
    this.#maxBinding = maxBinding;
    this.hasSubgroups = subgroups !== undefined;
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
    if (!(maxBindingBytes >= 512 && maxBindingBytes <= limit)) {
      device.destroy();
      throw new RangeError(`maxBindingBytes is ${maxBindingBytes}, expected 512 to ${limit}.`);
    }
    return new WebGpuBackend(open, maxBindingBytes, options.autotune ?? !open.isSoftware);
  }

  tensor(shape: readonly number[], dtype: DType = "f32"): Tensor {
    if (dtype === "f16" && !this.hasF16) {
      throw new TypeError(`${this.description} has no shader-f16, so no f16 tensors: use f32.`);
    }
    const size = sizeOf(checkShape(shape)), bytes = bytesOf({ dtype, size });
    const limit = this.device.limits.maxBufferSize;
    if (bytes > limit) {
      throw new RangeError(
        `A tensor of (${shape}) takes ${bytes} bytes, a buffer of this GPU at most ${limit}.`,
      );
    }
    const buffer = this.#allocate(bytes);
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
      byteOffset: byteOffset + BYTES[dtype] * offset,
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
    const { buffer, byteOffset, dtype } = tensor as WebGpuTensor;
    const at = byteOffset + BYTES[dtype] * offset;
    if (dtype !== "f16") {
      const words = data as Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>;
      return this.device.queue.writeBuffer(buffer, at, words);
    }
    const end = at + 2 * data.length;
    if (at % 4 !== 0 || (end % 4 !== 0 && end + 2 !== buffer.size)) {
      throw new RangeError(
        `Cannot write ${data.length} f16 elements at ${offset}: begin and end at even places.`,
      );
    }
    const padded = new (halves())(data.length + data.length % 2);
    padded.set(data);
    this.device.queue.writeBuffer(buffer, at, padded);
  }

  async read(tensor: Tensor): Promise<Float32Array<ArrayBuffer>> {
    checkRead(tensor);
    const { buffer, byteOffset, size, dtype } = tensor as WebGpuTensor;
    // The copy is submitted before anything is awaited: later runs must not change what is read.
    const bytes = bytesOf({ dtype, size });
    const [copy] = await Promise.allSettled([this.#staging.read(buffer, byteOffset, bytes)]);
    await this.#verify(); // a lost device says more than the mapping that failed
    if (copy.status === "rejected") {
      // The mapping may fail a moment before the loss is told.
      await new Promise((resolve) => setTimeout(resolve, 10));
      throw this.#lost ?? copy.reason;
    }
    if (dtype === "f32") return new Float32Array(copy.value);
    return new Float32Array(new (halves())(copy.value, 0, size));
  }

  record(build: (ops: Ops) => void): Program {
    if (this.#lost) throw this.#lost;
    return this.#record(build, (shape) => this.#planOf(shape));
  }

  /**
   * Measures how the matrix products of a program are best cut, for programs recorded later: those of
   * a shape already recorded stay as they are. The plans are kept in this module's cache folder, if
   * Deno grants it without asking. Where `autotune` is off or the GPU has no timestamp queries plans
   * are reasoned. Other plans add up in another order, so that results differ in their last bits.
   * @param build Records the program. Its products are run, on its tensors: what they write is lost.
   */
  async tune(build: (ops: Ops) => void): Promise<void> {
    if (!this.#tunes) return;
    if (this.#lost) throw this.#lost;
    const found = new Map<string, { shape: MatmulShape; args: MatmulArgs }>();
    const scratch = (elements: number) => this.#scratchFor(elements);
    const survey = new Recorder(this.#maxBinding, scratch, (shape, args) => {
      const key = shapeKey(shape);
      if (!this.#plans.has(key)) found.set(key, { shape, args });
      return planMatmul(shape, this.#maxParts);
    });
    build(checked(survey));
    if (found.size === 0) return;
    const stored = await readPlans(this.description);
    const measured = new Map<string, MatmulPlan>(), before = this.#scratch;
    try {
      for (const [key, { shape, args }] of found) {
        let plan = stored.get(key);
        if (!plan || !fitsShape(plan, shape, this.#maxParts)) {
          plan = await this.#fastestPlan(shape, args);
          measured.set(key, plan);
        }
        this.#plans.set(key, plan);
      }
    } catch (error) {
      await this.#verify(); // a lost device says more than the mapping that failed
      throw error;
    }
    if (this.#scratch !== before) {
      this.#scratch?.destroy(); // the plans that were not chosen may have needed more
      this.#scratch = before;
    }
    await this.#verify();
    if (measured.size > 0) await writePlans(this.description, measured);
  }

  run(...programs: Program[]): void {
    let encoder: GPUCommandEncoder | undefined, pass: GPUComputePassEncoder, work = 0;
    const submit = () => {
      if (!encoder) return;
      pass.end();
      this.device.queue.submit([encoder.finish()]);
      encoder = undefined;
    };
    for (const program of programs) {
      for (const step of (program as WebGpuProgram).steps) {
        if (!encoder) {
          encoder = this.device.createCommandEncoder();
          pass = encoder.beginComputePass();
          work = 0;
        }
        pass!.setPipeline(step.pipeline);
        pass!.setBindGroup(0, step.bindGroup);
        pass!.dispatchWorkgroups(...step.grid);
        work += step.work;
        if (work >= SUBMISSION_WORK) submit();
      }
    }
    submit();
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

  /** Most elements that the parts of a product may have. */
  get #maxParts(): number {
    return this.#maxBinding / 4;
  }

  /** The plan of a shape, from now on. */
  #planOf(shape: MatmulShape): MatmulPlan {
    const key = shapeKey(shape);
    let plan = this.#plans.get(key);
    if (!plan) this.#plans.set(key, plan = planMatmul(shape, this.#maxParts));
    return plan;
  }

  /** Epilogues are left out, as every one of them would need all kernels compiled for itself. */
  async #fastestPlan(
    shape: MatmulShape,
    { out, a, b, transposeA, transposeB, plannedRows }: MatmulArgs,
  ): Promise<MatmulPlan> {
    const product = { out, a, b, transposeA, transposeB, plannedRows };
    const plans: MatmulPlan[] = [], programs: WebGpuProgram[] = [];
    for (const plan of candidatePlans(shape, this.#maxParts)) {
      const program = this.#record((ops) => ops.matmul(product), () => plan);
      try {
        await this.#pipelines.verify();
      } catch {
        continue; // this GPU's compiler does not take it
      }
      plans.push(plan);
      programs.push(program);
    }
    if (plans.length === 0) return planMatmul(shape, this.#maxParts);
    const winner = await fastest(this.device, programs.map(({ steps }) => steps));
    for (const { uniforms } of programs) uniforms?.destroy();
    return plans[winner];
  }

  #record(
    build: (ops: Ops) => void,
    plan: (shape: MatmulShape, args: MatmulArgs) => MatmulPlan,
  ): WebGpuProgram {
    const recorder = new Recorder(
      this.#maxBinding,
      (elements) => this.#scratchFor(elements),
      plan,
    );
    build(checked(recorder));
    const { dispatches, length } = recorder;
    return buildProgram(this.device, this.#pipelines, dispatches, length, this.#maxBinding);
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
