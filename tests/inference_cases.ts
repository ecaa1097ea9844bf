/** Cases of the ops that only generation uses: caches, 8 bits, the largest logits, draws. */

import { INACTIVE, INT8_BLOCK } from "../src/backend/backend.ts";
import { quantizeMatrix } from "../src/model/int8.ts";
import type { Random } from "../src/random.ts";
import { between, type CaseTensor, floats, type OpCase, rubbish, words } from "./op_case.ts";

/** A random matrix (n, k) of int8, as three tensors. */
function int8(random: Random, n: number, k: number): Record<string, CaseTensor> {
  const { data } = floats(random, [n, k]);
  const { packed, scales, sums } = quantizeMatrix(data as Float32Array, n, k, {
    row: k,
    column: 1,
  });
  return {
    packed: { shape: [Math.ceil(n / INT8_BLOCK), k / 4, INT8_BLOCK], data: packed },
    scales: { shape: [n], data: scales },
    sums: { shape: [n], data: sums },
  };
}

/** A product with int8: one row, an even and an odd number of rows, and more than a thread's own. */
function matmulInt8Case(name: string, extras: ("bias" | "gelu" | "residual")[]): OpCase {
  return {
    name: `matmulInt8 ${name}`,
    tolerance: 2e-5,
    draw(random) {
      const m = 1 + random.below(random.below(2) === 0 ? 4 : 40);
      const n = between(random, 1, 150), k = 4 * between(random, 1, 60);
      const a = floats(random, [m, k], 1 / Math.sqrt(k));
      a.data.fill(0.25, 0, random.below(4) === 0 ? k : 0); // now and then a row without a range
      const tensors: Record<string, CaseTensor> = {
        out: rubbish([m, n]),
        a,
        ...int8(random, n, k),
      };
      if (extras.includes("bias")) tensors.bias = floats(random, [n]);
      if (extras.includes("residual")) tensors.residual = floats(random, [m, n]);
      return {
        tensors,
        outputs: ["out"],
        record: (ops, { out, a, packed, scales, sums, bias, residual }) =>
          ops.matmulInt8({
            out,
            a,
            b: { packed, scales, sums },
            bias,
            gelu: extras.includes("gelu"),
            residual,
          }),
      };
    },
  };
}

/** Equal logits, whose order is told by their indices, stand among them all. */
function topLogitsCase(
  name: string,
  value: (x: number, i: number) => number,
  most: number,
): OpCase {
  return {
    name: `topLogits ${name}`,
    tolerance: 2e-5,
    draw(random) {
      const R = between(random, 1, 5), V = between(random, 1, 9000);
      const K = between(random, 1, Math.min(V, most));
      const logits = floats(random, [R, V], 3);
      logits.data = (logits.data as Float32Array).map(value);
      return {
        tensors: { out: rubbish([R, 1 + 2 * K]), logits },
        outputs: ["out"],
        record: (ops, { out, logits }) => ops.topLogits({ out, logits }),
      };
    },
  };
}

/**
 * A rule (temperature, top-k, top-p, min-p) for logits that fall, and a chance in [0, 1),
 * none of which stands so near a tie that the order of a sum decides.
 */
