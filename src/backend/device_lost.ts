/**
 * What becomes of a backend whose device goes away.
 *
 * @module
 */

/**
 * A GPU that went away while it was in use, and with it all that was on it: the driver was reset or
 * updated, a laptop changed its GPU, or one command took too long.
 *
 * @example Train on from the last checkpoint
 * ```ts
 * import { DeviceLostError, Trainer } from "@bashling/bashling";
 *
 * const corpus = ["#!/bin/bash\n# Say hello\necho hello\n"];
 * const config = { vocabSize: 8000, contextLength: 64, layers: 1, width: 32, heads: 1 };
 * const folder = await Deno.makeTempDir();
 * let trainer = await Trainer.create({ config, corpus, batchSize: 1, steps: 4 });
 * while (trainer.step < 4) {
 *   try {
 *     for await (const step of trainer.run({ steps: 2 })) console.log(step.loss);
 *     await trainer.save(folder);
 *   } catch (error) {
 *     if (!(error instanceof DeviceLostError)) throw error;
 *     trainer.dispose();
 *     trainer = await Trainer.resume(folder, { corpus });
 *   }
 * }
 * trainer.dispose();
 * await Deno.remove(folder, { recursive: true });
 * ```
 */
export class DeviceLostError extends Error {
  /** What happened, without a remedy. */
  readonly summary: string;

  /** Makes the error of one loss. */
  constructor(reason: string) {
    const summary = `The GPU was lost (${reason.trim() || "no reason given"}).`;
    super(`${summary} Load or create anew, and train on from the last checkpoint.`);
    this.name = "DeviceLostError";
    this.summary = summary;
  }
}
