// Softmax cross-entropy with its gradient, in place.

import { expOne, expRow, laneMax, laneSum, log } from "./math";
import { nextTask } from "./threads";

const IGNORED: u32 = 0xffffffff;

/**
 * Words: losses, logits, targets, scale, R, V. A task is a row.
 * A target outside the vocabulary gives a loss of NaN.
 */
export function crossEntropy(args: usize): void {
  const losses = load<usize>(args), logits = load<usize>(args, 4), targets = load<usize>(args, 8);
  const scale = load<f32>(load<usize>(args, 12));
  const R = load<i32>(args, 16), V = load<u32>(args, 20), bytes = <usize> V * 4;
  for (let r = nextTask(); r < R; r = nextTask()) {
    const row = logits + <usize> r * bytes, target = load<u32>(targets + <usize> r * 4);
    const loss = losses + <usize> r * 4;
    if (target == IGNORED) {
      store<f32>(loss, 0);
      memory.fill(row, 0, bytes);
    } else {
      store<f32>(loss, target < V ? rowLoss(row, bytes, <usize> target * 4, scale) : f32.NaN);
    }
  }
}

/** The loss of a row whose target stands at byte `target`; the row becomes its gradient. */
function rowLoss(row: usize, bytes: usize, target: usize, scale: f32): f32 {
  const whole = bytes & ~15;
  // A NaN may be passed over here; its exponential below is NaN all the same.
  let i: usize = 0, m0 = f32x4.splat(-Infinity), m1 = m0;
  for (; i + 32 <= whole; i += 32) {
    m0 = f32x4.pmax(m0, v128.load(row + i));
    m1 = f32x4.pmax(m1, v128.load(row + i, 16));
  }
  if (i < whole) {
    m0 = f32x4.pmax(m0, v128.load(row + i));
    i += 16;
  }
  let highest = laneMax(f32x4.pmax(m0, m1));
  for (; i < bytes; i += 4) highest = max(highest, load<f32>(row + i));
  const atTarget = load<f32>(row + target);

  let total = laneSum(expRow(row, row, whole, 1, highest));
  for (i = whole; i < bytes; i += 4) {
    const e = expOne(load<f32>(row + i) - highest);
    store<f32>(row + i, e);
    total += e;
  }

  const factor = scale / total, factors = f32x4.splat(factor);
  const gradient = (load<f32>(row + target) / total - 1) * scale;
  for (i = 0; i < whole; i += 16) v128.store(row + i, f32x4.mul(v128.load(row + i), factors));
  for (; i < bytes; i += 4) store<f32>(row + i, load<f32>(row + i) * factor);
  store<f32>(row + target, gradient);
  return <f32> (<f64> highest + log(total) - <f64> atTarget);
}
