import { assert, assertAlmostEquals } from "@std/assert";
import { IGNORED, type Ops, type Tensor } from "../src/backend/backend.ts";
import {
  ReferenceBackend,
  type ReferenceTensor,
} from "../src/backend/reference/reference_backend.ts";
import type { ModelConfig } from "../src/model/config.ts";
import { parameterLayout } from "../src/model/parameters.ts";
import { Random } from "../src/random.ts";
import { buildGraph, largeParameters, packedBatch } from "./graph.ts";
import { packedPositions } from "./op_case.ts";

/**
 * Step of the central differences. In f64 their error is about STEP² from the third derivative and
 * 1e-16 / STEP from rounding, both near 1e-10.
 */
const STEP = 1e-5;

/** Allowed error of a gradient: `TOLERANCE` · (1 + |gradient|), 1,000 times what STEP leaves. */
const TOLERANCE = 1e-7;

/** The elements of an f32 tensor of the f64 reference backend. */
const data = (tensor: Tensor) => (tensor as ReferenceTensor).data as Float64Array;

/** (f(x + step · direction) − f(x − step · direction)) / (2 · step), x restored. */
function centralDifference(f: () => number, x: Tensor, direction: Float64Array): number {
  const values = data(x), before = values.slice();
  const shifted = (step: number): number => {
    for (let i = 0; i < values.length; i++) values[i] = before[i] + step * direction[i];
    return f();
  };
  const difference = (shifted(STEP) - shifted(-STEP)) / (2 * STEP);
  values.set(before);
  return difference;
}

/** A direction that is one axis. */
function axis(size: number, i: number): Float64Array {
  const direction = new Float64Array(size);
  direction[i] = 1;
  return direction;
}

/** Makes tensors of normal numbers on the reference backend in f64. */
class Bench {
  readonly backend = new ReferenceBackend({ storage: "f64" });
  readonly random: Random;

  constructor(seed: number) {
    this.random = new Random(seed);
  }

  floats(...shape: number[]): Tensor {
    const tensor = this.backend.tensor(shape);
    data(tensor).forEach((_, i, all) => all[i] = this.random.normal());
    return tensor;
  }

  words(shape: number[], next: () => number): Tensor {
    const tensor = this.backend.tensor(shape, "u32");
    this.backend.write(tensor, Uint32Array.from({ length: tensor.size }, next));
    return tensor;
  }

  below(limit: number, ...shape: number[]): Tensor {
    return this.words(shape, () => this.random.below(limit));
  }

  positions(B: number, T: number): Tensor {
    const drawn = packedPositions(this.random, B, T).data;
    return this.words([B * T], ((n) => () => drawn[n++])(0));
  }
}

/** A forward op and the ops that give the gradient of Σ out ⊙ dout. */
interface GradientCase {
  forward(ops: Ops): void;
  backward(ops: Ops): void;
  /** What the forward op writes, and the gradient that enters there. */
  out: Tensor;
  dout: Tensor;
  /** Inputs with their gradients; `added` gradients start from what is there. */
  gradients: { x: Tensor; dx: Tensor; added?: boolean }[];
}

