// Functions of four f32 lanes: multiply-add, sums over lanes, exp, GELU; and a scalar logarithm.

import { threadScratch } from "./threads";

/** a · b + c, rounded once where the machine has fused multiply-add. */

@inline
export function madd(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_madd(a, b, c);
  return f32x4.add(f32x4.mul(a, b), c);
}

/** c − a · b. */

@inline
export function nmadd(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_nmadd(a, b, c);
  return f32x4.sub(c, f32x4.mul(a, b));
}

/** Sum of the four lanes. */

@inline
export function laneSum(x: v128): f32 {
  const pairs = f32x4.add(x, v128.shuffle<f32>(x, x, 2, 3, 0, 1));
  return f32x4.extract_lane(pairs, 0) + f32x4.extract_lane(pairs, 1);
}

/** Greatest of the four lanes. */

@inline
export function laneMax(x: v128): f32 {
  const pairs = f32x4.pmax(x, v128.shuffle<f32>(x, x, 2, 3, 0, 1));
  return max(f32x4.extract_lane(pairs, 0), f32x4.extract_lane(pairs, 1));
}

/** Least of the four lanes. */

@inline
export function laneMin(x: v128): f32 {
  const pairs = f32x4.pmin(x, v128.shuffle<f32>(x, x, 2, 3, 0, 1));
  return min(f32x4.extract_lane(pairs, 0), f32x4.extract_lane(pairs, 1));
}

/** The sums of the lanes of a, b, c and d, as one vector. */

@inline
export function laneSums(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = f32x4.add(v128.shuffle<f32>(a, b, 0, 4, 1, 5), v128.shuffle<f32>(a, b, 2, 6, 3, 7));
  const cd = f32x4.add(v128.shuffle<f32>(c, d, 0, 4, 1, 5), v128.shuffle<f32>(c, d, 2, 6, 3, 7));
  return f32x4.add(v128.shuffle<f32>(ab, cd, 0, 1, 4, 5), v128.shuffle<f32>(ab, cd, 2, 3, 6, 7));
}

// exp and GELU work on rows. Their constants stand before the loops: V8 builds a constant anew
// wherever it is written, three instructions each time, which makes the loop 14 times slower.

/** 1.5 · 2^23: added to a number of less than 2^22, it leaves the nearest integer in the low bits. */
const ROUNDER: f32 = 12582912;

/**
 * to = e^(from · scale − shift), elements of `bytes` rounded up to whole vectors; returns their sum
 * in four lanes. `to` may be `from`.
 *
 * x = n·ln 2 + r with |r| ≤ ln 2 / 2, then a polynomial for e^r (coefficients of Moshier's Cephes
 * library), then n is added to the exponent. Below −87 the result is 0, above 88 it is e^88. NaN
 * stays NaN: pmin and pmax keep their first operand then, and are one instruction, not eight.
 */
export function expRow(to: usize, from: usize, bytes: usize, scale: f32, shift: f32): v128 {
  const factor = f32x4.splat(scale), minus = f32x4.splat(-shift);
  const lowest = f32x4.splat(-87), highest = f32x4.splat(88), rounder = f32x4.splat(ROUNDER);
  const log2e = f32x4.splat(1.44269504);
  // ln 2 in two parts, the first short enough for n times it to be exact.
  const ln2 = f32x4.splat(0.693359375), ln2Rest = f32x4.splat(-2.12194440e-4);
  const p6 = f32x4.splat(1.9875691500e-4), p5 = f32x4.splat(1.3981999507e-3);
  const p4 = f32x4.splat(8.3334519073e-3), p3 = f32x4.splat(4.1665795894e-2);
  const p2 = f32x4.splat(1.6666665459e-1), p1 = f32x4.splat(5.0000001201e-1);
  const one = f32x4.splat(1), bias = i32x4.splat(127 << 23);
  let sum = f32x4.splat(0);
  for (const end = from + bytes; from < end; from += 16) {
    const wanted = madd(v128.load(from), factor, minus);
    const x = f32x4.pmax(f32x4.pmin(wanted, highest), lowest);
    const rounded = madd(x, log2e, rounder), n = f32x4.sub(rounded, rounder);
    const r = nmadd(n, ln2Rest, nmadd(n, ln2, x));
    let p = madd(p6, r, p5);
    p = madd(p, r, p4);
    p = madd(p, r, p3);
    p = madd(p, r, p2);
    p = madd(p, r, p1);
    p = f32x4.add(madd(p, f32x4.mul(r, r), r), one);
    const power = i32x4.add(i32x4.shl(rounded, 23), bias);
    const result = v128.andnot(f32x4.mul(p, power), f32x4.lt(wanted, lowest));
    v128.store(to, result);
    sum = f32x4.add(sum, result);
    to += 16;
  }
  return sum;
}

