/**
 * The state of loss scaling (Micikevicius et al. 2018). Small gradients would be zero in f16, so the
 * loss is multiplied by a factor, and AdamW divides its gradients by it. The factor is a power of two,
 * which changes nothing but exponents, and is found by trial: it grows until gradients overflow, and
 * a step that overflows is skipped. All of it happens on the device, without a readback.
 *
 * @module
 */

/** Places of the state of loss scaling in its tensor. */
export const SCALING = {
  /** What the loss, and so each gradient, is multiplied by: a power of two. */
  scale: 0,
  /** Finite steps since it last changed. */
  steps: 1,
  /** Steps skipped since the run began. */
  skipped: 2,
  /** Gradient norm of the last step that was not skipped. */
  norm: 3,
} as const;

/** Least loss scale: a step that overflows without one has diverged. */
export const MIN_LOSS_SCALE = 1;
/** Largest loss scale, 2^24: a gradient of 2^-38 is then a number that f16 has in full precision. */
export const MAX_LOSS_SCALE = 16777216;

/** The state (4) that a run starts with; 2^15 is what a mean loss over some thousand rows bears. */
export function firstLossScaling(): Float32Array<ArrayBuffer> {
  const scaling = new Float32Array(4);
  scaling[SCALING.scale] = 32768;
  return scaling;
}
