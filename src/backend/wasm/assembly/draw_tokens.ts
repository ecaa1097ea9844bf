// Drawing tokens from the largest logits of each row.

import { expRow } from "./math";
import { nextTask, threadScratch } from "./threads";

/** Position of a row that takes no part. */
const INACTIVE: u32 = 0xffffffff;
/** What lower temperatures count as; below it, 1 / temperature may be infinite. */
const LEAST_TEMPERATURE: f32 = 1e-30;

/** Words: drawn, tokens, positions, ends, top (N, 1 + 2K), rules (N, 4), chances, N, K. */
export function drawTokens(args: usize): void {
  const drawn = load<usize>(args), tokens = load<usize>(args, 4), positions = load<usize>(args, 8);
  const ends = load<usize>(args, 12), top = load<usize>(args, 16), rules = load<usize>(args, 20);
  const chances = load<usize>(args, 24), N = load<i32>(args, 28), K = load<usize>(args, 32);
  for (let task = nextTask(); task < N; task = nextTask()) {
    const n = <usize> task * 4, position = load<u32>(positions + n);
    if (position == INACTIVE) continue;
    const values = top + <usize> task * (1 + 2 * K) * 4 + 4;
    const chance = load<f32>(chances + n);
    let token: f32 = -1.0 - chance;
    if (!(chance < 0)) {
      const place = drawPlace(values, K, rules + 4 * n, chance);
      token = load<f32>(values + (K + place) * 4);
    }
    store<f32>(drawn + n, token);
    store<u32>(tokens + n, <u32> token);
    store<u32>(positions + n, position + 1 == load<u32>(ends + n) ? INACTIVE : position + 1);
  }
}

/** Which of K numbers, the largest first, a number in [0, 1) draws by temperature, top-k, top-p, min-p. */
function drawPlace(values: usize, K: usize, rule: usize, uniform: f32): usize {
  const temperature = load<f32>(rule), topP = load<f32>(rule, 8), minP = load<f32>(rule, 12);
  if (temperature == 0) return 0;
  const topK = <usize> load<f32>(rule, 4), weights = threadScratch(), highest = load<f32>(values);
  const n = topK > 0 && topK < K ? topK : K;
  let end = weights + n * 4;
  v128.store(weights + ((n - 1) & ~3) * 4, f32x4.splat(0)); // what fills up the last four
  for (let i: usize = 0; i < n; i++) {
    store<f32>(weights + i * 4, load<f32>(values + i * 4) - highest);
  }
  expRow(weights, weights, (n * 4 + 15) & ~15, 1 / max(temperature, LEAST_TEMPERATURE), 0);
  if (topP < 1) {
    const least = <f64> topP * sum(weights, end);
    let reached: f64 = 0;
    for (let at = weights; at < end; at += 4) {
      reached += load<f32>(at);
      if (reached >= least) end = at + 4;
    }
  }
  while (end > weights && load<f32>(end - 4) < minP) end -= 4;
  let rest = <f64> uniform * sum(weights, end), place: usize = 0;
  for (let at = weights; at < end && rest >= 0; at += 4) {
    const weight = load<f32>(at);
    if (weight == 0) break;
    place = (at - weights) / 4;
    rest -= weight;
  }
  return place;
}

function sum(from: usize, end: usize): f64 {
  let sum: f64 = 0;
  for (; from < end; from += 4) sum += load<f32>(from);
  return sum;
}
