/**
 * The numbers that the `adamw` op reads at each step.
 *
 * @module
 */

import { HYPER } from "../backend/backend.ts";

/** AdamW's constants over a run. */
export interface AdamwOptions {
  /** Decay of the first moment. */
  beta1: number;
  /** Decay of the second moment. */
  beta2: number;
  /** Added to the root of the second moment. */
  eps: number;
  /** Decoupled weight decay, of matrices only. */
  weightDecay: number;
  /** Largest gradient norm; 0 for no clipping. */
  clip: number;
}

/** The `hyper` tensor (8) of step `step`, counted from 0, at learning rate `lr`. */
export function adamwHyper(
  options: AdamwOptions,
  lr: number,
  step: number,
): Float32Array<ArrayBuffer> {
  const hyper = new Float32Array(8);
  hyper[HYPER.lr] = lr;
  hyper[HYPER.beta1] = options.beta1;
  hyper[HYPER.beta2] = options.beta2;
  hyper[HYPER.eps] = options.eps;
  hyper[HYPER.weightDecay] = options.weightDecay;
  hyper[HYPER.clip] = options.clip;
  hyper[HYPER.correction1] = 1 / (1 - options.beta1 ** (step + 1));
  hyper[HYPER.correction2] = 1 / (1 - options.beta2 ** (step + 1));
  return hyper;
}