function clearRule(
  random: Random,
  logits: Float32Array,
): { rule: [number, number, number, number]; chance: number } {
  const K = logits.length, sum = (weights: number[]) => weights.reduce((a, b) => a + b, 0);
  const temperature = random.below(6) === 0 ? 0 : 0.3 + 2 * random.uniform();
  const topK = random.below(K + 1);
  let weights = Array.from(
    logits.subarray(0, topK || K),
    (x) => Math.exp((x - logits[0]) / (temperature || 1)),
  );
  // The middle of a hundredth of a sum is far from a tie. The first of at most 100 makes that much.
  const likely = () => random.below(weights.filter((x) => x >= 0.01 * sum(weights)).length);
  const before = (place: number) => sum(weights.slice(0, place));
  let topP = 1, minP = 0;
  if (random.below(3) > 0) {
    const place = likely();
    topP = (before(place) + weights[place] / 2) / sum(weights);
    weights = weights.slice(0, place + 1);
  }
  if (random.below(3) === 0) {
    const first = likely();
    const apart = weights.findIndex((x, i) => i >= first && !(weights[i + 1] > 0.9 * x));
    minP = 0.95 * weights[apart];
    weights = weights.slice(0, apart + 1);
  }
  const place = likely();
  const chance = (before(place) + weights[place] / 2) / sum(weights);
  return { rule: [temperature, topK, topP, minP], chance };
}
/** Ops that only generation uses. */
export const INFERENCE_CASES: OpCase[] = [
  ...["prefill", "decode"].map((kind): OpCase => ({
    name: `attentionCached ${kind}`,
    tolerance: 2e-5,
    draw(random) {
      const NH = between(random, 1, 3), HS = 4 * between(random, 1, 16), C = NH * HS;
      const [S, L, N] = [5, 70, kind === "decode" ? 4 : between(random, 1, 40)];
      const start = random.below(L - N);
      return {
        tensors: {
          out: rubbish([N, C]),
          qkv: floats(random, [N, 3 * C]),
          keys: floats(random, [S, NH, L, HS]),
          values: floats(random, [S, NH, L, HS]),
          positions: {
            shape: [N],
            data: Uint32Array.from({ length: N }, (_, n) => {
              if (kind === "decode") return n === 2 ? INACTIVE : random.below(L);
              return n > 30 ? INACTIVE : start + n;
            }),
          },
          slots: {
            shape: [N],
            data: Uint32Array.from({ length: N }, (_, n) => kind === "decode" ? 4 - n : 3),
          },
        },
        outputs: ["out", "keys", "values"],
        record: (ops, { out, qkv, keys, values, positions, slots }) =>
          ops.attentionCached({ out, qkv, keys, values, positions, slots, NH }),
      };
    },
  })),
  // A text of one slot in two passes, then rows of several slots. In what order keys and values lie is
  // each backend's own affair, so their factors and the results are compared. Query and weights in 14 bits are off by up to 1/32766 of
  // their range. That makes 1e-4 in a score (the root of 64 such errors, each 3e-5 · 5 · 1, by 8), as
  // much in a weight, and so in a result of size 1; five times that is allowed.
  {
    name: "attentionCachedInt8",
    tolerance: 5e-4,
    draw(random) {
      const NH = between(random, 1, 3), HS = 4 * between(random, 1, 16), C = NH * HS;
      const [S, L] = [5, 16 * between(random, 1, 6)];
      const count = between(random, 1, Math.min(L, 70)), start = random.below(L - count + 1);
      const qkv = (N: number) => {
        const given = floats(random, [N, 3 * C]);
        given.data.fill(0, 0, random.below(4) === 0 ? 3 * C : 0); // now and then all zeros
        return given;
      };
      const order = [0, 1, 2, 3, 4].sort(() => random.below(2) - 0.5);
      return {
        tensors: {
          early: rubbish([start || 1, C]),
          earlyQkv: qkv(start || 1),
          earlyPositions: words([start || 1], ((n) => () => n++)(0)),
          earlySlots: words([start || 1], () => order[0]),
          text: rubbish([count, C]),
          textQkv: qkv(count),
          textPositions: words([count], ((n) => () => n++)(start)),
          textSlots: words([count], () => order[0]),
          out: rubbish([4, C]),
          qkv: qkv(4),
          positions: words([4], ((n) => () => [start + count - 1, INACTIVE, 0, 0][n++])(0)),
          slots: words([4], ((n) => () => order[n++])(0)),
          keys: words([S, NH, L, HS / 4], () => random.uint32()),
          values: words([S, NH, L, HS / 4], () => random.uint32()),
          factors: floats(random, [S, NH, 3, L]),
        },
        outputs: ["early", "text", "out", "factors"],
        record: (ops, { keys, values, factors, ...t }) => {
          const shared = { cache: { keys, values, factors }, NH };
          const early = { positions: t.earlyPositions, slots: t.earlySlots };
          ops.attentionCachedInt8({ out: t.early, qkv: t.earlyQkv, ...early, ...shared });
          const text = { positions: t.textPositions, slots: t.textSlots };
          ops.attentionCachedInt8({ out: t.text, qkv: t.textQkv, ...text, ...shared });
          const { out, qkv, positions, slots } = t;
          ops.attentionCachedInt8({ out, qkv, positions, slots, ...shared });
        },
      };
    },
  },
  {
    name: "embeddingForwardInt8",
    tolerance: 1e-6,
    draw(random) {
      const [N, C, V, L] = [between(random, 1, 70), 4 * between(random, 1, 30), 53, 40];
      return {
        tensors: {
          out: rubbish([N, C]),
          tokens: words([N], () => random.below(V)),
          positions: words([N], () => random.below(8) === 0 ? INACTIVE : random.below(L)),
          ...int8(random, V, C),
          wpe: floats(random, [L, C]),
        },
        outputs: ["out"],
        record: (ops, { out, tokens, positions, packed, scales, sums, wpe }) =>
          ops.embeddingForwardInt8({ out, tokens, positions, wte: { packed, scales, sums }, wpe }),
      };
    },
  },
  matmulInt8Case("alone", []),
  matmulInt8Case("bias, gelu", ["bias", "gelu"]),
  matmulInt8Case("bias, residual", ["bias", "residual"]),
  topLogitsCase("alone", (x, i) => i % 5 === 0 ? Math.round(x) : x, 64),
  topLogitsCase("with few values", (x) => Math.round(x / 2), 64),
  topLogitsCase("all equal", () => -1.5, 64),
  topLogitsCase("rising", (_, i) => i / 9000, 64),
  topLogitsCase("many", (x) => Math.round(4 * x) / 4, 600),
  {
    name: "drawTokens",
    tolerance: 0,
    draw(random) {
      const N = between(random, 1, 70), K = between(random, 1, 100), V = 200, L = 40;
      const top = new Float32Array(N * (1 + 2 * K)), rules = new Float32Array(N * 4);
      const chances = new Float32Array(N);
      for (let n = 0; n < N; n++) {
        const at = n * (1 + 2 * K) + 1;
        const logits = floats(random, [K], 3).data.sort((a, b) => b - a);
        const ids = random.shuffle(Array.from({ length: V }, (_, id) => id)).slice(0, K);
        const { rule, chance } = clearRule(random, logits as Float32Array);
        top.set([random.normal(), ...logits, ...ids], at - 1);
        rules.set(rule, 4 * n);
        chances[n] = random.below(8) === 0 ? -1 - random.below(V) : chance;
      }
      const positions = words([N], () => random.below(5) === 0 ? INACTIVE : random.below(L - 1));
      return {
        tensors: {
          drawn: { shape: [N], data: new Float32Array(N) },
          tokens: words([N], () => random.below(V)),
          positions,
          ends: words([N], ((n) => () => random.below(2) ? L : positions.data[n++] + 1)(0)),
          top: { shape: [N, 1 + 2 * K], data: top },
          rules: { shape: [N, 4], data: rules },
          chances: { shape: [N], data: chances },
          // Numbers of tokens and positions, which only f32 tensors can be read to see.
          out: rubbish([N, 1]),
          wte: { shape: [V, 1], data: Float32Array.from({ length: V }, (_, id) => id) },
          wpe: { shape: [L, 1], data: Float32Array.from({ length: L }, (_, t) => 1000 * t) },
        },
        outputs: ["drawn", "out"],
        record(ops, { out, wte, wpe, ...t }) {
          const { drawn, tokens, positions, ends, top, rules, chances } = t;
          ops.drawTokens({ drawn, tokens, positions, ends, top, rules, chances });
          ops.embeddingForward({ out, tokens, positions, wte, wpe });
        },
      };
    },
  },
];
