/**
 * The flags that say what computes the model, checked before anything is loaded.
 *
 * @module
 */

import { BACKEND_CHOICES, MOST_THREADS } from "../backend/select.ts";
import { type InferenceChoice, type Precision, PRECISIONS } from "../generator/engine.ts";
import type { Flags } from "./flags.ts";
import { UsageError } from "./usage.ts";

/** What computes the model; what was not given is left to the library. */
export interface EngineFlags {
  backend?: InferenceChoice;
  precision?: Precision;
  threads?: number;
}

/**
 * Reads `--backend`, `--precision` and `--threads`, as far as the subcommand has them.
 * @throws {UsageError} if one cannot be, or the backend has no threads or no such precision.
 */
export function engineFlags(flags: Flags): EngineFlags {
  const backend = oneOf<InferenceChoice>(flags, "backend", [...BACKEND_CHOICES, "tfjs"]);
  const precision = oneOf(flags, "precision", PRECISIONS);
  const threads = checkThreads(flags.whole("threads"));
  if (threads !== undefined && !["auto", "wasm"].includes(backend ?? "auto")) {
    throw new UsageError(`The ${backend} backend has no threads to set: leave --threads out.`);
  }
  if (backend === "tfjs" && precision === "int8") {
    throw new UsageError("The tfjs backend computes in f32 only: leave --precision out.");
  }
  return { backend, precision, threads };
}

/**
 * Gives back what `--threads` says.
 * @throws {UsageError} if so many threads cannot be.
 */
export function checkThreads(threads: number | undefined): number | undefined {
  if (threads === undefined || threads >= 1 && threads <= MOST_THREADS) return threads;
  throw new UsageError(
    `--threads is ${threads}, expected a whole number from 1 to ${MOST_THREADS}.`,
  );
}

function oneOf<Name extends string>(
  flags: Flags,
  flag: string,
  names: readonly Name[],
): Name | undefined {
  const given = flags.text(flag);
  const name = names.find((name) => name === given);
  if (given === undefined || name !== undefined) return name;
  throw new UsageError(`--${flag} is ${given}, expected one of ${names.join(", ")}.`);
}
