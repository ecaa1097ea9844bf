/**
 * PyTorch in a Python process of its own: a peer of the benchmarks. torch_gpt.py, beside this file,
 * is the other end.
 *
 * @module
 */

import { HYPER } from "../../../src/backend/backend.ts";
import type { Batch } from "../../../src/corpus/batches.ts";
import type { ModelConfig } from "../../../src/model/config.ts";
import { parameterLayout } from "../../../src/model/parameters.ts";
import type { TrainingState, TrainingStats } from "../../../src/trainer/engine.ts";
import type { Trainee } from "../train.ts";

/** How to start PyTorch. */
export interface TorchOptions {
  /** The Python that has it; python3 if absent. */
  python?: string;
  /** Threads on a CPU; PyTorch's own choice if absent. */
  threads?: number;
}

/** What a new process tells. */
interface Hello {
  torch: string;
  device: string;
  cuda: boolean;
}

/** A Python process that takes commands, see torch_gpt.py. */
class TorchProcess implements Disposable {
  readonly hello: Hello;
  readonly #child: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #reader: ReadableStreamDefaultReader<string>;
  readonly #folder: string;
  #rest = "";
  #files = 0;

  private constructor(child: Deno.ChildProcess, folder: string, hello: Hello) {
    this.#child = child;
    this.#writer = child.stdin.getWriter();
    this.#reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    this.#folder = folder;
    this.hello = hello;
  }

  /** @throws {Error} if there is no Python, or it has no PyTorch. */
  static async start(options: TorchOptions): Promise<TorchProcess> {
    const { python = "python3", threads = null } = options;
    const script = new URL("./torch_gpt.py", import.meta.url);
    const folder = await Deno.makeTempDir();
    const path = `${folder}/torch_gpt.py`;
    await Deno.writeTextFile(path, await Deno.readTextFile(script));
    let child: Deno.ChildProcess;
    try {
      child = new Deno.Command(python, {
        args: [path],
        stdin: "piped",
        stdout: "piped",
        stderr: "null",
      }).spawn();
    } catch {
      await Deno.remove(folder, { recursive: true });
      throw new Error(`PyTorch is not installed: there is no ${python}`);
    }
    const hello: Hello = { torch: "", device: "", cuda: false };
    const process = new TorchProcess(child, folder, hello);
    try {
      Object.assign(hello, await process.ask({ do: "hello", threads }));
    } catch (error) {
      process[Symbol.dispose]();
      throw error;
    }
    return process;
  }

  /** In words. */
  get description(): string {
    return `PyTorch ${this.hello.torch}, f32, ${this.hello.device}`;
  }