const GRADIENT_CASES: Record<string, (bench: Bench) => GradientCase> = {
  "embedding"(bench) {
    const [N, C, V, L] = [17, 5, 7, 4];
    const tokens = bench.below(V, N), positions = bench.below(L, N);
    const wte = bench.floats(V, C), wpe = bench.floats(L, C), out = bench.floats(N, C);
    const dwte = bench.floats(V, C), dwpe = bench.floats(L, C), dout = bench.floats(N, C);
    return {
      out,
      dout,
      forward: (ops) => ops.embeddingForward({ out, tokens, positions, wte, wpe }),
      backward: (ops) => ops.embeddingBackward({ dwte, dwpe, dout, tokens, positions }),
      gradients: [{ x: wte, dx: dwte, added: true }, { x: wpe, dx: dwpe, added: true }],
    };
  },

  "layernorm"(bench) {
    const [N, C] = [5, 9];
    const x = bench.floats(N, C), weight = bench.floats(C), bias = bench.floats(C);
    const out = bench.floats(N, C), mean = bench.floats(N), rstd = bench.floats(N);
    const dx = bench.floats(N, C), dweight = bench.floats(C), dbias = bench.floats(C);
    const dout = bench.floats(N, C);
    return {
      out,
      dout,
      forward: (ops) => ops.layernormForward({ out, mean, rstd, x, weight, bias }),
      backward: (ops) => ops.layernormBackward({ dx, dweight, dbias, dout, x, weight, mean, rstd }),
      gradients: [
        { x, dx, added: true },
        { x: weight, dx: dweight, added: true },
        { x: bias, dx: dbias, added: true },
      ],
    };
  },

  "matmul with a bias and a residual"(bench) {
    const [m, n, k] = [5, 7, 6];
    const a = bench.floats(m, k), b = bench.floats(k, n), bias = bench.floats(n);
    const residual = bench.floats(m, n), out = bench.floats(m, n), dout = bench.floats(m, n);
    const da = bench.floats(m, k), db = bench.floats(k, n), dbias = bench.floats(n);
    return {
      out,
      dout,
      forward: (ops) => ops.matmul({ out, a, b, bias, residual }),
      backward(ops) {
        ops.matmul({ out: da, a: dout, b, transposeB: true });
        ops.matmul({ out: db, a, b: dout, transposeA: true, accumulate: true });
        ops.biasBackward({ dbias, dout });
      },
      gradients: [
        { x: a, dx: da },
        { x: b, dx: db, added: true },
        { x: bias, dx: dbias, added: true },
        { x: residual, dx: dout },
      ],
    };
  },

  "matmul with transposed B"(bench) {
    const [m, n, k] = [5, 7, 6];
    const a = bench.floats(m, k), b = bench.floats(n, k);
    const out = bench.floats(m, n), dout = bench.floats(m, n);
    const da = bench.floats(m, k), db = bench.floats(n, k);
    return {
      out,
      dout,
      forward: (ops) => ops.matmul({ out, a, b, transposeB: true }),
      backward(ops) {
        ops.matmul({ out: da, a: dout, b });
        ops.matmul({ out: db, a: dout, b: a, transposeA: true, accumulate: true });
      },
      gradients: [{ x: a, dx: da }, { x: b, dx: db, added: true }],
    };
  },

  "matmul through GELU"(bench) {
    const [m, n, k] = [6, 5, 3]; // out = gelu(a · b + bias) · c
    const a = bench.floats(m, k), b = bench.floats(k, n), bias = bench.floats(n);
    const c = bench.floats(n, k), out = bench.floats(m, k), dout = bench.floats(m, k);
    const pre = bench.floats(m, n), post = bench.floats(m, n), dpre = bench.floats(m, n);
    const da = bench.floats(m, k), db = bench.floats(k, n), dbias = bench.floats(n);
    return {
      out,
      dout,
      forward(ops) {
        ops.matmul({ out: post, a, b, bias, geluInto: pre });
        ops.matmul({ out, a: post, b: c });
      },
      backward(ops) {
        ops.matmul({ out: dpre, a: dout, b: c, transposeB: true, geluFrom: pre });
        ops.matmul({ out: da, a: dpre, b, transposeB: true });
        ops.matmul({ out: db, a, b: dpre, transposeA: true, accumulate: true });
        ops.biasBackward({ dbias, dout: dpre });
      },
      gradients: [
        { x: a, dx: da },
        { x: b, dx: db, added: true },
        { x: bias, dx: dbias, added: true },
      ],
    };
  },

  "attention"(bench) {
    const [B, T, NH, C] = [2, 13, 3, 12];
    const N = B * T;
    const positions = bench.positions(B, T);
    const qkv = bench.floats(N, 3 * C), out = bench.floats(N, C), lse = bench.floats(N, NH);
    const dqkv = bench.floats(N, 3 * C), dout = bench.floats(N, C);
    return {
      out,
      dout,
      forward: (ops) => ops.attentionForward({ out, lse, qkv, positions, B, NH }),
      backward: (ops) => ops.attentionBackward({ dqkv, dout, out, lse, qkv, positions, B, NH }),
      gradients: [{ x: qkv, dx: dqkv }],
    };
  },

  "cross-entropy"(bench) {
    const [R, V] = [6, 11];
    const x = bench.floats(R, V), logits = bench.floats(R, V), losses = bench.floats(R);
    const targets = bench.words([R], ((n) => () => n++ % 3 ? bench.random.below(V) : IGNORED)(0));
    const scale = bench.floats(1), dout = bench.floats(R);
    data(dout).fill(data(scale)[0]);
    const run = (ops: Ops): void => {
      ops.fill({ x: logits, value: 0 });
      ops.add({ out: logits, a: logits, b: x });
      ops.crossEntropy({ losses, logits, targets, scale });
    };
    return {
      out: losses,
      dout,
      forward: run,
      backward: run,
      gradients: [{ x, dx: logits }],
    };
  },

  "dropout"(bench) {
    const x = bench.floats(150), out = bench.floats(150), dout = bench.floats(150);
    const dx = bench.floats(150), seed = bench.words([1], () => bench.random.uint32());
    const drop = (ops: Ops, from: Tensor, to: Tensor): void => {
      ops.fill({ x: to, value: 0 });
      ops.add({ out: to, a: to, b: from });
      ops.dropout({ x: to, rate: 0.3, seed, site: 4 });
    };
    return {
      out,
      dout,
      forward: (ops) => drop(ops, x, out),
      backward: (ops) => drop(ops, dout, dx),
      gradients: [{ x, dx }],
    };
  },
};

