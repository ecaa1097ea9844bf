// What sampling needs of a row of logits: its normalizer and its K largest, in order.

import { expRow, laneMax, laneSum, log } from "./math";
import { nextTask, threadScratch } from "./threads";

/** Logits whose exponentials are held at once. */
const CHUNK: usize = 4096;

/**
 * Words: out (R, 1 + 2K), logits, R, V, K. A row of `out` is log Σ e^logit, the K largest logits from
 * the largest down, then their places, as f32. Of equal logits the first comes first. NaN among
 * the logits makes the normalizer NaN, and what is said of the largest worthless.
 */
export function topLogits(args: usize): void {
  const out = load<usize>(args), logits = load<usize>(args, 4), R = load<i32>(args, 8);
  const V = load<usize>(args, 12), K = load<usize>(args, 16);
  for (let task = nextTask(); task < R; task = nextTask()) {
    const to = out + <usize> task * (1 + 2 * K) * 4, row = logits + <usize> task * V * 4;
    store<f32>(to, normalizer(row, V));
    largest(to + 4, to + 4 + K * 4, row, V, K);
  }
}

/** log Σ e^x over a row. */
function normalizer(row: usize, V: usize): f32 {
  const end = row + V * 4, whole = row + (V & ~3) * 4;
  let lanes = f32x4.splat(-Infinity), at = row;
  for (; at < whole; at += 16) lanes = f32x4.pmax(lanes, v128.load(at));
  let highest = laneMax(lanes);
  for (; at < end; at += 4) highest = max(highest, load<f32>(at));
  const scratch = threadScratch();
  let sum: f64 = 0;
  for (at = row; at < whole; at += CHUNK * 4) {
    sum += laneSum(expRow(scratch, at, min(CHUNK * 4, whole - at), 1, highest));
  }
  if (whole < end) {
    v128.store(scratch, f32x4.splat(-Infinity));
    memory.copy(scratch, whole, end - whole);
    sum += laneSum(expRow(scratch, scratch, 16, 1, highest));
  }
  return highest + <f32> log(sum);
}

/** The K largest of V numbers and their places, by insertion into a sorted list. */
function largest(values: usize, places: usize, row: usize, V: usize, K: usize): void {
  for (let k: usize = 0; k < K; k++) {
    store<f32>(values + k * 4, -Infinity);
    store<f32>(places + k * 4, 0);
  }
  const last = values + (K - 1) * 4;
  let i: usize = 0, least = f32x4.splat(-Infinity);
  // Most logits are below the K largest so far: sixteen are passed over at a time.
  for (; i + 16 <= V; i += 16) {
    const at = row + i * 4;
    const one = f32x4.pmax(v128.load(at), v128.load(at, 16));
    const other = f32x4.pmax(v128.load(at, 32), v128.load(at, 48));
    if (!v128.any_true(f32x4.gt(f32x4.pmax(one, other), least))) continue;
    for (let j = i; j < i + 16; j++) insert(values, places, load<f32>(row + j * 4), j, K);
    least = v128.load_splat<f32>(last);
  }
  for (; i < V; i++) insert(values, places, load<f32>(row + i * 4), i, K);
}

function insert(values: usize, places: usize, value: f32, place: usize, K: usize): void {
  let at = (K - 1) * 4;
  if (!(value > load<f32>(values + at))) return;
  for (; at > 0 && value > load<f32>(values + at - 4); at -= 4) {
    store<f32>(values + at, load<f32>(values + at - 4));
    store<f32>(places + at, load<f32>(places + at - 4));
  }
  store<f32>(values + at, value);
  store<f32>(places + at, <f32> place);
}