/** e^x of one number, with the same steps. */
export function expOne(x: f32): f32 {
  const at = threadScratch();
  v128.store(at, f32x4.splat(x));
  expRow(at, at, 16, 1, 0);
  return load<f32>(at);
}

const GELU_SCALE: f32 = 0.7978845608; // √(2/π)
const GELU_CUBIC: f32 = 0.044715;

/**
 * gate = the logistic function of 2·√(2/π)·(x + 0.044715·x³), which is (1 + tanh) / 2 in GELU's tanh
 * form (Hendrycks & Gimpel 2016).
 */
function geluGates(gates: usize, from: usize, bytes: usize): void {
  const cubic = f32x4.splat(GELU_CUBIC), one = f32x4.splat(1), scale = f32x4.splat(-2 * GELU_SCALE);
  for (let at: usize = 0; at < bytes; at += 16) {
    const x = v128.load(from + at);
    v128.store(gates + at, f32x4.mul(f32x4.mul(x, scale), madd(f32x4.mul(x, x), cubic, one)));
  }
  expRow(gates, gates, bytes, 1, 0);
  for (let at: usize = 0; at < bytes; at += 16) {
    v128.store(gates + at, f32x4.div(one, f32x4.add(one, v128.load(gates + at))));
  }
}

/** x = gelu(x), whole vectors; `gates` is scratch of the same size. */
export function geluRow(x: usize, gates: usize, bytes: usize): void {
  geluGates(gates, x, bytes);
  for (let at: usize = 0; at < bytes; at += 16) {
    v128.store(x + at, f32x4.mul(v128.load(x + at), v128.load(gates + at)));
  }
}

/** x = the derivative of gelu at x, whole vectors; `gates` is scratch of the same size. */
export function geluDerivativeRow(x: usize, gates: usize, bytes: usize): void {
  geluGates(gates, x, bytes);
  const cubic = f32x4.splat(6 * GELU_SCALE * GELU_CUBIC), linear = f32x4.splat(2 * GELU_SCALE);
  const one = f32x4.splat(1);
  for (let at: usize = 0; at < bytes; at += 16) {
    const value = v128.load(x + at), gate = v128.load(gates + at);
    const slope = madd(f32x4.mul(value, value), cubic, linear);
    const spread = f32x4.mul(gate, f32x4.sub(one, gate));
    v128.store(x + at, madd(f32x4.mul(value, spread), slope, gate));
  }
}

/** ln x for x > 0 to about 1e-14: x = 2^e·m, then the series of artanh((m − 1) / (m + 1)). */
export function log(x: f64): f64 {
  if (!(x > 0) || x == Infinity) return x == 0 ? -Infinity : x > 0 ? x : NaN;
  const bits = reinterpret<i64>(x);
  let e = <i32> (bits >> 52) - 1023;
  let m = reinterpret<f64>((bits & 0x000fffffffffffff) | 0x3ff0000000000000);
  if (m > 1.4142135623730951) {
    m *= 0.5;
    e++;
  }
  const s = (m - 1) / (m + 1), s2 = s * s;
  let series: f64 = 1.0 / 17;
  for (let odd: f64 = 15; odd > 0; odd -= 2) series = series * s2 + 1 / odd;
  return <f64> e * 0.6931471805599453 + 2 * s * series;
}
