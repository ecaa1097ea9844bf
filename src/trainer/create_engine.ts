/**
 * Chooses and makes what computes training steps.
 *
 * @module
 */

import type { Precision } from "../backend/backend.ts";
import type { ModelConfig } from "../model/config.ts";
import { BackendEngine, type TrainingEngine } from "./engine.ts";
import { loadTfjsEngine } from "../tfjs/load.ts";

/** Backends that can train. */
export type TrainingBackend = "auto" | "wasm" | "webgpu" | "reference" | "tfjs";

/**
 * Makes the engine of a backend; only its code is loaded.
 * @throws {RangeError} if there is no such backend.
 * @throws {TypeError} if precision is f16 and the backend has only f32.
 * @throws {Error} saying why, if the backend cannot run here.
 */
export async function createEngine(
  name: TrainingBackend,
  config: ModelConfig,
  settings: {
    batchSize: number;
    sequenceLength: number;
    dropout: number;
    precision: Precision;
  },
  threads?: number,
): Promise<TrainingEngine> {
  if (name === "tfjs") {
    if (settings.precision === "f16") {
      throw new TypeError("The tfjs backend trains in f32 only: use f32, or the webgpu backend.");
    }
    const { TfjsEngine } = await loadTfjsEngine();
    return await TfjsEngine.create(config, settings);
  }
  const { chooseBackend } = await import("../backend/select.ts");
  const { backend } = await chooseBackend({ backend: name, purpose: "train", threads });
  try {
    return await BackendEngine.create(backend, config, settings);
  } catch (error) {
    backend[Symbol.dispose]();
    throw error;
  }
}
