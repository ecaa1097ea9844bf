/**
 * The numbers of a training run, their defaults and their ranges.
 *
 * @module
 */

import type { ModelConfig } from "../model/config.ts";
import type { AdamwOptions } from "./adamw.ts";
import type { Schedule } from "./schedule.ts";

/** Numbers of a run; a checkpoint keeps them. */
export interface TrainingSettings extends Schedule, AdamwOptions {
  /** B, sequences of a batch. */
  batchSize: number;
  /** T, tokens of a sequence, at most the model's context. */
  sequenceLength: number;
  /** Batches whose gradients are summed in one step. */
  gradAccum: number;
  /** Probability of dropping an element, in [0, 1). */
  dropout: number;
  /** Decides first values, order and dropout. */
  seed: number;
  /**
   * How activations and their gradients are stored, f32 unless given. `f16` takes about half the
   * memory and traffic, on WebGPU only; sums, parameters and moments are f32 all the same.
   */
  precision: "f32" | "f16";
}

/** What checkpoints of older releases, which do not name it, were trained with. */
export const OLDER_SETTINGS = { precision: "f32" } as const;

/** The settings of a run where only some are given. */
export function withDefaults(
  options: Partial<TrainingSettings>,
  config: ModelConfig,
): TrainingSettings {
  const lr = options.lr ?? 3e-4;
  const steps = options.steps ?? 1000;
  return {
    lr,
    minLr: options.minLr ?? lr / 10,
    warmup: options.warmup ?? Math.min(100, Math.floor(steps / 10)),
    steps,
    beta1: options.beta1 ?? 0.9,
    beta2: options.beta2 ?? 0.95,
    eps: options.eps ?? 1e-8,
    weightDecay: options.weightDecay ?? 0.1,
    clip: options.clip ?? 1,
    batchSize: options.batchSize ?? 8,
    sequenceLength: options.sequenceLength ?? config.contextLength,
    gradAccum: options.gradAccum ?? 1,
    dropout: options.dropout ?? 0,
    seed: options.seed ?? 0,
    precision: options.precision ?? "f32",
  };
}

type NumberSetting = Exclude<keyof TrainingSettings, "precision">;

/**
 * Returns settings that a run can have.
 * @throws {RangeError} naming the first that is out of its range.
 */
export function checkSettings(settings: TrainingSettings, config: ModelConfig): TrainingSettings {
  const whole = (name: NumberSetting, low: number, high: number): void => {
    const value = settings[name];
    if (!Number.isInteger(value) || value < low || value > high) {
      throw new RangeError(`${name} is ${value}, expected a whole number from ${low} to ${high}.`);
    }
  };
  const real = (name: NumberSetting, low: number, below: number): void => {
    const value = settings[name];
    if (!(value >= low && value < below)) {
      throw new RangeError(`${name} is ${value}, expected a number from ${low} to below ${below}.`);
    }
  };
  whole("batchSize", 1, 4096);
  whole("sequenceLength", 1, config.contextLength);
  whole("gradAccum", 1, 65536);
  whole("steps", 1, Number.MAX_SAFE_INTEGER);
  whole("warmup", 0, Number.MAX_SAFE_INTEGER);
  whole("seed", 0, Number.MAX_SAFE_INTEGER);
  real("lr", 0, 10);
  real("minLr", 0, 10);
  real("beta1", 0, 1);
  real("beta2", 0, 1);
  real("eps", 0, 1);
  real("weightDecay", 0, 10);
  real("clip", 0, 1e9);
  real("dropout", 0, 1);
  if (settings.precision !== "f32" && settings.precision !== "f16") {
    throw new RangeError(`precision is ${settings.precision}, expected f32 or f16.`);
  }
  return settings;
}
