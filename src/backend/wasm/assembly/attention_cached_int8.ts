// Attention of new rows over a key/value cache of 8-bit numbers.
//
// Keys of 16 positions lie as a block of a matrix in matmul_int8.ts: 64 bytes are 4 columns of 16
// positions. Values lie the other way: 64 bytes are 16 columns of 4 positions. So one dot-product
// instruction adds 4 columns to each of 4 scores, or 4 positions to each of 4 columns of the result,
// and nothing is summed across lanes.
//
// The other factor of a product, the query or the softmax's weights, is rounded to 14 bits and given
// to the instruction in two halves of 7 bits, as it wants them: x = low + step · (128 · upper + lower).
// Of weights that differ by orders of magnitude 7 bits would lose the small ones, which together count.

import { expRow, laneMax, laneMin, laneSum } from "./math";
import { dots } from "./matmul_int8";
import { touch } from "./prefetch";
import { barrier, nextTask, sharedScratch, threadIndex } from "./threads";

/** Positions in a block of keys. */
const BLOCK: usize = 16;
/** Up to so many rows a step's keys and values are near the processor anyway. */
const NEAR_ROWS: usize = 4;
/** Position of a row that takes no part. */
const INACTIVE: usize = 0xffffffff;
/** 1.5 · 2^23: added to a number below 2^22, it leaves the nearest integer in the low bits. */
const ROUNDER: f32 = 12582912;
/** The same as an integer. */
const ROUNDER_BITS: i32 = 0x4b400000;
/** Largest number of 14 bits. */
const MOST: f32 = 16383;

/**
 * Words: out, qkv, keys, values, factors, positions, slots, N, NH, HS, S, L, bytes of shared scratch
 * for one thread: 6 L + 2 HS + 4. `factors` (S, NH, 3, L) holds each key's scale, its scale times its sum,
 * and each value's scale. A row whose slot or position is outside the cache stores nothing and gets NaN.
 */
export function attentionCachedInt8(args: usize): void {
  const out = load<usize>(args), qkv = load<usize>(args, 4), keys = load<usize>(args, 8);
  const values = load<usize>(args, 12), factors = load<usize>(args, 16);
  const positions = load<usize>(args, 20), slots = load<usize>(args, 24), N = load<usize>(args, 28);
  const NH = load<usize>(args, 32), HS = load<usize>(args, 36), S = load<usize>(args, 40);
  const L = load<usize>(args, 44), bytes = HS * 4, C = NH * bytes; // of a head; of a row
  const scratch = sharedScratch() + <usize> threadIndex() * load<usize>(args, 48);

  for (let task = nextTask(); task < <i32> N; task = nextTask()) {
    const n = <usize> task,
      position = load<usize>(positions + n * 4),
      slot = load<usize>(slots + n * 4);
    if (position >= L || slot >= S) continue;
    const from = qkv + n * 3 * C + C;
    for (let h: usize = 0; h < NH; h++) {
      const head = slot * NH + h, factor = factors + (head * 3 * L + position) * 4;
      const at = head * L * HS;
      storeKey(keys + at, position, factor, factor + L * 4, from + h * bytes, HS);
      storeValue(values + at, position, factor + L * 8, from + C + h * bytes, HS);
    }
  }
  barrier();
  for (let task = nextTask(); task < <i32> (N * NH); task = nextTask()) {
    const n = <usize> task / NH, h = <usize> task % NH;
    const position = load<usize>(positions + n * 4), slot = load<usize>(slots + n * 4);
    const to = out + n * C + h * bytes;
    if (position == INACTIVE) memory.fill(to, 0, bytes);
    else if (position >= L || slot >= S) {
      for (let i: usize = 0; i < bytes; i += 4) store<f32>(to + i, f32.NaN);
    } else {
      const head = slot * NH + h, at = head * L * HS, factor = factors + head * 3 * L * 4;
      const query = scratch + 6 * L, total = position + 1, seen = query + 2 * HS;
      if (N > NEAR_ROWS) {
        store<i32>(seen, touch(keys + at, total * HS) ^ touch(factor, total * 4));
      }
      const highest = scoreKeys(
        scratch, query, qkv + n * 3 * C + h * bytes, keys + at, factor, total, L, HS,
      );
      const scale = roundWeights(scratch, factor + L * 8, highest, total, L);
      if (N > NEAR_ROWS) store<i32>(seen, touch(values + at, total * HS));
      sumValues(to, scratch + 4 * L, values + at, scale, total, L, HS);
    }
  }
}

