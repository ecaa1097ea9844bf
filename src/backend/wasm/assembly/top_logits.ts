// What sampling needs of a row of logits: its normalizer and its K largest, in order.

import { expRow, laneMax, laneMin, laneSum, log } from "./math";
import { nextTask, threadScratch } from "./threads";

/** Logits whose exponentials are held at once. */
const CHUNK: usize = 4096;
/** Logits of which one lane keeps the largest while a bound for the K largest is looked for. */
const GROUP: usize = 16;
/** Halvings of that search, after which any bound found so far will do. */
const HALVINGS: i32 = 16;

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
    largest(to + 4, to + 4 + K * 4, row, V, K);
    store<f32>(to, normalizer(row, V, load<f32>(to + 4)));
  }
}

/** log Σ e^x over a row whose largest number is `highest`. */
function normalizer(row: usize, V: usize, highest: f32): f32 {
  const end = row + V * 4, whole = row + (V & ~3) * 4;
  const scratch = threadScratch();
  let sum: f64 = 0;
  for (let at = row; at < whole; at += CHUNK * 4) {
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
  const last = values + (K - 1) * 4, least = f32x4.splat(bound(row, V, K));
  let i: usize = 0, worst = f32x4.splat(-Infinity);
  // Most numbers are below the bound or the K largest so far: sixteen are passed over at a time.
  for (; i + 16 <= V; i += 16) {
    const at = row + i * 4;
    const one = f32x4.pmax(v128.load(at), v128.load(at, 16));
    const other = f32x4.pmax(v128.load(at, 32), v128.load(at, 48)), most = f32x4.pmax(one, other);
    if (!v128.any_true(v128.and(f32x4.ge(most, least), f32x4.gt(most, worst)))) continue;
    for (let j: usize = 0; j < 16; j += 4) {
      const four = v128.load(at + j * 4);
      let wanted = i32x4.bitmask(v128.and(f32x4.ge(four, least), f32x4.gt(four, worst)));
      for (; wanted != 0; wanted &= wanted - 1) {
        const place = i + j + <usize> ctz(wanted);
        insert(values, places, load<f32>(row + place * 4), place, K);
      }
    }
    worst = v128.load_splat<f32>(last);
  }
  for (; i < V; i++) insert(values, places, load<f32>(row + i * 4), i, K);
}

/**
 * A number that at least K of V numbers reach, and few more than K: the largest of each group of 16
 * numbers are counted against bounds that halve the range, until about K of them reach one. −∞ where
 * there are too few groups.
 */
function bound(row: usize, V: usize, K: usize): f32 {
  const groups = V / (4 * GROUP) * 4, most = threadScratch(), end = most + groups * 4;
  if (groups < 2 * K) return -Infinity;
  let low = f32x4.splat(Infinity), high = f32x4.splat(-Infinity), at = row;
  for (let to = most; to < end; to += 16) {
    let group = v128.load(at);
    for (const next = at + 16 * GROUP; at < next; at += 64) {
      const one = f32x4.pmax(v128.load(at), v128.load(at, 16));
      const other = f32x4.pmax(v128.load(at, 32), v128.load(at, 48));
      group = f32x4.pmax(group, f32x4.pmax(one, other));
    }
    v128.store(to, group);
    low = f32x4.pmin(low, group);
    high = f32x4.pmax(high, group);
  }
  let reached = laneMin(low), missed = laneMax(high);
  for (let i = 0; i < HALVINGS; i++) {
    const middle = reached + (missed - reached) / 2, least = f32x4.splat(middle);
    let counts = i32x4.splat(0);
    for (let from = most; from < end; from += 16) {
      counts = i32x4.sub(counts, f32x4.ge(v128.load(from), least)); // −1 where it holds
    }
    const count = <usize> (i32x4.extract_lane(counts, 0) + i32x4.extract_lane(counts, 1) +
      i32x4.extract_lane(counts, 2) + i32x4.extract_lane(counts, 3));
    if (count < K) missed = middle;
    else {
      reached = middle;
      if (count < K + K / 8) break;
    }
  }
  return reached;
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
