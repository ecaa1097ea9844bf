/**
 * The table of op cases. Each case draws odd shapes and random inputs from a seed and says which
 * tensors the op writes; tests/ops_test.ts runs every case on every backend against the reference,
 * and checks every backward op against finite differences of its forward op.
 */

import { IGNORED, INACTIVE, INT8_BLOCK } from "../src/backend/backend.ts";
import { quantizeMatrix } from "../src/model/int8.ts";
import type { Random } from "../src/random.ts";
import {
  between,
  type CaseTensor,
  floats,
  type OpCase,
  packedPositions,
  rubbish,
  words,
} from "./op_case.ts";

/** Whether an op adds up or compares over the lanes of a workgroup, with subgroups or without. */
export const reduces = ({ name }: OpCase): boolean =>
  /^(layernorm|crossEntropy|sum|gradientNorm|topLogits|matmulInt8)/.test(name);

function matmulCase(
  name: string,
  options: { transposeA?: boolean; transposeB?: boolean },
  extras: ("bias" | "geluInto" | "geluFrom" | "residual" | "accumulate")[],
  size?: (random: Random) => [m: number, n: number, k: number],
): OpCase {
  return {
    name: `matmul ${name}`,
    tolerance: 2e-5,
    draw(random, stretch = 1) {
      const [long, deep] = options.transposeA ? [1, stretch] : [stretch, 1];
      const [m, n, k] = size?.(random) ??
        [between(random, 1, 70 * long), between(random, 1, 90), between(random, 1, 80 * deep)];
      const scale = 1 / Math.sqrt(k);
      const tensors: Record<string, CaseTensor> = {
        out: extras.includes("accumulate") ? floats(random, [m, n]) : rubbish([m, n]),
        a: floats(random, options.transposeA ? [k, m] : [m, k], scale),
        b: floats(random, options.transposeB ? [n, k] : [k, n]),
      };
      if (extras.includes("bias")) tensors.bias = floats(random, [n]);
      if (extras.includes("geluInto")) tensors.geluInto = rubbish([m, n]);
      if (extras.includes("geluFrom")) tensors.geluFrom = floats(random, [m, n], 2);
      if (extras.includes("residual")) tensors.residual = floats(random, [m, n]);
      return {
        tensors,
        outputs: extras.includes("geluInto") ? ["out", "geluInto"] : ["out"],
        record: (ops, t) =>
          ops.matmul({
            out: t.out,
            a: t.a,
            b: t.b,
            ...options,
            bias: t.bias,
            geluInto: t.geluInto,
            geluFrom: t.geluFrom,
            residual: t.residual,
            accumulate: extras.includes("accumulate"),
          }),
      };
    },
  };
}

/** Some tokens are frequent, and some stand nowhere. */
function embeddingBackwardCase(suffix: string, most: number, [V, L]: [number, number]): OpCase {
  return {
    name: `embeddingBackward${suffix}`,
    tolerance: 1e-5,
    draw(random, stretch = 1) {
      const [N, C] = [between(random, 1, most * stretch), between(random, 1, 70)];
      return {
        tensors: {
          dwte: floats(random, [V, C]),
          dwpe: floats(random, [L, C]),
          dout: floats(random, [N, C]),
          tokens: words([N], () => Math.floor(V * random.uniform() ** 4)),
          positions: words([N], () => random.below(L)),
        },
        outputs: ["dwte", "dwpe"],
        record: (ops, { dwte, dwpe, dout, tokens, positions }) =>
          ops.embeddingBackward({ dwte, dwpe, dout, tokens, positions }),
      };
    },
  };
}

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

