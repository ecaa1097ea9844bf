/**
 * Threads for the wasm backend: workers of the web, as Deno and browsers have them, or of Node.
 *
 * @module
 */

import type { WorkerStart } from "./worker.ts";

/** A thread besides the host's. */
export interface Thread {
  /** Gives the worker its work; returns when it is ready. */
  start(work: WorkerStart): Promise<void>;
  /** Ends it, whatever it is doing. */
  terminate(): void;
}

/** Whether this is a page, or a worker of one, that may not share memory with its workers. */
export const isConfined: boolean = globalThis.crossOriginIsolated === false;

/** How many threads, the host's included, can run at once here. */
export async function availableThreads(): Promise<number> {
  if (isConfined) return 1;
  const { hardwareConcurrency } = globalThis.navigator ?? {};
  if (hardwareConcurrency !== undefined || !("process" in globalThis)) {
    return hardwareConcurrency ?? 1;
  }
  // Node before 21 has no navigator.
  const { availableParallelism } = await import("node:os");
  return availableParallelism();
}

/** What makes threads here; from then on each is loading. */
export async function threadMaker(): Promise<() => Thread> {
  if (typeof Worker !== "undefined") return webThread;
  const { Worker: NodeWorker } = await import("node:worker_threads");
  return () => {
    const worker = new NodeWorker(new URL("./worker.ts", import.meta.url));
    return {
      start: (work) =>
        new Promise((resolve, reject) => {
          worker.once("error", reject);
          worker.once("message", () => {
            // Who forgets to dispose of the model can still come to an end.
            worker.unref();
            resolve();
          });
          worker.postMessage(work);
        }),
      terminate: () => void worker.terminate(),
    };
  };
}

function webThread(): Thread {
  const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
  return {
    start: (work) =>
      new Promise((resolve, reject) => {
        worker.onmessage = () => resolve();
        worker.onerror = (event) => {
          event.preventDefault();
          reject(new Error(event.message));
        };
        worker.postMessage(work);
      }),
    terminate: () => worker.terminate(),
  };
}
