/**
 * The reference form of drawing tokens.
 *
 * @module
 */

import { INACTIVE, type Ops } from "../backend.ts";
import type { FloatArray, ReferenceTensor } from "./reference_backend.ts";

type Args<Name extends keyof Ops> = Parameters<Ops[Name]>[0];

/** Draws the next token of each row from its largest logits. */
export function drawTokens({ top, ...args }: Args<"drawTokens">): () => void {
  const [N, width] = top.shape, K = (width - 1) / 2;
  const floats = [args.drawn, top, args.rules, args.chances];
  const [y, x, rule, chance] = floats.map((t) => (t as ReferenceTensor).data as FloatArray);
  const words = [args.tokens, args.positions, args.ends];
  const [token, position, end] = words.map((t) => (t as ReferenceTensor).data as Uint32Array);
  return () => {
    for (let n = 0; n < N; n++) {
      if (position[n] === INACTIVE) continue;
      const values = x.subarray(n * width + 1, n * width + 1 + K);
      const ids = x.subarray(n * width + 1 + K, (n + 1) * width);
      y[n] = token[n] = chance[n] < 0
        ? -1 - chance[n]
        : ids[drawPlace(values, rule.subarray(4 * n, 4 * n + 4), chance[n])];
      position[n] = position[n] + 1 === end[n] ? INACTIVE : position[n] + 1;
    }
  };
}

/** Which of `values`, the largest first, a chance in [0, 1) draws. */
function drawPlace(
  values: FloatArray,
  [temperature, topK, topP, minP]: FloatArray,
  chance: number,
): number {
  if (temperature === 0) return 0;
  let weights = Array.from(
    values.subarray(0, topK || values.length),
    (value) => Math.exp((value - values[0]) / temperature),
  );
  const sum = (weights: number[]) => weights.reduce((sum, weight) => sum + weight, 0);
  const least = topP * sum(weights);
  let reached = 0;
  const last = topP < 1 ? weights.findIndex((weight) => (reached += weight) >= least) : -1;
  if (last >= 0) weights = weights.slice(0, last + 1);
  weights = weights.filter((weight) => weight >= minP);
  let rest = chance * sum(weights);
  const place = weights.findIndex((weight) => (rest -= weight) < 0);
  // What rounding leaves over goes to the last that has any weight.
  return place >= 0 ? place : weights.findLastIndex((weight) => weight > 0);
}
