/**
 * The shape of a model and the four presets.
 *
 * @module
 */

/** The shape of a GPT-2 model with a tied head. */
export interface ModelConfig {
  /** V, number of tokens. */
  vocabSize: number;
  /** L, longest context in tokens. */
  contextLength: number;
  /** Number of transformer blocks. */
  layers: number;
  /** C, width of the residual stream. */
  width: number;
  /** NH, attention heads of width C / NH. */
  heads: number;
}

/** Names of the presets. */
export type Preset = "tiny" | "small" | "base" | "medium";

const shape = (layers: number, width: number, heads: number): Readonly<ModelConfig> =>
  Object.freeze({ vocabSize: 8000, contextLength: 512, layers, width, heads });

/**
 * The presets; `small` is the default. Heads are 64 wide in all of them.
 *
 * @example
 * ```ts
 * import { PRESETS } from "@bashling/bashling";
 * import { assertEquals } from "@std/assert";
 *
 * const { layers, width, heads } = PRESETS.small;
 * assertEquals([layers, width, heads], [6, 384, 6]);
 * ```
 */
export const PRESETS: Readonly<Record<Preset, Readonly<ModelConfig>>> = Object.freeze({
  tiny: shape(4, 256, 4),
  small: shape(6, 384, 6),
  base: shape(11, 576, 9),
  medium: shape(12, 768, 12),
});

/**
 * The shape that a preset's name stands for.
 * @throws {RangeError} if there is no such preset.
 */
export function preset(name: string): Readonly<ModelConfig> {
  if (!Object.hasOwn(PRESETS, name)) {
    throw new RangeError(
      `No preset is called "${name}". Choose one of ${Object.keys(PRESETS).join(", ")}.`,
    );
  }
  return PRESETS[name as Preset];
}

/**
 * Returns `config` if a model can have this shape.
 * @throws {RangeError} naming the first number that cannot be.
 */
export function checkConfig(config: ModelConfig): ModelConfig {
  const limits: Record<keyof ModelConfig, number> = {
    vocabSize: 1 << 17,
    contextLength: 1 << 15,
    layers: 256,
    width: 1 << 14,
    heads: 256,
  };
  for (const [key, most] of Object.entries(limits) as [keyof ModelConfig, number][]) {
    const value = config[key];
    if (!Number.isInteger(value) || value < 1 || value > most) {
      throw new RangeError(`Model ${key} is ${value}, expected a whole number from 1 to ${most}.`);
    }
  }
  if (config.width % config.heads !== 0) {
    throw new RangeError(
      `Model width ${config.width} cannot be shared by ${config.heads} heads: choose a multiple.`,
    );
  }
  if ((config.width / config.heads) % 4 !== 0 || config.width / config.heads > 128) {
    throw new RangeError(
      `Heads are ${
        config.width / config.heads
      } wide, expected a multiple of 4 up to 128: change width or heads.`,
    );
  }
  return config;
}