Deno.test("backward ops agree with finite differences of their forward ops", async (t) => {
  for (const [name, make] of Object.entries(GRADIENT_CASES)) {
    await t.step(name, () => {
      for (let seed = 1; seed <= 3; seed++) {
        const bench = new Bench(seed);
        const { forward, backward, out, dout, gradients } = make(bench);
        const [forwards, backwards] = [forward, backward].map((f) => bench.backend.record(f));
        const objective = (): number => {
          bench.backend.run(forwards);
          return data(out).reduce(
            (sum, y, i) => sum + y * data(dout)[i],
            0,
          );
        };
        const before = gradients.map(({ dx, added }) => added ? data(dx).slice() : undefined);
        bench.backend.run(forwards);
        bench.backend.run(backwards);
        const analytic = gradients.map(({ dx }, g) =>
          Float64Array.from(data(dx), (value, i) => value - (before[g]?.[i] ?? 0))
        );
        gradients.forEach(({ x }, g) => {
          for (let i = 0; i < x.size; i++) {
            const numeric = centralDifference(objective, x, axis(x.size, i));
            assertAlmostEquals(
              analytic[g][i],
              numeric,
              TOLERANCE * (1 + Math.abs(numeric)),
              `seed ${seed}: gradient ${g} at ${i}`,
            );
          }
        });
      }
    });
  }
});

/** A 2-layer model of odd sizes. */
const CONFIG: ModelConfig = { vocabSize: 37, contextLength: 45, layers: 2, width: 24, heads: 2 };

Deno.test("sequenceBackward() agrees with finite differences of the whole model", async (t) => {
  for (const rate of [0, 0.2]) {
    await t.step(`dropout ${rate}`, () => {
      const random = new Random(20);
      const B = 2, batch = packedBatch(CONFIG, B, 41, random);
      assert(batch.positions.filter((position) => position === 0).length > 2 * B);
      assert(batch.count < batch.targets.length);
      const backend = new ReferenceBackend({ storage: "f64" });
      const { params, grads, losses, programs } = buildGraph(backend, CONFIG, B, batch, rate);
      backend.write(params.pool, largeParameters(CONFIG, random));
      const mean = (): number => {
        backend.run(programs.loss);
        const scale = Math.fround(1 / batch.count); // as written for the backward pass
        return data(losses).reduce((sum, loss) => sum + loss, 0) * scale;
      };
      backend.run(programs.backward);
      const gradient = data(grads.pool).slice();
      const { specs, poolSize } = parameterLayout(CONFIG);
      for (const { name, offset, size } of specs) {
        // One direction through all entries, then a few entries alone.
        const everywhere = new Float64Array(poolSize);
        for (let i = 0; i < size; i++) everywhere[offset + i] = random.normal() / Math.sqrt(size);
        const entries = [1, 2, 3].map(() => axis(poolSize, offset + random.below(size)));
        for (const direction of [everywhere, ...entries]) {
          const expected = centralDifference(mean, params.pool, direction);
          const actual = direction.reduce((sum, d, i) => sum + d * gradient[i], 0);
          assertAlmostEquals(actual, expected, TOLERANCE * (1 + Math.abs(expected)), name);
        }
      }
    });
  }
});