/** Largest magnitude of `bytes` of numbers; NaN if one is NaN or infinite. */
@inline
function magnitude(from: usize, bytes: usize): f32 {
  let most = f32x4.splat(0), nan = most;
  const zero = most;
  for (let at: usize = 0; at < bytes; at += 16) {
    const x = v128.load(from + at);
    most = f32x4.pmax(most, f32x4.abs(x));
    nan = f32x4.add(nan, f32x4.mul(x, zero));
  }
  return laneMax(most) + laneSum(nan);
}

/** Rounds a key to 8 bits and stores it, its scale, and its scale times its sum. */
function storeKey(
  keys: usize,
  position: usize,
  scaleTo: usize,
  sumTo: usize,
  from: usize,
  HS: usize,
): void {
  const bytes = HS * 4, most = magnitude(from, bytes), inverse: f32 = most > 0 ? 127 / most : 0;
  const factor = f32x4.splat(inverse), rounder = f32x4.splat(ROUNDER), mask = i32x4.splat(0xff);
  const bias = i32x4.splat(ROUNDER_BITS), zero = i32x4.splat(0);
  let to = keys + (position & ~(BLOCK - 1)) * HS + position % BLOCK * 4, sums = zero;
  for (let at: usize = 0; at < bytes; at += 16) {
    const q = f32x4.add(f32x4.mul(v128.load(from + at), factor), rounder);
    sums = i32x4.add(sums, i32x4.sub(q, bias));
    const halves = i16x8.narrow_i32x4_u(v128.and(q, mask), zero);
    v128.store32_lane(to, i8x16.narrow_i16x8_u(halves, zero), 0);
    to += 4 * BLOCK;
  }
  const sum = i32x4.extract_lane(sums, 0) + i32x4.extract_lane(sums, 1) +
    i32x4.extract_lane(sums, 2) + i32x4.extract_lane(sums, 3);
  const scale = most / 127;
  store<f32>(scaleTo, scale);
  store<f32>(sumTo, scale * <f32> sum);
}

/**
 * Rounds a value to 8 bits and stores it with its scale. Its bytes lie 4 apart, and what lies between
 * may be another thread's, so they are stored one by one.
 */
function storeValue(values: usize, position: usize, scaleTo: usize, from: usize, HS: usize): void {
  const bytes = HS * 4, most = magnitude(from, bytes), inverse: f32 = most > 0 ? 127 / most : 0;
  const factor = f32x4.splat(inverse), rounder = f32x4.splat(ROUNDER);
  const to = values + (position & ~3) * HS + position % 4;
  for (let at: usize = 0; at < bytes; at += 16) {
    const q = f32x4.add(f32x4.mul(v128.load(from + at), factor), rounder);
    v128.store8_lane(to + at, q, 0);
    v128.store8_lane(to + at, q, 4, 4);
    v128.store8_lane(to + at, q, 8, 8);
    v128.store8_lane(to + at, q, 12, 12);
  }
  store<f32>(scaleTo, most / 127);
}

/**
 * Scores of one query with `count` keys, and −∞ up to the next multiple of 16; returns the highest.
 * `query` is room for the two halves of its numbers, HS bytes each.
 */
