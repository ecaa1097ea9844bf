// Products of very few rows with a matrix, the work of decoding: the matrix is read once, as it
// lies, and its reading is all that counts.

import { laneSum, laneSums, madd } from "./math";
import { storeTile } from "./matmul";
import { nextTask, threadScratch } from "./threads";

/** Columns of one task of `matvec`: eight chains of multiply-adds, two cache lines of every row. */
const WIDTH: usize = 32;
/** Rows of the transposed matrix in one task of `matvecTransposed`; they fit the first-level cache. */
const LINES: usize = 16;

/** out (m, n) = a (m, k) · b (k, n), then the epilogue of `args`. */
export function matvec(args: usize, a: usize, b: usize, m: usize, n: usize, k: usize): void {
  const tile = threadScratch(), tasks = <i32> ((n + WIDTH - 1) / WIDTH);
  for (let task = nextTask(); task < tasks; task = nextTask()) {
    const j = <usize> task * WIDTH, columns = min(WIDTH, n - j);
    for (let i: usize = 0; i < m; i++) {
      const row = a + i * k * 4, from = b + j * 4;
      if (columns == WIDTH) wideColumns(tile, row, from, n * 4, k);
      else {
        let c: usize = 0;
        for (; c + 4 <= columns; c += 4) fourColumns(tile + c * 4, row, from + c * 4, n * 4, k);
        for (; c < columns; c++) oneColumn(tile + c * 4, row, from + c * 4, n * 4, k);
      }
      storeTile(args, tile, i, 1, j, columns, true, true);
    }
  }
}

function wideColumns(to: usize, row: usize, from: usize, stride: usize, k: usize): void {
  let s0 = f32x4.splat(0), s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0, s6 = s0, s7 = s0;
  for (const end = row + k * 4; row < end; row += 4) {
    const x = v128.load_splat<f32>(row);
    s0 = madd(x, v128.load(from), s0);
    s1 = madd(x, v128.load(from, 16), s1);
    s2 = madd(x, v128.load(from, 32), s2);
    s3 = madd(x, v128.load(from, 48), s3);
    s4 = madd(x, v128.load(from, 64), s4);
    s5 = madd(x, v128.load(from, 80), s5);
    s6 = madd(x, v128.load(from, 96), s6);
    s7 = madd(x, v128.load(from, 112), s7);
    from += stride;
  }
  v128.store(to, s0);
  v128.store(to, s1, 16);
  v128.store(to, s2, 32);
  v128.store(to, s3, 48);
  v128.store(to, s4, 64);
  v128.store(to, s5, 80);
  v128.store(to, s6, 96);
  v128.store(to, s7, 112);
}

function fourColumns(to: usize, row: usize, from: usize, stride: usize, k: usize): void {
  let sums = f32x4.splat(0);
  for (const end = row + k * 4; row < end; row += 4) {
    sums = madd(v128.load_splat<f32>(row), v128.load(from), sums);
    from += stride;
  }
  v128.store(to, sums);
}

function oneColumn(to: usize, row: usize, from: usize, stride: usize, k: usize): void {
  let sum: f32 = 0;
  for (const end = row + k * 4; row < end; row += 4) {
    sum += load<f32>(row) * load<f32>(from);
    from += stride;
  }
  store<f32>(to, sum);
}

/** out (m, n) = a (m, k) · transpose of b (n, k), then the epilogue of `args`. */
export function matvecTransposed(
  args: usize,
  a: usize,
  b: usize,
  m: usize,
  n: usize,
  k: usize,
): void {
  const tile = threadScratch(), tasks = <i32> ((n + LINES - 1) / LINES);
  for (let task = nextTask(); task < tasks; task = nextTask()) {
    const j = <usize> task * LINES, lines = min(LINES, n - j);
    for (let i: usize = 0; i < m; i++) {
      const row = a + i * k * 4;
      let c: usize = 0;
      for (; c + 4 <= lines; c += 4) fourDots(tile + c * 4, row, b + (j + c) * k * 4, k);
      for (; c < lines; c++) store<f32>(tile + c * 4, dot(row, b + (j + c) * k * 4, k));
      storeTile(args, tile, i, 1, j, lines, true, true);
    }
  }
}

/** Four dot products of `row` with four rows of `b`. */
function fourDots(to: usize, row: usize, b: usize, k: usize): void {
  const whole = k & ~3, stride = k * 4;
  let s0 = f32x4.splat(0), s1 = s0, s2 = s0, s3 = s0, p = b;
  let at = row;
  for (const end = row + whole * 4; at < end; at += 16) {
    const x = v128.load(at);
    s0 = madd(x, v128.load(p), s0);
    s1 = madd(x, v128.load(p + stride), s1);
    s2 = madd(x, v128.load(p + 2 * stride), s2);
    s3 = madd(x, v128.load(p + 3 * stride), s3);
    p += 16;
  }
  let sums = laneSums(s0, s1, s2, s3);
  for (let l = whole; l < k; l++) {
    const column = f32x4(
      load<f32>(p),
      load<f32>(p + stride),
      load<f32>(p + 2 * stride),
      load<f32>(p + 3 * stride),
    );
    sums = madd(v128.load_splat<f32>(at), column, sums);
    at += 4;
    p += 4;
  }
  v128.store(to, sums);
}

/** The dot product of `k` numbers at `a` and `b`. */
export function dot(a: usize, b: usize, k: usize): f32 {
  const end = a + (k & ~3) * 4, last = a + k * 4;
  let sums = f32x4.splat(0);
  for (; a < end; a += 16) {
    sums = madd(v128.load(a), v128.load(b), sums);
    b += 16;
  }
  let sum = laneSum(sums);
  for (; a < last; a += 4) {
    sum += load<f32>(a) * load<f32>(b);
    b += 4;
  }
  return sum;
}
