// Functions of four f32 lanes: multiply-add, sums over lanes, exp, GELU; and a scalar logarithm.

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

/** The sums of the lanes of a, b, c and d, as one vector. */

@inline
export function laneSums(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = f32x4.add(v128.shuffle<f32>(a, b, 0, 4, 1, 5), v128.shuffle<f32>(a, b, 2, 6, 3, 7));
  const cd = f32x4.add(v128.shuffle<f32>(c, d, 0, 4, 1, 5), v128.shuffle<f32>(c, d, 2, 6, 3, 7));
  return f32x4.add(v128.shuffle<f32>(ab, cd, 0, 1, 4, 5), v128.shuffle<f32>(ab, cd, 2, 3, 6, 7));
}

/** 1.5 · 2^23: added to a number of less than 2^22, it leaves the nearest integer in the low bits. */
const ROUNDER: f32 = 12582912;

/**
 * e^x: x = n·ln 2 + r with |r| ≤ ln 2 / 2, then a polynomial for e^r (coefficients of Moshier's
 * Cephes library), then n is added to the exponent. x is first brought into [−87, 88], where the
 * result is a normal number; NaN stays NaN (pmin and pmax keep their first operand then, and are
 * one instruction where min and max are eight).
 */
@inline
export function exp(x: v128): v128 {
  x = f32x4.pmax(f32x4.pmin(x, f32x4.splat(88)), f32x4.splat(-87));
  const rounded = madd(x, f32x4.splat(1.44269504), f32x4.splat(ROUNDER));
  const n = f32x4.sub(rounded, f32x4.splat(ROUNDER));
  // ln 2 in two parts, the first short enough for n times it to be exact.
  const r = nmadd(n, f32x4.splat(-2.12194440e-4), nmadd(n, f32x4.splat(0.693359375), x));
  let p = f32x4.splat(1.9875691500e-4);
  p = madd(p, r, f32x4.splat(1.3981999507e-3));
  p = madd(p, r, f32x4.splat(8.3334519073e-3));
  p = madd(p, r, f32x4.splat(4.1665795894e-2));
  p = madd(p, r, f32x4.splat(1.6666665459e-1));
  p = madd(p, r, f32x4.splat(5.0000001201e-1));
  p = f32x4.add(madd(p, f32x4.mul(r, r), r), f32x4.splat(1));
  const power = i32x4.add(i32x4.shl(rounded, 23), i32x4.splat(127 << 23));
  return f32x4.mul(p, power);
}

const GELU_SCALE: f32 = 0.7978845608; // √(2/π)
const GELU_CUBIC: f32 = 0.044715;

/** The logistic function of 2·√(2/π)·(x + 0.044715·x³), which is (1 + tanh) / 2 in GELU. */

@inline
function geluGate(x: v128): v128 {
  const cubic = madd(f32x4.mul(x, x), f32x4.splat(GELU_CUBIC), f32x4.splat(1));
  const u = f32x4.mul(f32x4.mul(x, f32x4.splat(-2 * GELU_SCALE)), cubic);
  return f32x4.div(f32x4.splat(1), f32x4.add(f32x4.splat(1), exp(u)));
}

/** GELU in its tanh form (Hendrycks & Gimpel 2016). */

@inline
export function gelu(x: v128): v128 {
  return f32x4.mul(x, geluGate(x));
}

/** The derivative of GELU. */

@inline
export function geluDerivative(x: v128): v128 {
  const gate = geluGate(x);
  const slope = madd(
    f32x4.mul(x, x),
    f32x4.splat(6 * GELU_SCALE * GELU_CUBIC),
    f32x4.splat(2 * GELU_SCALE),
  );
  const spread = f32x4.mul(gate, f32x4.sub(f32x4.splat(1), gate));
  return madd(f32x4.mul(x, spread), slope, gate);
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