  /** A path for an array, and the array in it if there is one. */
  async file(data?: Float32Array | Uint32Array): Promise<string> {
    const path = `${this.#folder}/${this.#files++}`;
    if (data) {
      await Deno.writeFile(path, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    }
    return path;
  }

  /** Gives a command that has no answer. */
  async tell(command: { do: string } & Record<string, unknown>): Promise<void> {
    try {
      await this.#writer.write(new TextEncoder().encode(`${JSON.stringify(command)}\n`));
    } catch {
      await this.#line(); // tells why the process has ended
    }
  }

  /**
   * Gives a command and waits for its answer.
   * @throws {Error} if it, or a command without an answer before it, failed.
   */
  async ask(command: { do: string } & Record<string, unknown>): Promise<Record<string, unknown>> {
    await this.tell(command);
    return await this.#line();
  }

  async #line(): Promise<Record<string, unknown>> {
    let end: number;
    while ((end = this.#rest.indexOf("\n")) < 0) {
      const { value, done } = await this.#reader.read();
      if (done) throw new Error("PyTorch's process has ended");
      this.#rest += value;
    }
    const answer = JSON.parse(this.#rest.slice(0, end)) as Record<string, unknown>;
    this.#rest = this.#rest.slice(end + 1);
    if (typeof answer.error === "string") throw new Error(answer.error);
    return answer;
  }

  [Symbol.dispose](): void {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // it has ended already
    }
    Deno.removeSync(this.#folder, { recursive: true });
  }
}

/** Starts a process and gives it a model's shape. */
async function startModel(
  config: ModelConfig,
  compiled: boolean,
  options: TorchOptions,
): Promise<TorchProcess> {
  const process = await TorchProcess.start(options);
  const { specs, decay } = parameterLayout(config);
  if (compiled && !process.hello.cuda) {
    process[Symbol.dispose]();
    throw new Error("torch.compile is only tried where there is CUDA");
  }
  await process.tell({ do: "model", config, specs, decay, compiled });
  return process;
}

/** Trains with PyTorch on CUDA, or on the CPU without it; always clips, so `clip` must be above 0. */
export class TorchEngine implements Trainee {
  readonly description: string;
  readonly #process: TorchProcess;
  readonly #B: number;
  #batch: Batch | undefined;

  private constructor(process: TorchProcess, B: number, compiled: boolean) {
    this.#process = process;
    this.#B = B;
    this.description = process.description + (compiled ? ", compiled" : "");
  }

  /** @throws {Error} if there is no PyTorch, or `compiled` is asked for without CUDA. */
  static async create(
    config: ModelConfig,
    options: { batchSize: number; compiled: boolean } & TorchOptions,
  ): Promise<TorchEngine> {
    const { batchSize, compiled } = options;
    return new TorchEngine(await startModel(config, compiled, options), batchSize, compiled);
  }

  /** Copies parameters in; moments start at zero whatever is given. */
  async writeState({ parameters }: TrainingState): Promise<void> {
    await this.#process.ask({ do: "parameters", path: await this.#process.file(parameters) });
  }

  /** Queues a step. A batch that comes again is still on the device. */
  async trainStep(batches: Batch[], hyper: Float32Array): Promise<void> {
    if (batches.length !== 1) throw new RangeError("TorchEngine takes one batch at a time.");
    const [batch] = batches, { tokens, positions, targets, count } = batch;
    if (batch !== this.#batch) {
      const N = tokens.length, rows = new Uint32Array(3 * N);
      [tokens, positions, targets].forEach((data, i) => rows.set(data, i * N));
      const path = await this.#process.file(rows);
      await this.#process.ask({ do: "batch", path, B: this.#B, T: N / this.#B, count });
      this.#batch = batch;
    }
    const named = Object.fromEntries(
      Object.entries(HYPER).map(([name, place]) => [name, hyper[place]]),
    );
    await this.#process.tell({ do: "step", hyper: named });
  }

  async readStats(): Promise<TrainingStats> {
    const { loss, gradNorm } = await this.#process.ask({ do: "stats" });
    return { loss: loss as number, gradNorm: gradNorm as number };
  }

  [Symbol.dispose](): void {
    this.#process[Symbol.dispose]();
  }
}

/** Decodes many streams with PyTorch, all at the same position. */
export class TorchDecoder implements Disposable {
  readonly description: string;
  readonly #process: TorchProcess;

  private constructor(process: TorchProcess) {
    this.#process = process;
    this.description = process.description;
  }

  /** @throws {Error} if there is no PyTorch. */
  static async create(
    config: ModelConfig,
    parameters: Float32Array,
    options: TorchOptions,
  ): Promise<TorchDecoder> {
    const process = await startModel(config, false, options);
    await process.ask({ do: "parameters", path: await process.file(parameters) });
    return new TorchDecoder(process);
  }

  /** Puts the prompts, all of one length, into new caches; returns the logits (S, V) after them. */
  async prefill(prompts: readonly Uint32Array[]): Promise<Float32Array> {
    const [{ length }] = prompts, streams = prompts.length;
    const ids = new Uint32Array(streams * length);
    prompts.forEach((prompt, i) => ids.set(prompt, i * length));
    const logits = await this.#process.file();
    const path = await this.#process.file(ids);
    await this.#process.ask({ do: "prefill", prompts: path, streams, length, logits });
    return new Float32Array((await Deno.readFile(logits)).buffer);
  }

  /** Puts a token of every stream into the cache at `position`, then draws the likeliest. */
  async decode(tokens: Uint32Array, position: number, count: number): Promise<void> {
    await this.#process.ask({ do: "decode", tokens: [...tokens], position, count });
  }

  [Symbol.dispose](): void {
    this.#process[Symbol.dispose]();
  }
}

/** Multiplies matrices with PyTorch. */
export class TorchProducts implements Disposable {
  readonly description: string;
  readonly #process: TorchProcess;

  private constructor(process: TorchProcess) {
    this.#process = process;
    this.description = process.description;
  }

  /** @throws {Error} if there is no PyTorch. */
  static async create(options: TorchOptions): Promise<TorchProducts> {
    return new TorchProducts(await TorchProcess.start(options));
  }

  /** Keeps a product (m, k) · (k, n) and returns what multiplies it again and again. */
  async prepare(
    { m, n, k, a, b }: { m: number; n: number; k: number; a: Float32Array; b: Float32Array },
  ): Promise<{ run(times: number): Promise<void>; read(): Promise<Float32Array> }> {
    const process = this.#process, paths = [await process.file(a), await process.file(b)];
    const { product } = await process.ask({ do: "product", a: paths[0], b: paths[1], m, n, k });
    const multiply = (times: number, out: string | null) =>
      process.ask({ do: "multiply", product, times, out });
    return {
      run: async (times) => void await multiply(times, null),
      read: async () => {
        const out = await process.file();
        await multiply(1, out);
        return new Float32Array((await Deno.readFile(out)).buffer);
      },
    };
  }

  [Symbol.dispose](): void {
    this.#process[Symbol.dispose]();
  }
}
