/**
 * Telling when a run diverges.
 *
 * @module
 */

/**
 * A training run that cannot go on because its numbers are no longer finite or far off.
 *
 * @example A learning rate far too high
 * ```ts
 * import { DivergenceError, Trainer } from "@bashling/bashling";
 *
 * const corpus = ["#!/bin/bash\n# Say hello\necho hello\n"];
 * const config = { vocabSize: 8000, contextLength: 64, layers: 1, width: 32, heads: 1 };
 * const options = { config, corpus, batchSize: 1, threads: 1, lr: 9, warmup: 0 };
 * using trainer = await Trainer.create({ ...options, backend: "wasm" });
 * try {
 *   for await (const { loss } of trainer.run({ steps: 40 })) console.log(loss);
 * } catch (error) {
 *   if (!(error instanceof DivergenceError)) throw error;
 *   console.log(error.message);
 * }
 * ```
 */
export class DivergenceError extends Error {
  /** Step at which it was seen. */
  readonly step: number;
  /** Loss there, in nats per token. */
  readonly loss: number;
  /** Gradient norm there. */
  readonly gradNorm: number;

  /** Makes the error of one step. */
  constructor(step: number, loss: number, gradNorm: number) {
    super(
      `Training diverged at step ${step}: loss ${loss}, gradient norm ${gradNorm}. ` +
        `Go back to the last checkpoint with a lower learning rate, a longer warm-up or clipping.`,
    );
    this.name = "DivergenceError";
    this.step = step;
    this.loss = loss;
    this.gradNorm = gradNorm;
  }
}

/**
 * Watches the loss for divergence. Single batches differ widely (a story is easy, a script is hard),
 * so it judges a running average: it must stay below twice the loss of a uniform guess, 2 ln V, and,
 * once there are enough reports for it to mean something, within {@linkcode RISE} of its best.
 */
export class LossWatch {
  /** Reports so far. */
  reports = 0;
  /** Σ of reports, each weighted {@linkcode MEMORY} to the power of its age. */
  weighted = 0;
  /** Least average since it means something. */
  best = Number.MAX_VALUE;

  /** Takes in a report; tells whether the run can go on. */
  accepts(loss: number, gradNorm: number, vocabSize: number): boolean {
    if (!Number.isFinite(loss) || !Number.isFinite(gradNorm)) return false;
    this.reports++;
    this.weighted = MEMORY * this.weighted + loss;
    const average = this.weighted * (1 - MEMORY) / (1 - MEMORY ** this.reports);
    if (this.reports >= SETTLED) this.best = Math.min(this.best, average);
    return average < 2 * Math.log(vocabSize) && average < this.best + RISE;
  }
}

/** Weight of the past in the running average at each report. */
const MEMORY = 0.95;
/** Reports after which the average counts as settled. */
const SETTLED = 50;
/** Nats by which the settled average may rise above its best. */
const RISE = 2;