function attentionShape(
  random: Random,
  stretch: number,
): { B: number; T: number; NH: number; C: number } {
  const NH = between(random, 1, 3), HS = 4 * between(random, 1, 16);
  // Every fourth sequence of a multiple of 16 tokens starts where a view may.
  const T = stretch === 1 ? between(random, 1, 75) : 16 * between(random, 1, 4);
  return { B: between(random, 1, 2 * stretch), T, NH, C: NH * HS };
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

/** The table. */
export const OP_CASES: OpCase[] = [
  {
    name: "fill",
    tolerance: 0,
    draw: (random) => ({
      tensors: { x: rubbish([between(random, 1, 999)]) },
      outputs: ["x"],
      record: (ops, t) => ops.fill({ x: t.x, value: -2.5 }),
    }),
  },
  {
    name: "cast",
    tolerance: 0,
    draw(random) {
      const shape = [between(random, 1, 50), between(random, 1, 50)];
      return {
        tensors: { out: rubbish(shape), x: floats(random, shape) },
        outputs: ["out"],
        record: (ops, { out, x }) => ops.cast({ out, x }),
      };
    },
  },
  {
    name: "embeddingForward",
    tolerance: 1e-7,
    draw(random, stretch = 1) {
      const [N, C, V, L] = [between(random, 1, 40 * stretch), between(random, 1, 70), 50, 30];
      return {
        tensors: {
          out: rubbish([N, C]),
          tokens: words([N], () => random.below(V)),
          positions: words([N], () => random.uniform() < 0.1 ? INACTIVE : random.below(L)),
          wte: floats(random, [V, C]),
          wpe: floats(random, [L, C]),
        },
        outputs: ["out"],
        record: (ops, { out, tokens, positions, wte, wpe }) =>
          ops.embeddingForward({ out, tokens, positions, wte, wpe }),
      };
    },
  },
  embeddingBackwardCase("", 60, [23, 9]),
  embeddingBackwardCase(" long", 1200, [300, 2]),
  {
    name: "layernormForward",
    tolerance: 1e-5,
    draw(random, stretch = 1) {
      const [N, C] = [between(random, 1, 40 * stretch), between(random, 1, 200)];
      return {
        tensors: {
          out: rubbish([N, C]),
          mean: rubbish([N]),
          rstd: rubbish([N]),
          x: floats(random, [N, C], 3),
          weight: floats(random, [C]),
          bias: floats(random, [C]),
        },
        // A row of one channel has variance 0 and rstd 316: its own rounding is what is compared.
        outputs: C === 1 ? ["mean"] : ["out", "mean", "rstd"],
        record: (ops, { out, mean, rstd, x, weight, bias }) =>
          ops.layernormForward({ out, mean, rstd, x, weight, bias }),
      };
    },
  },
  {
    name: "layernormBackward",
    tolerance: 3e-5,
    draw(random, stretch = 1) {
      const [N, C] = [between(random, 1, 60 * stretch), between(random, 2, 200)];
      return {
        tensors: {
          dx: floats(random, [N, C]),
          dweight: floats(random, [C]),
          dbias: floats(random, [C]),
          dout: floats(random, [N, C]),
          x: floats(random, [N, C]),
          weight: floats(random, [C]),
          mean: floats(random, [N], 0.1),
          rstd: {
            shape: [N],
            data: Float32Array.from({ length: N }, () => 0.5 + random.uniform()),
          },
        },
        outputs: ["dx", "dweight", "dbias"],
        record: (ops, { dx, dweight, dbias, dout, x, weight, mean, rstd }) =>
          ops.layernormBackward({ dx, dweight, dbias, dout, x, weight, mean, rstd }),
      };
    },
  },
  matmulCase("plain", {}, []),
  matmulCase("plain bias", {}, ["bias"]),
  matmulCase("plain bias gelu", {}, ["bias", "geluInto"]),
  matmulCase("plain bias residual", {}, ["bias", "residual"]),
  matmulCase("plain accumulate", {}, ["accumulate"]),
  matmulCase("plain one row", {}, ["bias", "geluInto"], (r) => [1, between(r, 1, 300), 64]),
  matmulCase("plain long", {}, ["bias"], (r) => [between(r, 60, 130), 64 * between(r, 1, 3), 192]),
  matmulCase("transposeB", { transposeB: true }, []),
  matmulCase("transposeB geluFrom", { transposeB: true }, ["geluFrom"]),
  matmulCase("transposeB accumulate", { transposeB: true }, ["accumulate"]),
  matmulCase("transposeB one row", { transposeB: true }, [], (r) => [1, between(r, 1, 400), 48]),
  matmulCase("transposeB residual", { transposeB: true }, ["bias", "residual"]),
  matmulCase("transposeA", { transposeA: true }, []),
  matmulCase("transposeA accumulate", { transposeA: true }, ["accumulate"]),
  matmulCase(
    "transposeA deep",
    { transposeA: true },
    ["accumulate"],
    (r) => [between(r, 1, 40), between(r, 1, 140), between(r, 200, 400)],
  ),
  {
    name: "biasBackward",
    tolerance: 2e-5,
    draw(random, stretch = 1) {
      const [N, C] = [between(random, 1, 150 * stretch), between(random, 1, 150)];
      return {
        tensors: { dbias: floats(random, [C]), dout: floats(random, [N, C]) },
        outputs: ["dbias"],
        record: (ops, { dbias, dout }) => ops.biasBackward({ dbias, dout }),
      };
    },
  },
  {
    name: "attentionForward",
    tolerance: 2e-5,
    draw(random, stretch = 1) {
      const { B, T, NH, C } = attentionShape(random, stretch);
      return {
        tensors: {
          out: rubbish([B * T, C]),
          lse: rubbish([B * T, NH]),
          qkv: floats(random, [B * T, 3 * C]),
          positions: packedPositions(random, B, T),
        },
        outputs: ["out", "lse"],
        record: (ops, { out, lse, qkv, positions }) =>
          ops.attentionForward({ out, lse, qkv, positions, B, NH }),
      };
    },
  },
  {
    name: "attentionBackward",
    tolerance: 5e-5,
    draw(random, stretch = 1) {
      const { B, T, NH, C } = attentionShape(random, stretch);
      return {
        tensors: {
          dqkv: rubbish([B * T, 3 * C]),
          dout: floats(random, [B * T, C]),
          out: rubbish([B * T, C]),
          lse: rubbish([B * T, NH]),
          qkv: floats(random, [B * T, 3 * C]),
          positions: packedPositions(random, B, T),
        },
        outputs: ["dqkv"],
        record(ops, { dqkv, dout, out, lse, qkv, positions }) {
          ops.attentionForward({ out, lse, qkv, positions, B, NH });
          ops.attentionBackward({ dqkv, dout, out, lse, qkv, positions, B, NH });
        },
      };
    },
  },
  {
    name: "crossEntropy",
    tolerance: 1e-5,
    draw(random, stretch = 1) {
      const [R, V] = [between(random, 1, 12 * stretch), between(random, 1, 700)];
      return {
        tensors: {
          losses: rubbish([R]),
          logits: floats(random, [R, V], 4),
          targets: words([R], () => random.uniform() < 0.2 ? IGNORED : random.below(V)),
          scale: { shape: [1], data: Float32Array.of(0.37) },
        },
        outputs: ["losses", "logits"],
        record: (ops, { losses, logits, targets, scale }) =>
          ops.crossEntropy({ losses, logits, targets, scale }),
      };
    },
  },
  {
    name: "dropout",
    tolerance: 1e-6,
    draw(random) {
      return {
        tensors: {
          x: floats(random, [between(random, 1, 2000)]),
          seed: words([1], () => random.uint32()),
        },
        outputs: ["x"],
        record: (ops, { x, seed }) => ops.dropout({ x, rate: 0.3, seed, site: 5 }),
      };
    },
  },
  {
    name: "add",
    tolerance: 1e-7,
    draw(random) {
      const shape = [between(random, 1, 50), between(random, 1, 50)];
      return {
        tensors: { out: rubbish(shape), a: floats(random, shape), b: floats(random, shape) },
        outputs: ["out"],
        record: (ops, { out, a, b }) => ops.add({ out, a, b }),
      };
    },
  },
  {
    name: "add in place",
    tolerance: 1e-7,
    draw(random) {
      const shape = [between(random, 1, 2500)];
      return {
        tensors: { a: floats(random, shape), b: floats(random, shape) },
        outputs: ["a"],
        record: (ops, { a, b }) => ops.add({ out: a, a, b }),
      };
    },
  },
  {
    name: "sum",
    tolerance: 2e-5,
    draw: (random) => ({
      tensors: { out: floats(random, [1]), x: floats(random, [between(random, 1, 9000)]) },
      outputs: ["out"],
      record: (ops, { out, x }) => ops.sum({ out, x }),
    }),
  },
  {
    name: "gradientNorm",
    tolerance: 1e-5,
    draw: (random) => ({
      tensors: { norm: rubbish([1]), grads: floats(random, [between(random, 1, 200_000)], 0.1) },
      outputs: ["norm"],
      record: (ops, { norm, grads }) => ops.gradientNorm({ norm, grads }),
    }),
  },
  ...[0, 0.5].map((clip): OpCase => ({
    name: `adamw ${clip ? "clipped" : "unclipped"}`,
    tolerance: 1e-6,
    draw(random) {
      const size = between(random, 1, 3000);
      const squares = floats(random, [size], 0.1);
      squares.data = squares.data.map((x) => x * x) as Float32Array;
      return {
        tensors: {
          params: floats(random, [size]),
          grads: floats(random, [size]),
          m: floats(random, [size], 0.1),
          v: squares,
          norm: { shape: [1], data: Float32Array.of(2) },
          hyper: {
            shape: [8],
            data: Float32Array.of(3e-2, 0.9, 0.95, 1e-8, 0.1, clip, 1 / 0.19, 1 / 0.0975),
          },
        },
        outputs: ["params", "m", "v"],
        record: (ops, { params, grads, m, v, norm, hyper }) =>
          ops.adamw({ params, grads, m, v, norm, hyper, decay: size >> 1 }),
      };
    },
  })),
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
