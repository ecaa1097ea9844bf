/**
 * Op cases for backends that have f16: cases of the table with some tensors in f16, and loss scaling.
 */

import type { Ops } from "../src/backend/backend.ts";
import { MAX_LOSS_SCALE, MIN_LOSS_SCALE } from "../src/backend/loss_scaling.ts";
import type { CaseTensor, DrawnCase, OpCase } from "./op_case.ts";
import { OP_CASES } from "./op_cases.ts";

/** A case of the table, changed after it was drawn. */
function variant(name: string, suffix: string, change: (drawn: DrawnCase) => DrawnCase): OpCase {
  const base = OP_CASES.find((opCase) => opCase.name === name)!;
  const draw: OpCase["draw"] = (random, stretch) => change(base.draw(random, stretch));
  return { ...base, name: `${name}, ${suffix}`, draw };
}

/** A case of the table with the tensors of these names in f16. */
function inF16(name: string, ...halves: string[]): OpCase {
  return variant(name, `f16 ${halves.join(" ")}`, (drawn) => {
    for (const half of halves) {
      const { shape, data } = drawn.tensors[half];
      const rounded = new Float32Array(new Float16Array(data));
      drawn.tensors[half] = { shape, data: rounded, dtype: "f16" };
    }
    return drawn;
  });
}

/** A case whose op takes the state of loss scaling as well; gradients are as large as it says. */
function scaled(name: string, norm?: number): OpCase {
  const suffix = `loss scaling${norm === undefined ? "" : ` at norm ${norm}`}`;
  return variant(name, suffix, (drawn) => {
    const scale = 1024, { grads } = drawn.tensors;
    drawn.tensors.scaling = { shape: [4], data: Float32Array.of(scale, 3, 2, 0.5) };
    if (grads) grads.data = (grads.data as Float32Array).map((x) => x * scale);
    if (norm !== undefined) drawn.tensors.norm.data = Float32Array.of(norm);
    const record: DrawnCase["record"] = (ops, tensors) => {
      const { scaling } = tensors;
      const withScaling: Ops = {
        ...ops,
        crossEntropy: (args) => ops.crossEntropy({ ...args, scaling }),
        gradientNorm: (args) => ops.gradientNorm({ ...args, scaling }),
        adamw: (args) => ops.adamw({ ...args, scaling }),
      };
      drawn.record(withScaling, tensors);
    };
    return { ...drawn, record };
  });
}

/** Fifty steps from each of some states, one in five of which overflows. */
const adjustLossScale: OpCase = {
  name: "adjustLossScale",
  tolerance: 0,
  draw(random) {
    const norms = [0, 0.7, 3e38, Infinity, -Infinity, NaN];
    const states = [MIN_LOSS_SCALE, 32768, MAX_LOSS_SCALE / 2, 4 * MAX_LOSS_SCALE].map((scale) => ({
      shape: [4],
      data: Float32Array.of(scale, random.below(3), random.below(9), 0.5),
    }));
    const steps = Array.from(
      { length: 50 },
      () => random.below(5) === 0 ? 3 + random.below(3) : random.below(3),
    );
    const tensors: Record<string, CaseTensor> = {};
    states.forEach((state, i) => tensors[`state${i}`] = state);
    norms.forEach((norm, i) => tensors[`norm${i}`] = { shape: [1], data: Float32Array.of(norm) });
    return {
      tensors,
      outputs: states.map((_, i) => `state${i}`),
      record(ops, t) {
        for (const norm of steps) {
          for (const i of states.keys()) {
            ops.adjustLossScale({ scaling: t[`state${i}`], norm: t[`norm${norm}`], interval: 3 });
          }
        }
      },
    };
  },
};

/** The cases. */
export const HALF_CASES: OpCase[] = [
  inF16("cast", "out"),
  inF16("cast", "x"),
  inF16("cast", "out", "x"),
  inF16("embeddingForward", "wte"),
  inF16("layernormForward", "out"),
  inF16("layernormBackward", "dout"),
  inF16("matmul plain", "a"),
  inF16("matmul plain", "b"),
  inF16("matmul plain", "out"),
  inF16("matmul plain bias", "a", "b", "out"),
  inF16("matmul plain bias gelu", "a", "b", "out", "geluInto"),
  inF16("matmul plain bias residual", "a", "b"),
  inF16("matmul plain long", "a", "b", "out"),
  inF16("matmul transposeB", "a", "b", "out"),
  inF16("matmul transposeB geluFrom", "b", "out", "geluFrom"),
  inF16("matmul transposeA accumulate", "a", "b"),
  inF16("matmul transposeA accumulate", "a", "b", "out"),
  inF16("matmul transposeA deep", "a", "b"),
  inF16("matmul transposeA deep", "a"),
  inF16("biasBackward", "dout"),
  inF16("attentionForward", "out", "qkv"),
  inF16("attentionBackward", "dqkv", "dout", "out", "qkv"),
  inF16("crossEntropy", "logits"),
  inF16("dropout", "x"),
  scaled("crossEntropy"),
  scaled("gradientNorm"),
  scaled("adamw clipped"),
  scaled("adamw unclipped"),
  scaled("adamw clipped", Infinity),
  scaled("adamw unclipped", NaN),
  adjustLossScale,
];
