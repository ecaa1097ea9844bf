/**
 * The reference form of the operations on 8-bit numbers. Each returns the closure that does it.
 *
 * @module
 */

import {
  INACTIVE,
  INT8_BLOCK,
  type Int8Matrix,
  type MatmulInt8Args,
  type Ops,
  type Tensor,
} from "../backend.ts";
import { gelu } from "./ops.ts";
import type { FloatArray, ReferenceTensor } from "./reference_backend.ts";

type Args<Name extends keyof Ops> = Parameters<Ops[Name]>[0];

const floats = (tensor: Tensor): FloatArray => (tensor as ReferenceTensor).data as FloatArray;
const words = (tensor: Tensor): Uint32Array => (tensor as ReferenceTensor).data as Uint32Array;

/** Attention over a cache of 8-bit numbers, each row's key and value rounded head by head. */
export function attentionCachedInt8(
  { out, qkv, cache, positions, slots, NH }: Args<"attentionCachedInt8">,
): () => void {
  const [N, C] = out.shape, HS = C / NH, [, , L] = cache.keys.shape;
  const y = floats(out), x = floats(qkv), factor = floats(cache.factors);
  const [k, v] = [cache.keys, cache.values].map((tensor) =>
    new Int8Array(words(tensor).buffer, words(tensor).byteOffset, 4 * tensor.size)
  );
  const position = words(positions), slot = words(slots);
  const head = (n: number, h: number) => slot[n] * NH + h;
  return () => {
    for (let n = 0; n < N; n++) {
      if (position[n] === INACTIVE) continue;
      for (let h = 0; h < NH; h++) {
        const at = head(n, h) * L + position[n], factors = head(n, h) * 3 * L + position[n];
        const from = n * 3 * C + h * HS;
        const key = roundSigned(x.subarray(from + C, from + C + HS));
        const value = roundSigned(x.subarray(from + 2 * C, from + 2 * C + HS));
        k.set(key.q, at * HS);
        v.set(value.q, at * HS);
        factor[factors] = key.scale;
        factor[factors + L] = key.scale * key.q.reduce((a, b) => a + b);
        factor[factors + 2 * L] = value.scale;
      }
    }
    for (let n = 0; n < N; n++) {
      if (position[n] === INACTIVE) {
        y.fill(0, n * C, (n + 1) * C);
        continue;
      }
      for (let h = 0; h < NH; h++) {
        const first = head(n, h) * L, scale = head(n, h) * 3 * L;
        const scores = Array.from({ length: position[n] + 1 }, (_, at) => {
          let sum = 0;
          for (let i = 0; i < HS; i++) {
            sum += x[n * 3 * C + h * HS + i] * k[(first + at) * HS + i];
          }
          return sum * factor[scale + at] / Math.sqrt(HS);
        });
        const highest = scores.reduce((a, b) => Math.max(a, b), -Infinity);
        const weights = scores.map((score) => Math.exp(score - highest));
        const total = weights.reduce((a, b) => a + b, 0);
        for (let i = 0; i < HS; i++) {
          let sum = 0;
          weights.forEach((weight, at) =>
            sum += weight * factor[scale + 2 * L + at] * v[(first + at) * HS + i]
          );
          y[n * C + h * HS + i] = sum / total;
        }
      }
    }
  };
}

/** Rows of a token table of 8-bit numbers, with their positions' rows added. */
export function embeddingForwardInt8(args: Args<"embeddingForwardInt8">): () => void {
  const { out, tokens, positions, wte, wpe } = args;
  const [N, C] = out.shape;
  const y = floats(out), scale = floats(wte.scales), p = floats(wpe), token = words(tokens);
  const position = words(positions), e = int8Reader(wte, C);
  return () => {
    for (let n = 0; n < N; n++) {
      const at = position[n] === INACTIVE ? 0 : position[n];
      for (let c = 0; c < C; c++) {
        y[n * C + c] = scale[token[n]] * e(token[n], c) + p[at * C + c];
      }
    }
  };
}

/** The product with a matrix of 8-bit numbers: whole numbers but for scales, and an epilogue. */
export function matmulInt8(
  { out, a, b, bias, gelu: activate, residual }: MatmulInt8Args,
): () => void {
  const [m, k] = a.shape, n = b.scales.size;
  const y = floats(out), x = floats(a), w = int8Reader(b, k);
  const scales = floats(b.scales), sums = floats(b.sums);
  const add = bias && floats(bias), carry = residual && floats(residual);
  return () => {
    for (let i = 0; i < m; i++) {
      const { q, low, step } = quantizeRow(x.subarray(i * k, (i + 1) * k));
      for (let j = 0; j < n; j++) {
        let products = 0;
        for (let l = 0; l < k; l++) products += q[l] * w(j, l);
        const sum = products * step * scales[j] + low * sums[j] + (add?.[j] ?? 0);
        y[i * n + j] = (activate ? gelu(sum) : sum) + (carry?.[i * n + j] ?? 0);
      }
    }
  };
}

/** Reads element (j, l) of a matrix of int8 with k columns, without its scale. */
function int8Reader({ packed }: Int8Matrix, k: number): (j: number, l: number) => number {
  const bytes = new Int8Array(words(packed).buffer, words(packed).byteOffset, 4 * packed.size);
  return (j, l) => {
    const block = Math.floor(j / INT8_BLOCK), row = j % INT8_BLOCK;
    return bytes[4 * ((block * k / 4 + Math.floor(l / 4)) * INT8_BLOCK + row) + l % 4];
  };
}

/**
 * `row` in 7 bits, as x ≈ low + step · q. The steps are those of f32 arithmetic, so that every backend
 * rounds the same way.
 */
function quantizeRow(row: ArrayLike<number>): { q: number[]; low: number; step: number } {
  const x = Float32Array.from(row), { fround } = Math;
  const low = x.reduce((a, b) => Math.min(a, b)), high = x.reduce((a, b) => Math.max(a, b));
  const range = fround(high - low);
  const inverse = range > 0 ? fround(127 / range) : 0;
  const q = Array.from(x, (value) => roundToEven(fround(fround(value - low) * inverse)));
  return { q, low, step: fround(range / 127) };
}

/** `x` in 8 bits, as x ≈ q · scale, in the steps of f32 arithmetic for the same reason. */
function roundSigned(x: ArrayLike<number>): { q: number[]; scale: number } {
  const { fround } = Math;
  const most = Array.from(x).reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const inverse = most > 0 ? fround(127 / most) : 0;
  return {
    q: Array.from(x, (value) => roundToEven(fround(value * inverse))),
    scale: fround(most / 127),
  };
}

/** The nearest whole number, of two the even one. */
function roundToEven(x: number): number {
  const rounded = Math.round(x);
  return Math.abs(x % 1) === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}
