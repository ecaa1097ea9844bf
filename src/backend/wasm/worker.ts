/**
 * A thread of the wasm backend. It makes its own instance of the kernels on the shared memory,
 * answers "ready", and then runs every program until it is told to leave.
 *
 * @module
 */

import type { Kernels } from "./wasm_backend.ts";

/** What a worker is told when it starts. */
export interface WorkerStart {
  /** The compiled kernels. */
  module: WebAssembly.Module;
  /** The shared memory. */
  memory: WebAssembly.Memory;
  /** Which thread this is, from 1; the host's thread is 0. */
  thread: number;
  /** Number of threads, the host's included. */
  threads: number;
}

interface Scope {
  onmessage: ((event: MessageEvent<WorkerStart>) => void) | null;
  postMessage(message: string): void;
  close(): void;
}

// Node's workers do not have these functions as globals.
const scope =
  ("postMessage" in globalThis
    ? globalThis
    : (await import("node:worker_threads")).parentPort) as unknown as Scope;

scope.onmessage = ({ data: { module, memory, thread, threads } }) => {
  const kernels = new WebAssembly.Instance(module, { env: { memory } })
    .exports as unknown as Kernels;
  kernels.configure(thread, threads, 1);
  scope.postMessage("ready");
  kernels.work(0);
  scope.close();
};
