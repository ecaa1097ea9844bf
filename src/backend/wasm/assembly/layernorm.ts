// LayerNorm (Ba et al. 2016): rows are independent; the parameters' gradients sum over rows.

import { addColumnSums, rowsPerBlock } from "./elementwise";
import { laneSum, madd } from "./math";
import { barrier, nextTask, sharedScratch } from "./threads";

/** Rows of one task of the forward pass; few, so that a step of some streams is shared out. */
const ROWS: i32 = 4;

/** Words: out, mean, rstd, x, weight, bias, N, C. */
export function layernormForward(args: usize): void {
  const out = load<usize>(args), means = load<usize>(args, 4), rstds = load<usize>(args, 8);
  const x = load<usize>(args, 12), w = load<usize>(args, 16), b = load<usize>(args, 20);
  const N = load<i32>(args, 24), C = load<usize>(args, 28);
  const bytes = C * 4, whole = C / 4 * 16; // of a row; of its whole vectors
  const count = (N + ROWS - 1) / ROWS;
  for (let task = nextTask(); task < count; task = nextTask()) {
    const end = min((task + 1) * ROWS, N);
    for (let n = task * ROWS; n < end; n++) {
      const row = x + <usize> n * bytes, to = out + <usize> n * bytes;
      let sums = f32x4.splat(0), i: usize = 0;
      for (; i < whole; i += 16) sums = f32x4.add(sums, v128.load(row + i));
      let sum = laneSum(sums);
      for (; i < bytes; i += 4) sum += load<f32>(row + i);
      const mean = sum / <f32> C, shift = f32x4.splat(mean);
      sums = f32x4.splat(0);
      for (i = 0; i < whole; i += 16) {
        const d = f32x4.sub(v128.load(row + i), shift);
        sums = madd(d, d, sums);
      }
      let squares = laneSum(sums);
      for (; i < bytes; i += 4) {
        const d = load<f32>(row + i) - mean;
        squares += d * d;
      }
      const rstd: f32 = 1 / sqrt<f32>(squares / <f32> C + 1e-5), scale = f32x4.splat(rstd);
      for (i = 0; i < whole; i += 16) {
        const hat = f32x4.mul(f32x4.sub(v128.load(row + i), shift), scale);
        v128.store(to + i, madd(hat, v128.load(w + i), v128.load(b + i)));
      }
      for (; i < bytes; i += 4) {
        store<f32>(
          to + i,
          (load<f32>(row + i) - mean) * rstd * load<f32>(w + i) + load<f32>(b + i),
        );
      }
      store<f32>(means + <usize> n * 4, mean);
      store<f32>(rstds + <usize> n * 4, rstd);
    }
  }
}

/** Words: dx, dweight, dbias, dout, x, weight, mean, rstd, N, C. */
export function layernormBackward(args: usize): void {
  const dx = load<usize>(args), dw = load<usize>(args, 4), db = load<usize>(args, 8);
  const dout = load<usize>(args, 12), x = load<usize>(args, 16), w = load<usize>(args, 20);
  const means = load<usize>(args, 24), rstds = load<usize>(args, 28);
  const N = load<i32>(args, 32), C = load<usize>(args, 36), bytes = C * 4;
  const rows = rowsPerBlock(N), count = (N + rows - 1) / rows, sums = sharedScratch();
  for (let task = nextTask(); task < count; task = nextTask()) {
    const block = sums + <usize> task * 2 * bytes, end = min((task + 1) * rows, N);
    memory.fill(block, 0, 2 * bytes);
    for (let n = task * rows; n < end; n++) {
      const at = <usize> n * bytes;
      rowBackward(
        dx + at,
        block,
        dout + at,
        x + at,
        w,
        load<f32>(means + <usize> n * 4),
        load<f32>(rstds + <usize> n * 4),
        C,
      );
    }
  }
  barrier();
  addColumnSums(dw, sums, C, 2 * C, count);
  barrier();
  addColumnSums(db, sums + bytes, C, 2 * C, count);
}

/** One row; `block` receives the parameters' gradients, weights then biases, added. */
function rowBackward(
  dx: usize,
  block: usize,
  dy: usize,
  x: usize,
  w: usize,
  mean: f32,
  rstd: f32,
  C: usize,
): void {
  const bytes = C * 4, whole = C / 4 * 16;
  const shift = f32x4.splat(mean), scale = f32x4.splat(rstd);
  let sums = f32x4.splat(0), sumsHat = f32x4.splat(0), i: usize = 0;
  for (; i < whole; i += 16) {
    const d = v128.load(dy + i), hat = f32x4.mul(f32x4.sub(v128.load(x + i), shift), scale);
    const dhat = f32x4.mul(d, v128.load(w + i));
    sums = f32x4.add(sums, dhat);
    sumsHat = madd(dhat, hat, sumsHat);
    v128.store(block + i, madd(d, hat, v128.load(block + i)));
    const bias = block + bytes + i;
    v128.store(bias, f32x4.add(v128.load(bias), d));
  }
  let sum = laneSum(sums), sumHat = laneSum(sumsHat);
  for (; i < bytes; i += 4) {
    const d = load<f32>(dy + i),
      hat = (load<f32>(x + i) - mean) * rstd,
      dhat = d * load<f32>(w + i);
    sum += dhat;
    sumHat += dhat * hat;
    store<f32>(block + i, load<f32>(block + i) + d * hat);
    const bias = block + bytes + i;
    store<f32>(bias, load<f32>(bias) + d);
  }
  sum /= <f32> C;
  sumHat /= <f32> C;
  for (i = 0; i < whole; i += 16) {
    const hat = f32x4.mul(f32x4.sub(v128.load(x + i), shift), scale);
    const dhat = f32x4.mul(v128.load(dy + i), v128.load(w + i));
    const d = f32x4.sub(f32x4.sub(dhat, f32x4.splat(sum)), f32x4.mul(hat, f32x4.splat(sumHat)));
    v128.store(dx + i, madd(d, scale, v128.load(dx + i)));
  }
  for (; i < bytes; i += 4) {
    const hat = (load<f32>(x + i) - mean) * rstd, dhat = load<f32>(dy + i) * load<f32>(w + i);
    store<f32>(dx + i, load<f32>(dx + i) + (dhat - sum - hat * sumHat) * rstd);
  }
}
