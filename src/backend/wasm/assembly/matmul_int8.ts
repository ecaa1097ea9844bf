// Products with a matrix of int8, the work of decoding: y = a · transpose of b.
//
// b (n, k) lies in blocks of 16 rows, and a block in quads of k: 64 bytes hold 4 columns of 16 rows.
// So a vector is 4 columns of 4 rows, one dot-product instruction adds 4 products to each of 4 rows,
// nothing is summed across lanes, and all of b is read once, in the order in which it lies.
//
// A row of `a` becomes numbers from 0 to 127, x ≈ low + step · q: the instruction takes a second
// operand of 7 bits, so that every engine means the same by it. Then
//   Σ w·x = step · scale · Σ q_w·q_x + low · Σ w,
// where the sums of products are whole numbers below 2^31 for k up to 130,000, and exact.

import { geluRow, laneMax, laneMin } from "./math";
import { Int8Flag } from "../opcodes";
import { touch } from "./prefetch";
import { barrier, nextTask, sharedScratch, threadCount, threadScratch } from "./threads";

/** Rows of `b` in a block. */
const BLOCK: usize = 16;
/** Blocks that one row of `a` meets at once: eight chains of dot products hide their latency. */
const PAIR: usize = 2;
/** Up to so many rows every thread quantizes for itself, which takes less time than a barrier. */
const OWN_ROWS: usize = 4;
/** Tasks for each thread, so that one that is held up does not hold up the others. */
const SHARE: usize = 4;
/** Bytes of a tile: the results of a row of `a` with the 16 rows of a block. */
const TILE: usize = 64;
/** 1.5 · 2^23: added to a number below 2^22, it leaves the nearest integer in the low bits. */
const ROUNDER: f32 = 12582912;

/**
 * Words: out, a, packed, scales, sums, bias, residual, m, n, k, flags. A quantized row is k bytes,
 * then its low and its step, padded to 16 bytes.
 */
export function matmulInt8(args: usize): void {
  const a = load<usize>(args, 4);
  const m = load<usize>(args, 28), n = load<usize>(args, 32), k = load<usize>(args, 36);
  const stride = quantizedBytes(k);
  let rows = threadScratch();
  if (m > OWN_ROWS) {
    rows = sharedScratch();
    for (let task = nextTask(); task < <i32> m; task = nextTask()) {
      quantizeRow(rows + <usize> task * stride, a + <usize> task * k * 4, k);
    }
    barrier();
  } else {
    for (let i: usize = 0; i < m; i++) quantizeRow(rows + i * stride, a + i * k * 4, k);
  }
  const blocks = (n + BLOCK - 1) / BLOCK;
  const shares = <usize> threadCount() * SHARE;
  const step = max<usize>(PAIR, (blocks + shares - 1) / shares + 1 & ~1);
  const tasks = <i32> ((blocks + step - 1) / step);
  for (let task = nextTask(); task < tasks; task = nextTask()) {
    const first = <usize> task * step, end = min(first + step, blocks);
    multiplyBlocks(args, rows, first, end);
  }
}

/** Bytes of a quantized row of `k` numbers. */
@inline
export function quantizedBytes(k: usize): usize {
  return k + 8 + 15 & ~15;
}

/** Blocks `first` to `end` of `b` with all rows. */
function multiplyBlocks(args: usize, rows: usize, first: usize, end: usize): void {
  const out = load<usize>(args), packed = load<usize>(args, 8), scales = load<usize>(args, 12);
  const sums = load<usize>(args, 16), bias = load<usize>(args, 20), residual = load<usize>(args, 24);
  const m = load<usize>(args, 28), n = load<usize>(args, 32), k = load<usize>(args, 36);
  const gelu = load<i32>(args, 40) & Int8Flag.gelu;
  const stride = quantizedBytes(k), bytes = k * BLOCK, line = n * 4;
  const zeros = threadScratch() + OWN_ROWS * stride; // a thread's own rows lie before
  const tiles = zeros + TILE;
  memory.fill(zeros, 0, TILE);
  for (let block = first; block < end; block++) {
    const at = packed + block * bytes, j = block * BLOCK;
    if (m > OWN_ROWS) store<i32>(tiles, touch(at, bytes)); // many rows keep other things near
    const scale = scales + j * 4, sum = sums + j * 4, added = bias ? bias + j * 4 : zeros;
    if (m == 1 && j + PAIR * BLOCK <= n && block + 1 < end) {
      const addedNext = bias ? added + TILE : zeros;
      const to = gelu ? tiles : out + j * 4, carry = residual && !gelu ? residual + j * 4 : 0;
      twoBlocks(to, rows, at, at + bytes, k, scale, sum, added, addedNext, carry);
      if (gelu) {
        finishTiles(args, tiles, j, gelu);
        finishTiles(args, tiles + TILE, j + BLOCK, gelu);
      }
      block++;
      continue;
    }
    // What is to go through GELU, and the last columns, come into tiles first.
    const isDirect = j + BLOCK <= n && !gelu, step = isDirect ? line : TILE;
    let to = isDirect ? out + j * 4 : tiles, carry = isDirect && residual ? residual + j * 4 : 0;
    const skip = carry ? line : 0;
    let i: usize = 0;
    for (; i + 2 <= m; i += 2) {
      const row = rows + i * stride;
      twoRows(to, to + step, row, row + stride, at, k, scale, sum, added, carry, carry + skip);
      to += 2 * step;
      carry += 2 * skip;
    }
    if (i < m) oneBlock(to, rows + i * stride, at, k, scale, sum, added, carry);
    if (!isDirect) finishTiles(args, tiles, j, gelu);
  }
}

