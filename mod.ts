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

export {
  Bashling,
  type GenerationResult,
  type LoadOptions,
  type Piece,
  type Score,
} from "./src/generator/generator.ts";
export type { BackendName } from "./src/backend/backend.ts";
export type { GenerateOptions } from "./src/generator/options.ts";
export type { ModelConfig } from "./src/model/config.ts";
export { type EncodeOptions, type StreamDecoder, Tokenizer } from "./src/tokenizer/tokenizer.ts";
