// Operations on single elements: fill, add, dropout; and the sums over all of them.

import { madd } from "./math";
import { barrier, nextTask, sharedScratch, threadIndex } from "./threads";

/** Elements of one task. Sums are made of blocks of this size, whatever the number of threads. */
const BLOCK: usize = 16384;

/** Number of blocks of `size` elements. */

@inline
function blocks(size: usize): i32 {
  return <i32> ((size + BLOCK - 1) / BLOCK);
}

/** Words: x, size, value. */
export function fill(args: usize): void {
  const x = load<usize>(args), size = load<usize>(args, 4), value = load<f32>(args, 8);
  const values = f32x4.splat(value);
  for (let task = nextTask(); task < blocks(size); task = nextTask()) {
    const end = x + min((<usize> task + 1) * BLOCK, size) * 4;
    let p = x + <usize> task * BLOCK * 4;
    for (; p + 16 <= end; p += 16) v128.store(p, values);
    for (; p < end; p += 4) store<f32>(p, value);
  }
}

/** Words: out, a, b, size. */
export function add(args: usize): void {
  const out = load<usize>(args), a = load<usize>(args, 4), b = load<usize>(args, 8);
  const size = load<usize>(args, 12);
  for (let task = nextTask(); task < blocks(size); task = nextTask()) {
    const end = min((<usize> task + 1) * BLOCK, size) * 4;
    let i = <usize> task * BLOCK * 4;
    for (; i + 16 <= end; i += 16) {
      v128.store(out + i, f32x4.add(v128.load(a + i), v128.load(b + i)));
    }
    for (; i < end; i += 4) store<f32>(out + i, load<f32>(a + i) + load<f32>(b + i));
  }
}

/** One round of the PCG output permutation, as in `dropoutKeeps`. */

@inline
function hash(value: u32): u32 {
  const state = value * 747796405 + 2891336453;
  const word = ((state >> ((state >> 28) + 4)) ^ state) * 277803737;
  return (word >> 22) ^ word;
}

/** Words: x, size, keep, factor 1 / (1 − rate), seed, site. Wasm has no shift by lanes: scalars. */
export function dropout(args: usize): void {
  const x = load<usize>(args), size = load<usize>(args, 4), keep = load<u32>(args, 8);
  const factor = load<f32>(args, 12), seed = load<u32>(load<usize>(args, 16));
  const first = hash(seed ^ (load<u32>(args, 20) * 0x9e3779b9));
  for (let task = nextTask(); task < blocks(size); task = nextTask()) {
    const end = min((<usize> task + 1) * BLOCK, size);
    for (let i = <usize> task * BLOCK; i < end; i++) {
      const kept = hash(first + <u32> i) < keep;
      store<f32>(x + i * 4, select<f32>(load<f32>(x + i * 4) * factor, 0, kept));
    }
  }
}

/** Writes the sums (or sums of squares) of all blocks to shared scratch, as f64. */
function blockSums(x: usize, size: usize, squares: bool): void {
  const sums = sharedScratch();
  for (let task = nextTask(); task < blocks(size); task = nextTask()) {
    const end = x + min((<usize> task + 1) * BLOCK, size) * 4;
    let p = x + <usize> task * BLOCK * 4, low = f64x2.splat(0), high = f64x2.splat(0);
    for (; p + 16 <= end; p += 16) {
      const v = v128.load(p);
      const a = f64x2.promote_low_f32x4(v);
      const b = f64x2.promote_low_f32x4(v128.shuffle<f32>(v, v, 2, 3, 2, 3));
      low = f64x2.add(low, squares ? f64x2.mul(a, a) : a);
      high = f64x2.add(high, squares ? f64x2.mul(b, b) : b);
    }
    low = f64x2.add(low, high);
    let sum = f64x2.extract_lane(low, 0) + f64x2.extract_lane(low, 1);
    for (; p < end; p += 4) {
      const v = <f64> load<f32>(p);
      sum += squares ? v * v : v;
    }
    store<f64>(sums + <usize> task * 8, sum);
  }
  barrier();
}

/** The sum of the first `count` f64 of shared scratch. */
function total(count: i32): f64 {
  let sum: f64 = 0;
  for (let i = 0; i < count; i++) sum += load<f64>(sharedScratch() + <usize> i * 8);
  return sum;
}

/** Words: out, x, size. */
export function sum(args: usize): void {
  const out = load<usize>(args), size = load<usize>(args, 8);
  blockSums(load<usize>(args, 4), size, false);
  if (threadIndex() == 0) store<f32>(out, <f32> (<f64> load<f32>(out) + total(blocks(size))));
}

/** Words: norm, grads, size. */
export function gradientNorm(args: usize): void {
  const size = load<usize>(args, 8);
  blockSums(load<usize>(args, 4), size, true);
  if (threadIndex() == 0) store<f32>(load<usize>(args), <f32> sqrt<f64>(total(blocks(size))));
}