/** sum + the products of four int8 of `w` and four 7-bit numbers of `x`, in each of four lanes. */
@inline
export function dots(w: v128, x: v128, sum: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return i32x4.relaxed_dot_i8x16_i7x16_add_s(w, x, sum);
  const low = i32x4.extadd_pairwise_i16x8_s(i16x8.extmul_low_i8x16_s(w, x));
  const high = i32x4.extadd_pairwise_i16x8_s(i16x8.extmul_high_i8x16_s(w, x));
  const even = v128.shuffle<i32>(low, high, 0, 2, 4, 6);
  const odd = v128.shuffle<i32>(low, high, 1, 3, 5, 7);
  return i32x4.add(sum, i32x4.add(even, odd));
}

/** One row with 32 rows of `b`. */
function twoBlocks(
  to: usize,
  row: usize,
  b: usize,
  next: usize,
  k: usize,
  scales: usize,
  sums: usize,
  bias: usize,
  biasNext: usize,
  carry: usize,
): void {
  let s0 = i32x4.splat(0), s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0, s6 = s0, s7 = s0;
  for (const end = row + k; row < end; row += 4) {
    const x = v128.load32_splat(row);
    s0 = dots(v128.load(b), x, s0);
    s1 = dots(v128.load(b, 16), x, s1);
    s2 = dots(v128.load(b, 32), x, s2);
    s3 = dots(v128.load(b, 48), x, s3);
    s4 = dots(v128.load(next), x, s4);
    s5 = dots(v128.load(next, 16), x, s5);
    s6 = dots(v128.load(next, 32), x, s6);
    s7 = dots(v128.load(next, 48), x, s7);
    b += 64;
    next += 64;
  }
  finishRow(to, row, scales, sums, bias, carry, s0, s1, s2, s3);
  const carryNext = carry ? carry + TILE : 0;
  finishRow(to + TILE, row, scales + TILE, sums + TILE, biasNext, carryNext, s4, s5, s6, s7);
}

/** One row with 16 rows of `b`. */
function oneBlock(
  to: usize,
  row: usize,
  b: usize,
  k: usize,
  scales: usize,
  sums: usize,
  bias: usize,
  carry: usize,
): void {
  let s0 = i32x4.splat(0), s1 = s0, s2 = s0, s3 = s0;
  for (const end = row + k; row < end; row += 4) {
    const x = v128.load32_splat(row);
    s0 = dots(v128.load(b), x, s0);
    s1 = dots(v128.load(b, 16), x, s1);
    s2 = dots(v128.load(b, 32), x, s2);
    s3 = dots(v128.load(b, 48), x, s3);
    b += 64;
  }
  finishRow(to, row, scales, sums, bias, carry, s0, s1, s2, s3);
}

/** Two rows with 16 rows of `b`, which is read once for both. */
function twoRows(
  to: usize,
  toOther: usize,
  row: usize,
  other: usize,
  b: usize,
  k: usize,
  scales: usize,
  sums: usize,
  bias: usize,
  carry: usize,
  carryOther: usize,
): void {
  let s0 = i32x4.splat(0), s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0, s6 = s0, s7 = s0;
  for (const end = row + k; row < end; row += 4) {
    const x = v128.load32_splat(row), y = v128.load32_splat(other);
    let w = v128.load(b);
    s0 = dots(w, x, s0);
    s4 = dots(w, y, s4);
    w = v128.load(b, 16);
    s1 = dots(w, x, s1);
    s5 = dots(w, y, s5);
    w = v128.load(b, 32);
    s2 = dots(w, x, s2);
    s6 = dots(w, y, s6);
    w = v128.load(b, 48);
    s3 = dots(w, x, s3);
    s7 = dots(w, y, s7);
    other += 4;
    b += 64;
  }
  finishRow(to, row, scales, sums, bias, carry, s0, s1, s2, s3);
  finishRow(toOther, other, scales, sums, bias, carryOther, s4, s5, s6, s7);
}