function scoreKeys(
  scores: usize,
  query: usize,
  from: usize,
  keys: usize,
  factors: usize,
  count: usize,
  L: usize,
  HS: usize,
): f32 {
  const bytes = HS * 4, zero = f32x4.splat(0);
  let lowest = v128.load(from), most = lowest, nan = zero;
  for (let at: usize = 0; at < bytes; at += 16) {
    const x = v128.load(from + at);
    lowest = f32x4.pmin(lowest, x);
    most = f32x4.pmax(most, x);
    nan = f32x4.add(nan, f32x4.mul(x, zero));
  }
  const low = laneMin(lowest), range = laneMax(most) - low;
  const inverse: f32 = range > 0 ? MOST / range : 0, root: f32 = 1 / sqrt<f32>(<f32> HS);
  const shift = f32x4.splat(low), factor = f32x4.splat(inverse), rounder = f32x4.splat(ROUNDER);
  const mask = i32x4.splat(0x7f);
  for (let at: usize = 0; at < bytes; at += 16) {
    const q = f32x4.add(f32x4.mul(f32x4.sub(v128.load(from + at), shift), factor), rounder);
    const upper = v128.and(i32x4.shr_u(q, 7), mask), lower = v128.and(q, mask);
    const halves = i8x16.narrow_i16x8_u(i16x8.narrow_i32x4_u(upper, lower), zero);
    v128.store32_lane(query + at / 4, halves, 0);
    v128.store32_lane(query + HS + at / 4, halves, 1);
  }

  const step = f32x4.splat(range / MOST * root), base = f32x4.splat((low + laneSum(nan)) * root);
  const upperStep = f32x4.splat(128);
  let highest = f32x4.splat(-Infinity), key = keys;
  for (let i: usize = 0; i < count; i += BLOCK) {
    let s0 = i32x4.splat(0), s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0, s6 = s0, s7 = s0;
    for (let at = query; at < query + HS; at += 4) {
      const x = v128.load32_splat(at), y = v128.load32_splat(at + HS);
      let w = v128.load(key);
      s0 = dots(w, x, s0);
      s4 = dots(w, y, s4);
      w = v128.load(key, 16);
      s1 = dots(w, x, s1);
      s5 = dots(w, y, s5);
      w = v128.load(key, 32);
      s2 = dots(w, x, s2);
      s6 = dots(w, y, s6);
      w = v128.load(key, 48);
      s3 = dots(w, x, s3);
      s7 = dots(w, y, s7);
      key += 64;
    }
    const to = scores + i * 4, scale = factors + i * 4, sum = scale + L * 4;
    const y0 = score(s0, s4, upperStep, step, base, scale, sum);
    const y1 = score(s1, s5, upperStep, step, base, scale + 16, sum + 16);
    const y2 = score(s2, s6, upperStep, step, base, scale + 32, sum + 32);
    const y3 = score(s3, s7, upperStep, step, base, scale + 48, sum + 48);
    v128.store(to, y0);
    v128.store(to, y1, 16);
    v128.store(to, y2, 32);
    v128.store(to, y3, 48);
    if (i + BLOCK <= count) {
      highest = f32x4.pmax(highest, f32x4.pmax(f32x4.pmax(y0, y1), f32x4.pmax(y2, y3)));
    }
  }
  // The last block may hold what an earlier text left behind.
  const end = scores + (count + BLOCK - 1 & ~(BLOCK - 1)) * 4;
  let result = laneMax(highest);
  for (let at = scores + (count & ~(BLOCK - 1)) * 4; at < scores + count * 4; at += 4) {
    result = max(result, load<f32>(at));
  }
  for (let at = scores + count * 4; at < end; at += 4) store<f32>(at, -Infinity);
  return result;
}

/** Scores of four keys from the sums of products with the query's halves. */
@inline
function score(
  upper: v128,
  lower: v128,
  upperStep: v128,
  step: v128,
  base: v128,
  scale: usize,
  sum: usize,
): v128 {
  const products = f32x4.add(
    f32x4.mul(f32x4.convert_i32x4_s(upper), upperStep),
    f32x4.convert_i32x4_s(lower),
  );
  return f32x4.add(
    f32x4.mul(f32x4.mul(products, step), v128.load(scale)),
    f32x4.mul(base, v128.load(sum)),
  );
}

/**
 * Turns scores into the weights of the values' 8-bit numbers, e^score times the value's scale, in 14
 * bits: behind the scores (L) come the upper halves (L bytes), then the lower. Whole blocks; weights
 * from `count` on are 0. Returns what the sums of the numbers have to be multiplied by.
 */