/** Words: dbias, dout, N, C. Rows are summed in blocks, then the blocks in their order. */
export function biasBackward(args: usize): void {
  const dbias = load<usize>(args), dout = load<usize>(args, 4);
  const N = load<i32>(args, 8), C = load<usize>(args, 12);
  const rows = rowsPerBlock(N), count = (N + rows - 1) / rows, sums = sharedScratch();
  for (let task = nextTask(); task < count; task = nextTask()) {
    const to = sums + <usize> task * C * 4, end = min((task + 1) * rows, N);
    memory.fill(to, 0, C * 4);
    for (let n = task * rows; n < end; n++) addRow(to, dout + <usize> n * C * 4, C);
  }
  barrier();
  addColumnSums(dbias, sums, C, C, count);
}

/** Rows of the blocks that columns are summed in: at most 64 blocks. */

@inline
export function rowsPerBlock(N: i32): i32 {
  return max(16, (N + 63) / 64);
}

/** to[0 … C) += from[0 … C). */

@inline
function addRow(to: usize, from: usize, C: usize): void {
  let i: usize = 0;
  for (; i + 4 <= C; i += 4) {
    const at = i * 4;
    v128.store(to + at, f32x4.add(v128.load(to + at), v128.load(from + at)));
  }
  for (; i < C; i++) store<f32>(to + i * 4, load<f32>(to + i * 4) + load<f32>(from + i * 4));
}

/** out[0 … C) += the sum of `count` rows at `sums`, `stride` elements apart, in their order. */
export function addColumnSums(out: usize, sums: usize, C: usize, stride: usize, count: i32): void {
  const WIDTH: usize = 32;
  const tasks = <i32> ((C + WIDTH - 1) / WIDTH);
  for (let task = nextTask(); task < tasks; task = nextTask()) {
    const first = <usize> task * WIDTH, end = min(first + WIDTH, C);
    for (let c = first; c < end; c++) {
      let sum: f32 = 0;
      for (let row = 0; row < count; row++) sum += load<f32>(sums + (<usize> row * stride + c) * 4);
      store<f32>(out + c * 4, load<f32>(out + c * 4) + sum);
    }
  }
}

/** Words: params, grads, m, v, size, norm, hyper, decay. The order of `hyper` is HYPER's. */
export function adamw(args: usize): void {
  const p = load<usize>(args), g = load<usize>(args, 4), m = load<usize>(args, 8);
  const v = load<usize>(args, 12), size = load<usize>(args, 16);
  const norm = load<f32>(load<usize>(args, 20)), hyper = load<usize>(args, 24);
  const decay = load<usize>(args, 28);
  const lr = load<f32>(hyper), beta1 = load<f32>(hyper, 4), beta2 = load<f32>(hyper, 8);
  const eps = load<f32>(hyper, 12), weightDecay = load<f32>(hyper, 16);
  const clip = load<f32>(hyper, 20);
  const correction1 = load<f32>(hyper, 24), correction2 = load<f32>(hyper, 28);
  const shrink: f32 = clip > 0 && norm > clip ? clip / norm : 1;
  for (let task = nextTask(); task < blocks(size); task = nextTask()) {
    const end = min((<usize> task + 1) * BLOCK, size);
    let i = <usize> task * BLOCK;
    for (; i + 4 <= end; i += 4) {
      const at = i * 4;
      const gradient = f32x4.mul(v128.load(g + at), f32x4.splat(shrink));
      const first = madd(
        f32x4.splat(beta1),
        v128.load(m + at),
        f32x4.mul(f32x4.splat(1 - beta1), gradient),
      );
      const second = madd(
        f32x4.splat(beta2),
        v128.load(v + at),
        f32x4.mul(f32x4.splat(1 - beta2), f32x4.mul(gradient, gradient)),
      );
      v128.store(m + at, first);
      v128.store(v + at, second);
      const root = f32x4.sqrt(f32x4.mul(second, f32x4.splat(correction2)));
      const update = f32x4.div(
        f32x4.mul(first, f32x4.splat(correction1)),
        f32x4.add(root, f32x4.splat(eps)),
      );
      const index = i32x4.add(i32x4.splat(<i32> i), i32x4(0, 1, 2, 3));
      const decayed = v128.and(
        i32x4.lt_u(index, i32x4.splat(<i32> decay)),
        f32x4.splat(weightDecay),
      );
      const value = v128.load(p + at);
      const step = madd(decayed, value, update);
      v128.store(p + at, f32x4.sub(value, f32x4.mul(f32x4.splat(lr), step)));
    }
    for (; i < end; i++) {
      const at = i * 4;
      const gradient = load<f32>(g + at) * shrink;
      const first = beta1 * load<f32>(m + at) + (1 - beta1) * gradient;
      const second = beta2 * load<f32>(v + at) + (1 - beta2) * gradient * gradient;
      store<f32>(m + at, first);
      store<f32>(v + at, second);
      const update = first * correction1 / (sqrt<f32>(second * correction2) + eps);
      const value = load<f32>(p + at);
      const decayed: f32 = i < decay ? weightDecay * value : 0;
      store<f32>(p + at, value - lr * (update + decayed));
    }
  }
}
