/**
 * Bashling: a small language model that reads English and writes bash.
 *
 * @example
 * ```ts
 * import { Bashling } from "@bashling/bashling";
 *
 * using model = await Bashling.load();
 * const script = await model.complete("Create a backup script", { seed: 1, maxTokens: 100 });
 * console.log(script);
 * ```
 *
 * @module
 */

export { Bashling, type LoadOptions, type Score } from "./src/generator/generator.ts";
export type {
  Explanation,
  GenerationResult,
  Piece,
  TokenProbability,
} from "./src/generator/generation.ts";
export type { Script } from "./src/generator/choose.ts";
export type { CompleteOptions, GenerateOptions } from "./src/generator/options.ts";
export { classify, type Finding, type Verdict, type VerdictLevel } from "./src/safety/verdict.ts";
export { checkSyntax, Syntax, type SyntaxCheck } from "./src/syntax/syntax.ts";
export type { Fault as SyntaxFault } from "./src/syntax/state.ts";
export type { BackendName } from "./src/backend/backend.ts";
export { DeviceLostError } from "./src/backend/device_lost.ts";
export { type ModelConfig, type Preset, PRESETS } from "./src/model/config.ts";
export type { GenerationConfig } from "./src/model/weights.ts";
export {
  type TrainProgress,
  trainTokenizer,
  type TrainTokenizerOptions,
  type WeightedText,
} from "./src/tokenizer/train.ts";
export type { AdamwOptions } from "./src/trainer/adamw.ts";
export type { Schedule } from "./src/trainer/schedule.ts";
export type { BatchSource } from "./src/corpus/batches.ts";
export { TokenizedCorpus } from "./src/corpus/tokenized.ts";
export type { TrainingBackend } from "./src/trainer/create_engine.ts";
export { DivergenceError } from "./src/trainer/loss_watch.ts";
export type { TrainingSettings } from "./src/trainer/settings.ts";
export {
  type ResumeOptions,
  Trainer,
  type TrainerOptions,
  type TrainingStep,
  type ValidationScore,
} from "./src/trainer/trainer.ts";
export { type EncodeOptions, type StreamDecoder, Tokenizer } from "./src/tokenizer/tokenizer.ts";