function roundWeights(scores: usize, scales: usize, highest: f32, count: usize, L: usize): f32 {
  const bytes = (count + BLOCK - 1 & ~(BLOCK - 1)) * 4, zero = f32x4.splat(0);
  const total = laneSum(expRow(scores, scores, bytes, 1, highest));
  let most = zero, nan = zero;
  for (let at: usize = 0; at < bytes; at += 16) {
    const e = v128.load(scores + at);
    // Behind `count` e is 0, and the scale may be anything.
    const weight = v128.and(f32x4.mul(e, v128.load(scales + at)), f32x4.gt(e, zero));
    most = f32x4.pmax(most, weight);
    nan = f32x4.add(nan, f32x4.mul(weight, zero));
    v128.store(scores + at, weight);
  }
  const largest = laneMax(most), inverse: f32 = largest > 0 ? MOST / largest : 0;
  const factor = f32x4.splat(inverse), rounder = f32x4.splat(ROUNDER);
  const mask = i32x4.splat(0x3fff), half = i16x8.splat(0x7f);
  let to = scores + 4 * L;
  for (let from = scores; from < scores + bytes; from += 64) {
    const a = f32x4.add(f32x4.mul(v128.load(from), factor), rounder);
    const b = f32x4.add(f32x4.mul(v128.load(from, 16), factor), rounder);
    const c = f32x4.add(f32x4.mul(v128.load(from, 32), factor), rounder);
    const d = f32x4.add(f32x4.mul(v128.load(from, 48), factor), rounder);
    const ab = i16x8.narrow_i32x4_u(v128.and(a, mask), v128.and(b, mask));
    const cd = i16x8.narrow_i32x4_u(v128.and(c, mask), v128.and(d, mask));
    v128.store(to, i8x16.narrow_i16x8_u(i16x8.shr_u(ab, 7), i16x8.shr_u(cd, 7)));
    v128.store(to + L, i8x16.narrow_i16x8_u(v128.and(ab, half), v128.and(cd, half)));
    to += 16;
  }
  return largest / MOST / total + laneSum(nan);
}

/** out (HS) = scale · Σ weight · value over `count` positions, rounded up to fours. */
function sumValues(
  out: usize,
  weights: usize,
  values: usize,
  scale: f32,
  count: usize,
  L: usize,
  HS: usize,
): void {
  const end = weights + count, bytes = HS * 4, upperStep = f32x4.splat(128);
  const factor = f32x4.splat(scale);
  let column: usize = 0;
  for (; column + 64 <= bytes; column += 64) {
    let s0 = i32x4.splat(0), s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0, s6 = s0, s7 = s0;
    let value = values + column;
    for (let at = weights; at < end; at += 4) {
      const x = v128.load32_splat(at), y = v128.load32_splat(at + L);
      let v = v128.load(value);
      s0 = dots(v, x, s0);
      s4 = dots(v, y, s4);
      v = v128.load(value, 16);
      s1 = dots(v, x, s1);
      s5 = dots(v, y, s5);
      v = v128.load(value, 32);
      s2 = dots(v, x, s2);
      s6 = dots(v, y, s6);
      v = v128.load(value, 48);
      s3 = dots(v, x, s3);
      s7 = dots(v, y, s7);
      value += bytes;
    }
    v128.store(out + column, whole(s0, s4, upperStep, factor));
    v128.store(out + column, whole(s1, s5, upperStep, factor), 16);
    v128.store(out + column, whole(s2, s6, upperStep, factor), 32);
    v128.store(out + column, whole(s3, s7, upperStep, factor), 48);
  }
  for (; column < bytes; column += 16) {
    let upper = i32x4.splat(0), lower = upper, value = values + column;
    for (let at = weights; at < end; at += 4) {
      const v = v128.load(value);
      upper = dots(v, v128.load32_splat(at), upper);
      lower = dots(v, v128.load32_splat(at + L), lower);
      value += bytes;
    }
    v128.store(out + column, whole(upper, lower, upperStep, factor));
  }
}

/** (128 · upper + lower) · factor. */
@inline
function whole(upper: v128, lower: v128, upperStep: v128, factor: v128): v128 {
  const sums = f32x4.add(
    f32x4.mul(f32x4.convert_i32x4_s(upper), upperStep),
    f32x4.convert_i32x4_s(lower),
  );
  return f32x4.mul(sums, factor);
}
