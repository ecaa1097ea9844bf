/**
 * What the service and its Worker say to each other.
 *
 * @module
 */

import type { BackendName } from "../backend/backend.ts";
import type { GenerationResult, Piece } from "../generator/generation.ts";
import type { LoadOptions } from "../generator/generator.ts";
import type { GenerateOptions } from "../generator/options.ts";
import type { ModelConfig } from "../model/config.ts";
import type { GenerationConfig } from "../model/weights.ts";

/** What to load; all of it can be sent. */
export interface LoadSettings extends Omit<LoadOptions, "weights"> {
  /** A path or a URL as text. Default: the shipped weights. */
  weights?: string;
  streams: number;
}

/** Options of a generation; all of them can be sent. */
export type JobOptions = Omit<GenerateOptions, "signal">;

/** To the Worker. */
export type ToWorker =
  | { kind: "load"; settings: LoadSettings }
  | { kind: "generate"; job: number; prompt: string; options: JobOptions }
  | { kind: "cancel"; job: number }
  | { kind: "ping" };

/** What the service needs to know of the model that the Worker has. */
export interface ModelFacts {
  config: ModelConfig;
  tokenizerJson: string;
  generation: GenerationConfig;
  backend: { name: BackendName | "tfjs"; description: string; reason: string };
  fingerprint: string;
}

/** What happens to a job. */
export type JobEvent =
  | { job: number; kind: "piece"; piece: Piece }
  | { job: number; kind: "end"; result: GenerationResult }
  /** The prompt or an option cannot be. */
  | { job: number; kind: "refused"; message: string };

/** From the Worker. */
export type FromWorker =
  | { kind: "loaded"; model: ModelFacts }
  | { kind: "failed"; message: string }
  | { kind: "events"; events: JobEvent[] }
  /** The model cannot compute any more. */
  | { kind: "broken"; message: string }
  | { kind: "pong" };
