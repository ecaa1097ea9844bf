/**
 * The reference form of every operation. Each is the definition, written as loops over the shape
 * letters of docs/GLOSSARY.md.
 *
 * @module
 */

import {
  dropoutKeeps,
  dropoutThreshold,
  HYPER,
  IGNORED,
  INACTIVE,
  type MatmulArgs,
  type MatmulInt8Args,
  type Ops,
  type Tensor,
} from "../backend.ts";
import { matmulSize } from "../checked.ts";
import { drawTokens } from "./draw_tokens.ts";
import { MAX_LOSS_SCALE, MIN_LOSS_SCALE, SCALING } from "../loss_scaling.ts";
import { attentionCachedInt8, embeddingForwardInt8, matmulInt8 } from "./int8.ts";
import type { FloatArray, ReferenceTensor } from "./reference_backend.ts";

type Args<Name extends keyof Ops> = Parameters<Ops[Name]>[0];

const floats = (tensor: Tensor): FloatArray => (tensor as ReferenceTensor).data as FloatArray;
const words = (tensor: Tensor): Uint32Array => (tensor as ReferenceTensor).data as Uint32Array;

const GELU_SCALE = Math.sqrt(2 / Math.PI);

/** GELU in its tanh form (Hendrycks & Gimpel 2016), as GPT-2 uses it. */
export function gelu(x: number): number {
  return 0.5 * x * (1 + Math.tanh(GELU_SCALE * (x + 0.044715 * x * x * x)));
}

/** The derivative of {@linkcode gelu}. */
export function geluDerivative(x: number): number {
  const tanh = Math.tanh(GELU_SCALE * (x + 0.044715 * x * x * x));
  return 0.5 * (1 + tanh) +
    0.5 * x * (1 - tanh * tanh) * GELU_SCALE * (1 + 3 * 0.044715 * x * x);
}

/** Records closures over the tensors. */
export class ReferenceOps implements Ops {
  readonly #steps: (() => void)[];

  /** @param steps Receives one closure for each operation. */
  constructor(steps: (() => void)[]) {
    this.#steps = steps;
  }

  fill({ x, value }: Args<"fill">): void {
    this.#steps.push(() => void floats(x).fill(value));
  }

  cast({ out, x }: Args<"cast">): void {
    this.#steps.push(() => floats(out).set(floats(x)));
  }

