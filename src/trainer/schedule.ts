/**
 * The learning rate over a run: linear warm-up, then half a cosine (Loshchilov & Hutter 2017).
 *
 * @module
 */

/** Numbers of a schedule. */
export interface Schedule {
  /** Highest learning rate, reached at the end of the warm-up. */
  lr: number;
  /** Learning rate at the last step. */
  minLr: number;
  /** Steps of warm-up. */
  warmup: number;
  /** Steps of the whole run. */
  steps: number;
}

/** Learning rate of step `step`, counted from 0; after the last step it stays at `minLr`. */
export function learningRate({ lr, minLr, warmup, steps }: Schedule, step: number): number {
  if (step < warmup) return lr * (step + 1) / warmup;
  if (step >= steps) return minLr;
  const progress = (step - warmup) / Math.max(1, steps - warmup);
  return minLr + 0.5 * (lr - minLr) * (1 + Math.cos(Math.PI * progress));
}
