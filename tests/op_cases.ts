/**
 * The table of op cases. Each case draws odd shapes and random inputs from a seed and says which
 * tensors the op writes. Every case is run on every backend against the reference (ops_wasm_test.ts,
 * device/ops_webgpu_test.ts, webgpu_browser_test.ts).
 */

import { IGNORED, INACTIVE } from "../src/backend/backend.ts";
import type { Random } from "../src/random.ts";
import { INFERENCE_CASES } from "./inference_cases.ts";
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

function attentionShape(
  random: Random,
  stretch: number,
): { B: number; T: number; NH: number; C: number } {
  const NH = between(random, 1, 3), HS = 4 * between(random, 1, 16);
  // Every fourth sequence of a multiple of 16 tokens starts where a view may.
  const T = stretch === 1 ? between(random, 1, 75) : 16 * between(random, 1, 4);
  return { B: between(random, 1, 2 * stretch), T, NH, C: NH * HS };
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
  ...INFERENCE_CASES,
];