  embeddingForward({ out, tokens, positions, wte, wpe }: Args<"embeddingForward">): void {
    const [N, C] = out.shape;
    const y = floats(out), e = floats(wte), p = floats(wpe), token = words(tokens);
    const position = words(positions);
    this.#steps.push(() => {
      for (let n = 0; n < N; n++) {
        const at = position[n] === INACTIVE ? 0 : position[n];
        for (let c = 0; c < C; c++) y[n * C + c] = e[token[n] * C + c] + p[at * C + c];
      }
    });
  }

  embeddingBackward({ dwte, dwpe, dout, tokens, positions }: Args<"embeddingBackward">): void {
    const [N, C] = dout.shape;
    const de = floats(dwte), dp = floats(dwpe), dy = floats(dout);
    const token = words(tokens), position = words(positions);
    this.#steps.push(() => {
      for (let n = 0; n < N; n++) {
        for (let c = 0; c < C; c++) {
          de[token[n] * C + c] += dy[n * C + c];
          dp[position[n] * C + c] += dy[n * C + c];
        }
      }
    });
  }

  layernormForward({ out, mean, rstd, x, weight, bias }: Args<"layernormForward">): void {
    const [N, C] = x.shape;
    const y = floats(out), means = floats(mean), rstds = floats(rstd), input = floats(x);
    const w = floats(weight), b = floats(bias);
    this.#steps.push(() => {
      for (let n = 0; n < N; n++) {
        let sum = 0, squares = 0;
        for (let c = 0; c < C; c++) sum += input[n * C + c];
        const m = sum / C;
        for (let c = 0; c < C; c++) squares += (input[n * C + c] - m) ** 2;
        const r = 1 / Math.sqrt(squares / C + 1e-5);
        for (let c = 0; c < C; c++) y[n * C + c] = (input[n * C + c] - m) * r * w[c] + b[c];
        means[n] = m;
        rstds[n] = r;
      }
    });
  }

  layernormBackward(args: Args<"layernormBackward">): void {
    const [N, C] = args.x.shape;
    const dx = floats(args.dx), dw = floats(args.dweight), db = floats(args.dbias);
    const dy = floats(args.dout), x = floats(args.x), w = floats(args.weight);
    const mean = floats(args.mean), rstd = floats(args.rstd);
    this.#steps.push(() => {
      for (let n = 0; n < N; n++) {
        const hat = (c: number) => (x[n * C + c] - mean[n]) * rstd[n];
        let sum = 0, sumHat = 0; // of the gradient at the normalised input
        for (let c = 0; c < C; c++) {
          const dhat = dy[n * C + c] * w[c];
          sum += dhat;
          sumHat += dhat * hat(c);
        }
        for (let c = 0; c < C; c++) {
          const dhat = dy[n * C + c] * w[c];
          dx[n * C + c] += (dhat - sum / C - hat(c) * sumHat / C) * rstd[n];
        }
      }
      for (let c = 0; c < C; c++) {
        let sumWeight = 0, sumBias = 0;
        for (let n = 0; n < N; n++) {
          sumWeight += dy[n * C + c] * (x[n * C + c] - mean[n]) * rstd[n];
          sumBias += dy[n * C + c];
        }
        dw[c] += sumWeight;
        db[c] += sumBias;
      }
    });
  }

  matmul(args: MatmulArgs): void {
    const { m, n, k } = matmulSize(args);
    const y = floats(args.out), a = floats(args.a), b = floats(args.b);
    const bias = args.bias && floats(args.bias), residual = args.residual && floats(args.residual);
    const geluInto = args.geluInto && floats(args.geluInto);
    const geluFrom = args.geluFrom && floats(args.geluFrom);
    const [aRow, aCol] = args.transposeA ? [1, m] : [k, 1];
    const [bRow, bCol] = args.transposeB ? [1, k] : [n, 1];
    this.#steps.push(() => {
      for (let i = 0; i < m; i++) {
        for (let j = 0; j < n; j++) {
          let sum = bias ? bias[j] : 0;
          for (let l = 0; l < k; l++) sum += a[i * aRow + l * aCol] * b[l * bRow + j * bCol];
          const at = i * n + j;
          if (geluInto) {
            geluInto[at] = sum;
            sum = gelu(sum);
          }
          if (geluFrom) sum *= geluDerivative(geluFrom[at]);
          if (residual) sum += residual[at];
          y[at] = args.accumulate ? y[at] + sum : sum;
        }
      }
    });
  }

  biasBackward({ dbias, dout }: Args<"biasBackward">): void {
    const [N, C] = dout.shape;
    const db = floats(dbias), dy = floats(dout);
    this.#steps.push(() => {
      for (let c = 0; c < C; c++) {
        let sum = 0;
        for (let n = 0; n < N; n++) sum += dy[n * C + c];
        db[c] += sum;
      }
    });
  }

  attentionForward({ out, lse, qkv, positions, B, NH }: Args<"attentionForward">): void {
    const [N, C] = out.shape;
    const T = N / B, HS = C / NH;
    const y = floats(out), logSum = floats(lse), x = floats(qkv), position = words(positions);
    this.#steps.push(() => {
      for (let n = 0; n < N; n++) {
        const first = n - Math.min(position[n], n % T); // the first key this query may see
        for (let h = 0; h < NH; h++) {
          const scores = attentionScores(x, n, first, h, C, HS);
          const highest = scores.reduce((a, b) => Math.max(a, b), -Infinity);
          const total = scores.reduce((sum, score) => sum + Math.exp(score - highest), 0);
          logSum[n * NH + h] = highest + Math.log(total);
          for (let i = 0; i < HS; i++) {
            let sum = 0;
            for (let key = first; key <= n; key++) {
              const probability = Math.exp(scores[key - first] - highest) / total;
              sum += probability * x[key * 3 * C + 2 * C + h * HS + i];
            }
            y[n * C + h * HS + i] = sum;
          }
        }
      }
    });
  }

  attentionBackward(args: Args<"attentionBackward">): void {
    const { B, NH } = args;
    const [N, C] = args.out.shape;
    const T = N / B, HS = C / NH, scale = 1 / Math.sqrt(HS);
    const dx = floats(args.dqkv), dy = floats(args.dout), y = floats(args.out);
    const logSum = floats(args.lse), x = floats(args.qkv), position = words(args.positions);
    this.#steps.push(() => {
      const sums = new Float64Array(dx.length);
      for (let n = 0; n < N; n++) {
        const first = n - Math.min(position[n], n % T);
        for (let h = 0; h < NH; h++) {
          const at = h * HS;
          const scores = attentionScores(x, n, first, h, C, HS);
          let delta = 0; // Σ dout · out, which stands for the softmax's own gradient sum
          for (let i = 0; i < HS; i++) delta += dy[n * C + at + i] * y[n * C + at + i];
          for (let key = first; key <= n; key++) {
            const probability = Math.exp(scores[key - first] - logSum[n * NH + h]);
            const q = n * 3 * C + at, k = key * 3 * C + C + at, v = key * 3 * C + 2 * C + at;
            let dprobability = 0;
            for (let i = 0; i < HS; i++) {
              dprobability += dy[n * C + at + i] * x[v + i];
              sums[v + i] += probability * dy[n * C + at + i];
            }
            const dscore = probability * (dprobability - delta) * scale;
            for (let i = 0; i < HS; i++) {
              sums[q + i] += dscore * x[k + i];
              sums[k + i] += dscore * x[q + i];
            }
          }
        }
      }
      dx.set(sums);
    });
  }

  crossEntropy({ losses, logits, targets, scale, scaling }: Args<"crossEntropy">): void {
    const [R, V] = logits.shape;
    const loss = floats(losses), z = floats(logits), target = words(targets), s = floats(scale);
    const lossScale = lossScaleOf(scaling);
    this.#steps.push(() => {
      const factor = s[0] * lossScale();
      for (let r = 0; r < R; r++) {
        const row = z.subarray(r * V, (r + 1) * V);
        if (target[r] === IGNORED) {
          loss[r] = 0;
          row.fill(0);
          continue;
        }
        let highest = -Infinity, total = 0;
        for (let v = 0; v < V; v++) highest = Math.max(highest, row[v]);
        for (let v = 0; v < V; v++) total += Math.exp(row[v] - highest);
        loss[r] = highest + Math.log(total) - row[target[r]];
        for (let v = 0; v < V; v++) {
          const probability = Math.exp(row[v] - highest) / total;
          row[v] = (probability - (v === target[r] ? 1 : 0)) * factor;
        }
      }
    });
  }

  dropout({ x, rate, seed, site }: Args<"dropout">): void {
    const y = floats(x), word = words(seed), keep = dropoutThreshold(rate);
    this.#steps.push(() => {
      for (let i = 0; i < y.length; i++) {
        y[i] = dropoutKeeps(word[0], site, i, keep) ? y[i] / (1 - rate) : 0;
      }
    });
  }

  add({ out, a, b }: Args<"add">): void {
    const y = floats(out), left = floats(a), right = floats(b);
    this.#steps.push(() => {
      for (let i = 0; i < y.length; i++) y[i] = left[i] + right[i];
    });
  }

  sum({ out, x }: Args<"sum">): void {
    const y = floats(out), input = floats(x);
    this.#steps.push(() => {
      let sum = 0;
      for (let i = 0; i < input.length; i++) sum += input[i];
      y[0] += sum;
    });
  }

  gradientNorm({ norm, grads, scaling }: Args<"gradientNorm">): void {
    const y = floats(norm), g = floats(grads), lossScale = lossScaleOf(scaling);
    this.#steps.push(() => {
      let squares = 0;
      for (let i = 0; i < g.length; i++) squares += g[i] * g[i];
      y[0] = Math.sqrt(squares) / lossScale();
    });
  }

  adamw({ params, grads, m, v, norm, hyper, decay, scaling }: Args<"adamw">): void {
    const p = floats(params), g = floats(grads), m1 = floats(m), m2 = floats(v);
    const length = floats(norm), h = floats(hyper), lossScale = lossScaleOf(scaling);
    this.#steps.push(() => {
      if (scaling && !Number.isFinite(length[0])) return;
      const lr = h[HYPER.lr], beta1 = h[HYPER.beta1], beta2 = h[HYPER.beta2];
      const clip = h[HYPER.clip];
      const shrink = clip > 0 && length[0] > clip ? clip / length[0] : 1;
      for (let i = 0; i < p.length; i++) {
        const gradient = g[i] / lossScale() * shrink;
        m1[i] = beta1 * m1[i] + (1 - beta1) * gradient;
        m2[i] = beta2 * m2[i] + (1 - beta2) * gradient * gradient;
        const update = m1[i] * h[HYPER.correction1] /
          (Math.sqrt(m2[i] * h[HYPER.correction2]) + h[HYPER.eps]);
        const decayed = i < decay ? h[HYPER.weightDecay] * p[i] : 0;
        p[i] -= lr * (update + decayed);
      }
    });
  }

  adjustLossScale({ scaling, norm, interval }: Args<"adjustLossScale">): void {
    const state = floats(scaling), length = floats(norm);
    this.#steps.push(() => {
      if (!Number.isFinite(length[0])) {
        state[SCALING.scale] = Math.max(state[SCALING.scale] / 2, MIN_LOSS_SCALE);
        state[SCALING.steps] = 0;
        state[SCALING.skipped]++;
        return;
      }
      state[SCALING.norm] = length[0];
      state[SCALING.steps]++;
      if (state[SCALING.steps] < interval) return;
      state[SCALING.steps] = 0;
      if (state[SCALING.scale] < MAX_LOSS_SCALE) state[SCALING.scale] *= 2;
    });
  }

  attentionCached(
    { out, qkv, keys, values, positions, slots, NH }: Args<"attentionCached">,
  ): void {
    const [N, C] = out.shape;
    const [, , L, HS] = keys.shape;
    const y = floats(out), x = floats(qkv), k = floats(keys), v = floats(values);
    const position = words(positions), slot = words(slots);
    const place = (n: number, h: number, at: number) => ((slot[n] * NH + h) * L + at) * HS;
    this.#steps.push(() => {
      for (let n = 0; n < N; n++) {
        if (position[n] === INACTIVE) continue;
        for (let h = 0; h < NH; h++) {
          const to = place(n, h, position[n]), from = n * 3 * C + h * HS;
          for (let i = 0; i < HS; i++) {
            k[to + i] = x[from + C + i];
            v[to + i] = x[from + 2 * C + i];
          }
        }
      }
      for (let n = 0; n < N; n++) {
        if (position[n] === INACTIVE) {
          y.fill(0, n * C, (n + 1) * C);
          continue;
        }
        for (let h = 0; h < NH; h++) {
          const scores = Array.from({ length: position[n] + 1 }, (_, at) => {
            let sum = 0;
            for (let i = 0; i < HS; i++) {
              sum += x[n * 3 * C + h * HS + i] * k[place(n, h, at) + i];
            }
            return sum / Math.sqrt(HS);
          });
          const highest = scores.reduce((a, b) => Math.max(a, b), -Infinity);
          const weights = scores.map((score) => Math.exp(score - highest));
          const total = weights.reduce((a, b) => a + b, 0);
          for (let i = 0; i < HS; i++) {
            let sum = 0;
            weights.forEach((weight, at) => sum += weight * v[place(n, h, at) + i]);
            y[n * C + h * HS + i] = sum / total;
          }
        }
      }
    });
  }

  attentionCachedInt8(args: Args<"attentionCachedInt8">): void {
    this.#steps.push(attentionCachedInt8(args));
  }

  embeddingForwardInt8(args: Args<"embeddingForwardInt8">): void {
    this.#steps.push(embeddingForwardInt8(args));
  }

  matmulInt8(args: MatmulInt8Args): void {
    this.#steps.push(matmulInt8(args));
  }

  topLogits({ out, logits }: Args<"topLogits">): void {
    const [R, V] = logits.shape, K = (out.shape[1] - 1) / 2;
    const y = floats(out), x = floats(logits);
    this.#steps.push(() => {
      for (let r = 0; r < R; r++) {
        const row = x.subarray(r * V, (r + 1) * V);
        const ids = Array.from(row.keys()).sort((a, b) => row[b] - row[a] || a - b);
        const highest = row[ids[0]];
        const sum = ids.reduce((sum, id) => sum + Math.exp(row[id] - highest), 0);
        const top = ids.slice(0, K);
        y.set([highest + Math.log(sum), ...top.map((id) => row[id]), ...top], r * (1 + 2 * K));
      }
    });
  }

  drawTokens(args: Args<"drawTokens">): void {
    this.#steps.push(drawTokens(args));
  }
}

/** Reads the loss scale, 1 where there is no loss scaling. */
function lossScaleOf(scaling: Tensor | undefined): () => number {
  if (!scaling) return () => 1;
  const state = floats(scaling);
  return () => state[SCALING.scale];
}

/** Scaled dot products of query `n` of head `h` with keys `first` … `n`. */
function attentionScores(
  x: FloatArray,
  n: number,
  first: number,
  h: number,
  C: number,
  HS: number,
): number[] {
  return Array.from({ length: n - first + 1 }, (_, i) => {
    let sum = 0;
    const q = n * 3 * C + h * HS, k = (first + i) * 3 * C + C + h * HS;
    for (let j = 0; j < HS; j++) sum += x[q + j] * x[k + j];
    return sum / Math.sqrt(HS);
  });
}
