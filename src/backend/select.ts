/**
 * Chooses and makes a backend; only the code of the one in use is loaded.
 *
 * @module
 */

import type { Backend, BackendName } from "./backend.ts";

/** What a user may ask for. */
export type BackendChoice = BackendName | "auto";

/** All that a user may ask for. */
export const BACKEND_CHOICES: readonly BackendChoice[] = ["auto", "wasm", "webgpu", "reference"];

/** Most threads of the WebAssembly backend: more have not been tried. */
export const MOST_THREADS = 64;

/** Options of {@linkcode chooseBackend}. */
export interface ChooseOptions {
  /** What the user asked for. */
  backend: BackendChoice;
  /** What for. */
  purpose: "generate" | "train";
  /** Streams that are decoded at once. Default 1. */
  streams?: number;
  /** Threads of the WebAssembly backend. Default: all cores. */
  threads?: number;
}

/** A backend and why it was chosen. */
export interface ChosenBackend {
  /** The backend. */
  backend: Backend;
  /** One clause: "asked for", or what `auto` found. */
  reason: string;
}

/**
 * Streams from which a GPU decodes faster than a CPU. A readback takes Deno at least 11.5 ms, and brings
 * a stream 13 tokens and more of a look-ahead; with steps of 1 ms, of which five in six are of use, a
 * token takes 2.1 ms, however many streams there are. In that time two cores decode a token of the
 * `small` model, with weights in 8 bits, for each of about this many streams: 16 streams take 4.1 ms.
 * The millisecond is a guess until a GPU has been measured, as `doctor` does.
 */
export const GPU_STREAMS = 8;

/**
 * Makes the backend asked for, or refuses with the reason. `auto` trains on a GPU if there is one,
 * else on WebAssembly, and generates on WebAssembly unless there are a GPU and many streams. An
 * adapter in software never counts as a GPU; whoever names `webgpu` gets it all the same.
 *
 * @throws {RangeError} if there is no such backend, or `threads` cannot be.
 * @throws {Error} saying why, if the backend cannot run here.
 */
export async function chooseBackend(options: ChooseOptions): Promise<ChosenBackend> {
  const { backend: choice, purpose, streams = 1, threads } = options;
  if (!BACKEND_CHOICES.includes(choice)) {
    throw new RangeError(
      `No backend is called "${choice}". Choose one of ${BACKEND_CHOICES.join(", ")}, tfjs.`,
    );
  }
  if (choice !== "auto") return { backend: await create(choice, threads), reason: "asked for" };
  if (purpose === "generate" && streams < GPU_STREAMS) {
    const reason = `${streams === 1 ? "one stream is" : `${streams} streams are`} ` +
      "faster on the CPU: what a GPU computes takes milliseconds to come back";
    return { backend: await create("wasm", threads), reason };
  }
  try {
    const { WebGpuBackend } = await import("./webgpu/webgpu_backend.ts");
    const backend = await WebGpuBackend.create({ allowFallback: false });
    return { backend, reason: "there is a GPU" };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return { backend: await create("wasm", threads), reason: `there is no usable GPU (${why})` };
  }
}

async function create(name: BackendName, threads?: number): Promise<Backend> {
  if (threads !== undefined && name !== "wasm") {
    throw new RangeError(`The ${name} backend has no threads to set: leave threads out.`);
  }
  switch (name) {
    case "wasm": {
      const { WasmBackend } = await import("./wasm/wasm_backend.ts");
      return await WasmBackend.create({ threads });
    }
    case "webgpu": {
      const { WebGpuBackend } = await import("./webgpu/webgpu_backend.ts");
      return await WebGpuBackend.create({ allowFallback: true });
    }
    case "reference": {
      const { ReferenceBackend } = await import("./reference/reference_backend.ts");
      return new ReferenceBackend();
    }
  }
}
