/**
 * The wasm backend: SIMD kernels on shared memory, run by this thread and a few workers.
 *
 * A program is a list of words in the memory. One call runs it: all threads walk through the list
 * together, share the tasks of each command, and meet at a barrier after it. Results have the same
 * bits for any number of threads.
 *
 * @module
 */

import type { Backend, DType, Ops, Program, Tensor } from "../backend.ts";
import { checked, checkShape, checkView, checkWrite, sizeOf } from "../checked.ts";
import { readResource } from "../../resource.ts";
import { MOST_THREADS } from "../select.ts";
import { Allocator } from "./allocator.ts";
import { Control, HEAP_START, THREAD_SCRATCH } from "./opcodes.ts";
import { Pace } from "./pace.ts";
import { Recorder } from "./recorder.ts";
import { availableThreads, isConfined, type Thread, threadMaker } from "./thread.ts";

/** The functions of kernels.wasm. */
export interface Kernels {
  /** Tells the instance its number, the number of threads, and whether it may sleep (0 or 1). */
  configure(thread: number, threads: number, maySleep: number): void;
  /** Runs the program between two addresses on all threads. */
  run(start: number, end: number): void;
  /** Takes part in all programs after `generation`, until `stop`. */
  work(generation: number): void;
  /** Makes the workers leave. */
  stop(): void;
}

/** Most pages of 64 KiB that the memory is asked to grow to: 4 GiB, less where that is refused. */
const PAGES = [65536, 32768, 16384];
/** Threads used unless told otherwise are the machine's, up to this many. */
const DEFAULT_THREADS = 8;

class WasmTensor implements Tensor {
  constructor(
    readonly backend: WasmBackend,
    readonly address: number,
    readonly dtype: DType,
    readonly shape: readonly number[],
    readonly size: number,
  ) {}
}

class WasmProgram implements Program {
  constructor(
    readonly backend: WasmBackend,
    readonly length: number,
    readonly start: number,
    readonly end: number,
    readonly pace: Pace,
  ) {}
}

/** Options of {@linkcode WasmBackend.create}. */
export interface WasmOptions {
  /** Number of threads, this one included; by default the machine's, at most 8. */
  threads?: number;
  /** Which build of the kernels; by default `relaxed` where the engine has relaxed SIMD. */
  simd?: Simd;
}

/** The builds of the kernels: for relaxed SIMD, or for SIMD as it was before. */
export type Simd = "relaxed" | "plain";

interface CompiledKernels {
  module: WebAssembly.Module;
  simd: Simd;
}

/** Compiles the kernels for relaxed SIMD or, where the engine lacks it and nothing was asked for, plain. */
async function compileKernels(wanted?: Simd): Promise<CompiledKernels> {
  const compile = async (simd: Simd) => {
    const file = simd === "relaxed" ? "./kernels.wasm" : "./kernels_plain.wasm";
    const module = await WebAssembly.compile(await readResource(new URL(file, import.meta.url)));
    return { module, simd };
  };
  try {
    return await compile(wanted ?? "relaxed").catch((error) => {
      if (wanted || !(error instanceof WebAssembly.CompileError)) throw error;
      return compile("plain");
    });
  } catch (cause) {
    throw new Error(
      "This engine cannot compile the wasm kernels: it needs WebAssembly threads and SIMD. Use a " +
        "newer one, or another backend.",
      { cause },
    );
  }
}

/** Runs the operations in WebAssembly, on this thread and on workers. */
export class WasmBackend implements Backend {
  readonly name = "wasm";
  readonly description: string;
  readonly hasF16 = false;
  /** Number of threads, the caller's included. */
  readonly threads: number;
  readonly #memory: WebAssembly.Memory;
  readonly #kernels: Kernels;
  readonly #workers: Thread[];
  readonly #allocator: Allocator;
  readonly #programs: FinalizationRegistry<number>;
  readonly #maySleep: boolean = maySleep();
  #scratch: { address: number; bytes: number };
  #disposed = false;
  /** Whether the host's thread runs programs without the workers at present. */
  #alone = false;