/**
 * Turns the sums of a row with a block into 16 columns at `to`. `factors` are the row's low and step;
 * `carry` is added last, unless it is 0. Behind the last column, scales and the like are read from what
 * fills up their storage.
 */
@inline
function finishRow(
  to: usize,
  factors: usize,
  scales: usize,
  sums: usize,
  bias: usize,
  carry: usize,
  s0: v128,
  s1: v128,
  s2: v128,
  s3: v128,
): void {
  const low = v128.load_splat<f32>(factors), step = v128.load_splat<f32>(factors, 4);
  let y0 = finished(s0, step, low, scales, sums, bias);
  let y1 = finished(s1, step, low, scales + 16, sums + 16, bias + 16);
  let y2 = finished(s2, step, low, scales + 32, sums + 32, bias + 32);
  let y3 = finished(s3, step, low, scales + 48, sums + 48, bias + 48);
  if (carry) {
    y0 = f32x4.add(y0, v128.load(carry));
    y1 = f32x4.add(y1, v128.load(carry, 16));
    y2 = f32x4.add(y2, v128.load(carry, 32));
    y3 = f32x4.add(y3, v128.load(carry, 48));
  }
  v128.store(to, y0);
  v128.store(to, y1, 16);
  v128.store(to, y2, 32);
  v128.store(to, y3, 48);
}

/** Four columns of a row: step · scale · sums of products + low · sums of weights + bias. */
@inline
function finished(
  products: v128,
  step: v128,
  low: v128,
  scales: usize,
  sums: usize,
  bias: usize,
): v128 {
  const scaled = f32x4.mul(f32x4.mul(f32x4.convert_i32x4_s(products), step), v128.load(scales));
  return f32x4.add(f32x4.add(scaled, f32x4.mul(low, v128.load(sums))), v128.load(bias));
}

/** Takes the tiles of columns from `j` on, one for each row, through GELU if wanted and into `out`. */
function finishTiles(args: usize, tiles: usize, j: usize, gelu: i32): void {
  const m = load<usize>(args, 28), n = load<usize>(args, 32), size = m * TILE;
  const residual = load<usize>(args, 24), bytes = min(BLOCK, n - j) * 4, whole = bytes & ~15;
  if (gelu) geluRow(tiles, tiles + size + TILE, size); // behind may lie the next block's tile
  let to = load<usize>(args) + j * 4, carry = residual + j * 4;
  for (let tile = tiles; tile < tiles + size; tile += TILE) {
    let c: usize = 0;
    for (; c < whole; c += 16) {
      let y = v128.load(tile + c);
      if (residual) y = f32x4.add(y, v128.load(carry + c));
      v128.store(to + c, y);
    }
    for (; c < bytes; c += 4) {
      let y = load<f32>(tile + c);
      if (residual) y += load<f32>(carry + c);
      store<f32>(to + c, y);
    }
    to += n * 4;
    carry += n * 4;
  }
}

/**
 * Quantizes `k` numbers, a multiple of 4. If they are all the same, step and all q are 0; a NaN among
 * them makes `low` NaN, which the result then shows.
 */
function quantizeRow(to: usize, from: usize, k: usize): void {
  let lowest = v128.load(from), highest = lowest, nan = f32x4.splat(0);
  const zero = nan, bytes = k * 4;
  for (let at: usize = 0; at < bytes; at += 16) {
    const x = v128.load(from + at);
    lowest = f32x4.pmin(lowest, x);
    highest = f32x4.pmax(highest, x);
    nan = f32x4.add(nan, f32x4.mul(x, zero));
  }
  const low = laneMin(lowest), range = laneMax(highest) - low;
  const step = range / 127, inverse: f32 = range > 0 ? 127 / range : 0;
  store<f32>(to + k, low + f32x4.extract_lane(nan, 0) + f32x4.extract_lane(nan, 1) +
    f32x4.extract_lane(nan, 2) + f32x4.extract_lane(nan, 3));
  store<f32>(to + k, step, 4);
  const shift = f32x4.splat(low), factor = f32x4.splat(inverse), rounder = f32x4.splat(ROUNDER);
  const mask = i32x4.splat(0x7f);
  for (let at: usize = 0; at < bytes; at += 16) {
    const q = f32x4.add(f32x4.mul(f32x4.sub(v128.load(from + at), shift), factor), rounder);
    const halves = i16x8.narrow_i32x4_u(v128.and(q, mask), zero);
    v128.store32_lane(to + at / 4, i8x16.narrow_i16x8_u(halves, zero), 0);
  }
}
