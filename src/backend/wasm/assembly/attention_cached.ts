// Attention of new rows over the key/value cache.

import { expOne, expRow, laneMax, laneSum, laneSums, madd } from "./math";
import { dot } from "./matvec";
import { barrier, nextTask, sharedScratch, threadIndex } from "./threads";

/** Position of a row that takes no part. */
const INACTIVE: usize = 0xffffffff;

/**
 * Words: out, qkv, keys, values, positions, slots, N, NH, HS, S, L, bytes of shared scratch for one
 * thread (L scores). A row whose slot or position is outside the cache stores nothing and gets NaN.
 */
export function attentionCached(args: usize): void {
  const out = load<usize>(args), qkv = load<usize>(args, 4), keys = load<usize>(args, 8);
  const values = load<usize>(args, 12), positions = load<usize>(args, 16);
  const slots = load<usize>(args, 20), N = load<usize>(args, 24), NH = load<usize>(args, 28);
  const HS = load<usize>(args, 32), S = load<usize>(args, 36), L = load<usize>(args, 40);
  const scores = sharedScratch() + <usize> threadIndex() * load<usize>(args, 44);
  const bytes = HS * 4, C = NH * bytes; // of a head; of a row

  for (let task = nextTask(); task < <i32> N; task = nextTask()) {
    const n = <usize> task,
      position = load<usize>(positions + n * 4),
      slot = load<usize>(slots + n * 4);
    if (position >= L || slot >= S) continue;
    const from = qkv + n * 3 * C + C;
    for (let h: usize = 0; h < NH; h++) {
      const to = ((slot * NH + h) * L + position) * bytes;
      memory.copy(keys + to, from + h * bytes, bytes);
      memory.copy(values + to, from + C + h * bytes, bytes);
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
      const head = (slot * NH + h) * L * bytes;
      attend(to, qkv + n * 3 * C + h * bytes, keys + head, values + head, scores, position + 1, HS);
    }
  }
}

/** One query over `count` keys and values, which lie one after the other. */
function attend(
  out: usize,
  query: usize,
  keys: usize,
  values: usize,
  scores: usize,
  count: usize,
  HS: usize,
): void {
  const scale: f32 = 1 / sqrt<f32>(<f32> HS), bytes = HS * 4;
  let highest: f32 = -Infinity, i: usize = 0;
  for (let key = keys; i + 4 <= count; i += 4) {
    let s0 = f32x4.splat(0), s1 = s0, s2 = s0, s3 = s0;
    for (let at: usize = 0; at < bytes; at += 16) {
      const x = v128.load(query + at), p = key + at;
      s0 = madd(x, v128.load(p), s0);
      s1 = madd(x, v128.load(p + bytes), s1);
      s2 = madd(x, v128.load(p + 2 * bytes), s2);
      s3 = madd(x, v128.load(p + 3 * bytes), s3);
    }
    const four = f32x4.mul(laneSums(s0, s1, s2, s3), f32x4.splat(scale));
    v128.store(scores + i * 4, four);
    highest = max(highest, laneMax(four));
    key += 4 * bytes;
  }
  for (; i < count; i++) {
    const score = dot(query, keys + i * bytes, HS) * scale;
    store<f32>(scores + i * 4, score);
    highest = max(highest, score);
  }
  i = count & ~3;
  let total = laneSum(expRow(scores, scores, i * 4, 1, highest));
  for (; i < count; i++) {
    const e = expOne(load<f32>(scores + i * 4) - highest);
    store<f32>(scores + i * 4, e);
    total += e;
  }
  const factor = f32x4.splat(1 / total);
  let column: usize = 0;
  for (; column + 128 <= bytes; column += 128) {
    let s0 = f32x4.splat(0), s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0, s6 = s0, s7 = s0;
    let value = values + column;
    for (i = 0; i < count; i++) {
      const weight = v128.load_splat<f32>(scores + i * 4);
      s0 = madd(weight, v128.load(value), s0);
      s1 = madd(weight, v128.load(value, 16), s1);
      s2 = madd(weight, v128.load(value, 32), s2);
      s3 = madd(weight, v128.load(value, 48), s3);
      s4 = madd(weight, v128.load(value, 64), s4);
      s5 = madd(weight, v128.load(value, 80), s5);
      s6 = madd(weight, v128.load(value, 96), s6);
      s7 = madd(weight, v128.load(value, 112), s7);
      value += bytes;
    }
    v128.store(out + column, f32x4.mul(s0, factor));
    v128.store(out + column, f32x4.mul(s1, factor), 16);
    v128.store(out + column, f32x4.mul(s2, factor), 32);
    v128.store(out + column, f32x4.mul(s3, factor), 48);
    v128.store(out + column, f32x4.mul(s4, factor), 64);
    v128.store(out + column, f32x4.mul(s5, factor), 80);
    v128.store(out + column, f32x4.mul(s6, factor), 96);
    v128.store(out + column, f32x4.mul(s7, factor), 112);
  }
  for (; column < bytes; column += 16) {
    let sums = f32x4.splat(0), value = values + column;
    for (i = 0; i < count; i++) {
      sums = madd(v128.load_splat<f32>(scores + i * 4), v128.load(value), sums);
      value += bytes;
    }
    v128.store(out + column, f32x4.mul(sums, factor));
  }
}