  private constructor(
    { module, simd }: CompiledKernels,
    threads: number,
    makeThread: () => Thread,
  ) {
    const { memory, limit } = allocateMemory();
    this.#memory = memory;
    this.#allocator = new Allocator(memory, HEAP_START, limit);
    this.#programs = new FinalizationRegistry((start) => this.#allocator.free(start));
    this.#kernels = new WebAssembly.Instance(module, { env: { memory } })
      .exports as unknown as Kernels;
    this.#configure(threads);
    this.#setControl(
      Control.threadScratch,
      this.#allocator.allocate(threads * THREAD_SCRATCH),
    );
    this.#scratch = { address: this.#allocator.allocate(4096), bytes: 4096 };
    this.#setControl(Control.sharedScratch, this.#scratch.address);
    this.threads = threads;
    const name = simd === "relaxed" ? "relaxed SIMD" : "SIMD";
    this.description = `WebAssembly ${name}, ${threads} ${threads === 1 ? "thread" : "threads"}` +
      (isConfined ? " (the page is not cross-origin isolated)" : "");
    this.#workers = Array.from({ length: threads - 1 }, makeThread);
  }

  /**
   * Compiles the kernels and starts the workers. Call `Symbol.dispose` to end them.
   * @throws {RangeError} if `threads` is not a whole number from 1 to 64.
   * @throws {Error} if the engine has no SIMD or shared memory, or a worker cannot start.
   */
  static async create(options: WasmOptions = {}): Promise<WasmBackend> {
    const threads = options.threads ?? Math.min(DEFAULT_THREADS, await availableThreads());
    if (!Number.isInteger(threads) || threads < 1 || threads > MOST_THREADS) {
      throw new RangeError(
        `threads is ${threads}, expected a whole number from 1 to ${MOST_THREADS}.`,
      );
    }
    const kernels = await compileKernels(options.simd);
    const backend = new WasmBackend(kernels, threads, await threadMaker());
    try {
      await backend.#start(kernels.module);
      return backend;
    } catch (cause) {
      backend[Symbol.dispose]();
      if (options.threads === undefined) return WasmBackend.create({ ...options, threads: 1 });
      const why = isConfined ? ": the page is not cross-origin isolated" : "";
      throw new Error(
        `Cannot start ${threads - 1} workers for the wasm backend${why}. Use threads: 1.`,
        { cause },
      );
    }
  }

  /** Gives every worker its work; returns when all are ready. */
  async #start(module: WebAssembly.Module): Promise<void> {
    const { threads } = this;
    await Promise.all(
      this.#workers.map((worker, index) =>
        worker.start({ module, memory: this.#memory, thread: index + 1, threads })
      ),
    );
  }

  /** Bytes of memory that tensors, programs and scratch take. */
  get bytesUsed(): number {
    return this.#allocator.used;
  }

  tensor(shape: readonly number[], dtype: DType = "f32"): Tensor {
    this.#checkAlive();
    if (dtype === "f16") {
      throw new TypeError(
        "The wasm backend has no f16 tensors: use f32, or a GPU with shader-f16.",
      );
    }
    const size = sizeOf(checkShape(shape));
    return new WasmTensor(this, this.#allocator.allocate(size * 4), dtype, shape, size);
  }

  view(tensor: Tensor, offset: number, shape: readonly number[]): Tensor {
    checkView(tensor, offset, shape);
    const address = this.#own(tensor).address + offset * 4;
    return new WasmTensor(this, address, tensor.dtype, shape, sizeOf(shape));
  }

  free(tensor: Tensor): void {
    this.#allocator.free(this.#own(tensor).address);
  }

  write(tensor: Tensor, data: Float32Array | Uint32Array, offset = 0): void {
    checkWrite(tensor, data, offset);
    this.#checkAlive();
    const { address } = this.#own(tensor);
    const View = tensor.dtype === "u32" ? Uint32Array : Float32Array;
    new View(this.#memory.buffer, address, tensor.size).set(data, offset);
  }

  read(tensor: Tensor): Promise<Float32Array<ArrayBuffer>> {
    this.#checkAlive();
    const { address } = this.#own(tensor);
    const source = new Float32Array(this.#memory.buffer, address, tensor.size);
    return Promise.resolve(Float32Array.from(source));
  }

  record(build: (ops: Ops) => void): Program {
    this.#checkAlive();
    const recorder = new Recorder({
      threads: this.threads,
      address: (tensor) => this.#own(tensor).address,
    });
    build(checked(recorder));
    this.#reserveScratch(recorder.scratch);
    const { words, length } = recorder;
    const start = this.#allocator.allocate(words.length * 4);
    new Uint32Array(this.#memory.buffer, start, words.length).set(words);
    const end = start + words.length * 4;
    const program = new WasmProgram(this, length, start, end, new Pace(this.#alone));
    this.#programs.register(program, start);
    return program;
  }

  run(...programs: Program[]): void {
    for (const program of programs) this.#run(program);
  }

  #run(program: Program): void {
    this.#checkAlive();
    if (!(program instanceof WasmProgram) || program.backend !== this) {
      throw new TypeError("This program was recorded on another backend.");
    }
    if (program.length === 0) return; // workers would not see it end before the next begins
    if (this.threads === 1) return this.#kernels.run(program.start, program.end);
    const { pace } = program, { alone } = pace;
    if (alone !== this.#alone) {
      // The workers wait for the next program that is published, as between any two.
      this.#configure(alone ? 1 : this.threads);
      this.#alone = alone;
    }
    const started = performance.now();
    this.#kernels.run(program.start, program.end);
    pace.took(performance.now() - started);
  }

  finish(): Promise<void> {
    return Promise.resolve();
  }

  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#kernels.stop();
    for (const worker of this.#workers) worker.terminate();
  }

  /** Tells the host's instance how many threads share a program. */
  #configure(threads: number): void {
    this.#kernels.configure(0, threads, this.#maySleep ? 1 : 0);
  }

  #own(tensor: Tensor): WasmTensor {
    if (tensor instanceof WasmTensor && tensor.backend === this) return tensor;
    throw new TypeError("This tensor belongs to another backend.");
  }

  #checkAlive(): void {
    if (this.#disposed) throw new Error("The wasm backend was disposed of: create another.");
  }

  #setControl(word: Control, value: number): void {
    new Uint32Array(this.#memory.buffer, word, 1)[0] = value;
  }

  /** Makes the shared scratch at least so large. Programs find it through its control word. */
  #reserveScratch(bytes: number): void {
    if (bytes <= this.#scratch.bytes) return;
    this.#allocator.free(this.#scratch.address);
    this.#scratch = { address: this.#allocator.allocate(bytes), bytes };
    this.#setControl(Control.sharedScratch, this.#scratch.address);
  }
}

/** A shared memory with the highest limit that the engine grants. */
function allocateMemory(): { memory: WebAssembly.Memory; limit: number } {
  let refusal: unknown;
  for (const maximum of PAGES) {
    try {
      const memory = new WebAssembly.Memory({ initial: 16, maximum, shared: true });
      return { memory, limit: maximum * 65536 };
    } catch (error) {
      refusal = error;
    }
  }
  throw new Error(
    "Cannot reserve shared memory for the wasm backend: a page must be cross-origin isolated, " +
      "and 1 GiB of address space free.",
    { cause: refusal },
  );
}

/** Whether this thread may wait on shared memory; the main thread of a page may not. */
function maySleep(): boolean {
  try {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 1);
    return true;
  } catch {
    return false;
  }
}
