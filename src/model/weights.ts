/**
 * Weights as a Hugging Face GPT-2 folder: `config.json`, `model.safetensors` (or shards),
 * `tokenizer.json`, `generation_config.json`. What is written here loads in `transformers`.
 *
 * @module
 */

import { sha256 } from "../digest.ts";
import { makeFolder, NotFound, remove, writeFile } from "../disk.ts";
import { halves } from "../float16.ts";
import { checkConfig, type ModelConfig } from "./config.ts";
import { type ParameterLayout, parameterLayout } from "./parameters.ts";
import { isHalf, type NamedTensor } from "./safetensors.ts";
import {
  dequantizeModel,
  INT8_LAYOUT,
  int8FromTensors,
  type Int8Model,
  quantizeModel,
  tensorsFromInt8,
} from "./int8.ts";
import {
  type Folder,
  JSON_LIMIT,
  openFolder,
  parseObject,
  readJson,
  readTensorSet,
  type TensorSet,
  writeTensorSet,
} from "./shards.ts";

/** Name of the token that ends a document. */
export const END_OF_TEXT = "<|endoftext|>";

/** How to generate unless told otherwise; `generation_config.json`. */
export interface GenerationConfig {
  /** Most tokens after the prompt. */
  maxTokens: number;
  /** Divides the logits: below 1 focused, above 1 wild. */
  temperature: number;
  /** Only the k likeliest tokens are drawn from; 0 for all. */
  topK: number;
  /** Only the likeliest tokens that together reach this probability are drawn from. */
  topP: number;
}

/** Default of {@linkcode GenerationConfig}. */
export const GENERATION: Readonly<GenerationConfig> = Object.freeze({
  maxTokens: 200,
  temperature: 0.8,
  topK: 50,
  topP: 0.9,
});

/** A model as files hold it. */
export interface Weights {
  /** Shape of the model. */
  config: ModelConfig;
  /** The pool of parameters as `parameterLayout(config)` lays it out. */
  parameters: Float32Array<ArrayBuffer>;
  /** Text of `tokenizer.json`. */
  tokenizerJson: string;
  /** How to generate unless told otherwise. */
  generation: GenerationConfig;
}

/** A model as it was read. */
export interface LoadedWeights extends Weights {
  /** SHA-256 of the parameters' file, which tells which weights these are. */
  fingerprint: string;
}

/** Options of {@linkcode saveWeights}. */
export interface SaveWeightsOptions {
  /** Type of the parameters in the file, F16 unless given. */
  dtype?: "F16" | "F32";
  /** Most bytes of data in one file; one file for all unless given. */
  maxShardSize?: number;
  /** Write `model.q8.safetensors` too, the parameters in 8 bits. Default false. */
  int8?: boolean;
}

/** What a GPT-2 folder holds beside its tensors. */
type Description = Omit<Weights, "parameters">;

/** A model in 8 bits as files hold it. */
export interface Int8Weights extends Description {
  /** Its tensors, which are still being read while the tokenizer can be made. */
  model: Promise<Int8Model>;
  /** As in {@linkcode LoadedWeights}. */
  fingerprint: Promise<string>;
}

/**
 * Loads a GPT-2 folder from a path or a `file:`, `http:` or `https:` URL. Where it has parameters in
 * 8 bits only, those are what is loaded.
 *
 * @throws {Deno.errors.NotFound} if a file is missing.
 * @throws {SyntaxError} if a file cannot be parsed.
 * @throws {RangeError} if the files do not describe one whole GPT-2 model with a tied head and its
 * tokenizer, or the data was damaged.
 */
export async function loadWeights(source: string | URL): Promise<LoadedWeights> {
  const folder = openFolder(source);
  const description = await loadDescription(folder);
  const { config, tokenizerJson } = description;
  const layout = parameterLayout(config);
  // Files may hold F32, the tied head once more, and the attention masks of old exports.
  const masks = config.layers * (config.contextLength ** 2 + 64);
  const limit = 4 * (layout.count + config.vocabSize * config.width + masks);
  const set = await readTensorSet(folder, "model", limit);
  if (set) {
    await checkFingerprint(set.metadata, tokenizerJson, config);
    const fingerprint = await fingerprintOf(set);
    return { ...description, parameters: parametersFromTensors(set.tensors, layout), fingerprint };
  }
  const read = await readInt8(folder, description);
  if (!read) throw missing(folder, "model.safetensors");
  const { model, fingerprint } = read;
  return { ...description, parameters: dequantizeModel(config, model), fingerprint };
}

/**
 * Loads the parameters in 8 bits of a GPT-2 folder: `model.q8.safetensors`, or else those that
 * `model.safetensors` rounds to.
 *
 * @throws as {@linkcode loadWeights} does.
 */
export async function loadInt8Weights(source: string | URL): Promise<Int8Weights> {
  const folder = openFolder(source);
  const description = await loadDescription(folder);
  const reading = readInt8(folder, description).then(async (read) => {
    if (read) return read;
    const { parameters, fingerprint } = await loadWeights(source);
    return { model: quantizeModel(description.config, parameters), fingerprint };
  });
  const model = reading.then((read) => read.model);
  const fingerprint = reading.then((read) => read.fingerprint);
  for (const promise of [model, fingerprint]) promise.catch(() => {}); // told to whoever waits
  return { ...description, model, fingerprint };
}

/** The data's SHA-256: the one in the file, which was checked, or else a new one. */
async function fingerprintOf({ metadata, tensors }: TensorSet): Promise<string> {
  return metadata.sha256 ??
    await sha256(...[...tensors.values()].map(({ data }) => data as ArrayBufferView<ArrayBuffer>));
}

const missing = (folder: Folder, file: string): Error =>
  new NotFound(
    `Cannot load weights: there is no ${file} in ${folder.name}; give the folder of a trained model.`,
  );

async function loadDescription(folder: Folder): Promise<Description> {
  const [configJson, tokenizer, generationJson] = await Promise.all([
    readJson(folder, "config.json"),
    folder.read("tokenizer.json", JSON_LIMIT),
    readJson(folder, "generation_config.json"),
  ]);
  if (!configJson) throw missing(folder, "config.json");
  if (!tokenizer) throw missing(folder, "tokenizer.json");
  return {
    config: configFromJson(configJson),
    tokenizerJson: new TextDecoder().decode(tokenizer),
    generation: generationFromJson(generationJson ?? {}),
  };
}

/** The tensors of `model.q8.safetensors`, if the folder has it. */
async function readInt8(
  folder: Folder,
  { config, tokenizerJson }: Description,
): Promise<{ model: Int8Model; fingerprint: string } | undefined> {
  // Every parameter in a byte, vectors in four, and two numbers for each row.
  const limit = 16 * parameterLayout(config).count;
  const set = await readTensorSet(folder, INT8_STEM, limit);
  if (!set) return undefined;
  await checkFingerprint(set.metadata, tokenizerJson, config);
  return { model: int8FromTensors(set.tensors, config), fingerprint: await fingerprintOf(set) };
}

/** `model.q8.safetensors` holds a model in 8 bits beside `model.safetensors`. */
const INT8_STEM = "model.q8";

/**
 * Writes a GPT-2 folder, creating it if need be; other files in it stay. Each file is replaced whole.
 *
 * @throws {RangeError} if the parameters do not fit the shape, are not finite, or are too large for
 * F16, or the tokenizer is another model's. Nothing is written then.
 */
export async function saveWeights(
  folder: string,
  weights: Omit<Weights, "generation"> & { generation?: GenerationConfig },
  options: SaveWeightsOptions = {},
): Promise<void> {
  const { config, parameters, tokenizerJson, generation = GENERATION } = weights;
  const { dtype = "F16", maxShardSize, int8 = false } = options;
  const { endOfText } = checkTokenizer(tokenizerJson, checkConfig(config));
  const tensors = tensorsFromParameters(parameters, config, dtype);
  await makeFolder(folder);
  const metadata = { format: "pt", tokenizer: await sha256(tokenizerJson) };
  // What is in 8 bits must never be older than what it was rounded from.
  await remove(`${folder}/${INT8_STEM}.safetensors`);
  await writeTensorSet(folder, "model", tensors, metadata, maxShardSize, int8);
  if (int8) {
    const rounded = tensorsFromInt8(quantizeModel(config, parameters), config);
    await writeTensorSet(folder, INT8_STEM, rounded, { ...metadata, layout: INT8_LAYOUT });
  }
  await writeDescription(folder, { config, tokenizerJson, generation, dtype, endOfText });
}

/** Writes the files of a GPT-2 folder other than its tensors. */
export async function writeDescription(
  folder: string,
  { config, tokenizerJson, generation, dtype, endOfText }: {
    config: ModelConfig;
    tokenizerJson: string;
    generation: GenerationConfig;
    dtype: "F16" | "F32";
    endOfText: number;
  },
): Promise<void> {
  const json: Record<string, unknown> = {
    "config.json": configToJson(config, dtype, endOfText),
    "generation_config.json": {
      bos_token_id: endOfText,
      eos_token_id: endOfText,
      pad_token_id: endOfText,
      do_sample: true,
      max_new_tokens: generation.maxTokens,
      temperature: generation.temperature,
      top_k: generation.topK,
      top_p: generation.topP,
    },
    "tokenizer_config.json": {
      tokenizer_class: "PreTrainedTokenizerFast",
      model_max_length: config.contextLength,
      bos_token: END_OF_TEXT,
      eos_token: END_OF_TEXT,
      pad_token: END_OF_TEXT,
      clean_up_tokenization_spaces: false,
    },
  };
  for (const [file, value] of Object.entries(json)) {
    await writeFile(`${folder}/${file}`, [JSON.stringify(value, null, 2) + "\n"]);
  }
  await writeFile(`${folder}/tokenizer.json`, [tokenizerJson]);
}

/** `config.json` of `transformers`' GPT-2. */
function configToJson(
  config: ModelConfig,
  dtype: "F16" | "F32",
  endOfText: number,
): Record<string, unknown> {
  return {
    model_type: "gpt2",
    architectures: ["GPT2LMHeadModel"],
    vocab_size: config.vocabSize,
    n_positions: config.contextLength,
    n_ctx: config.contextLength,
    n_embd: config.width,
    n_layer: config.layers,
    n_head: config.heads,
    n_inner: null,
    activation_function: "gelu_new",
    layer_norm_epsilon: 1e-5,
    initializer_range: 0.02,
    resid_pdrop: 0,
    embd_pdrop: 0,
    attn_pdrop: 0,
    scale_attn_weights: true,
    tie_word_embeddings: true,
    bos_token_id: endOfText,
    eos_token_id: endOfText,
    torch_dtype: dtype === "F16" ? "float16" : "float32",
  };
}

/**
 * The shape that a `config.json` describes.
 * @throws {RangeError} if it is not that of a GPT-2 that this module computes.
 */
export function configFromJson(json: Record<string, unknown>): ModelConfig {
  const config = {
    vocabSize: json.vocab_size,
    contextLength: json.n_positions,
    layers: json.n_layer,
    width: json.n_embd,
    heads: json.n_head,
  };
  const only = (key: string, ...allowed: unknown[]): void => {
    if (!allowed.includes(json[key])) {
      throw new RangeError(
        `Cannot load weights: ${key} in config.json is ${JSON.stringify(json[key])}, expected ${
          JSON.stringify(allowed[0])
        }; give a GPT-2 model.`,
      );
    }
  };
  only("model_type", "gpt2");
  only("activation_function", "gelu_new", "gelu_pytorch_tanh", undefined);
  only("layer_norm_epsilon", 1e-5, undefined);
  only("n_inner", null, undefined, 4 * Number(config.width));
  only("tie_word_embeddings", true, undefined);
  only("scale_attn_weights", true, undefined);
  only("scale_attn_by_inverse_layer_idx", false, undefined);
  only("add_cross_attention", false, undefined);
  return checkConfig(config as ModelConfig);
}

function generationFromJson(json: Record<string, unknown>): GenerationConfig {
  const number = (key: string, otherwise: number, least: number, most: number): number => {
    const value = json[key] ?? otherwise;
    if (typeof value !== "number" || !(value >= least && value <= most)) {
      throw new RangeError(
        `Cannot load weights: ${key} in generation_config.json is ${
          JSON.stringify(value)
        }, expected ${least} to ${most}; correct it.`,
      );
    }
    return value;
  };
  return {
    maxTokens: number("max_new_tokens", GENERATION.maxTokens, 1, 1 << 20),
    temperature: number("temperature", GENERATION.temperature, 0, 100),
    topK: number("top_k", GENERATION.topK, 0, 1 << 20),
    topP: number("top_p", GENERATION.topP, 0, 1),
  };
}

/**
 * Number of tokens of a tokenizer, and the id of `<|endoftext|>`.
 * @throws {SyntaxError} if the text is no `tokenizer.json`.
 * @throws {RangeError} if it has more tokens than the model.
 */
export function checkTokenizer(
  tokenizerJson: string,
  config: ModelConfig,
): { size: number; endOfText: number } {
  const json = parseObject(tokenizerJson, "tokenizer.json");
  const vocab = (json.model as { vocab?: unknown } | undefined)?.vocab;
  const added = json.added_tokens ?? [];
  if (typeof vocab !== "object" || vocab === null || !Array.isArray(added)) {
    throw new SyntaxError(
      "Cannot load tokenizer.json: it has no model with a vocabulary; fetch or write it again.",
    );
  }
  const ids = new Map(Object.entries(vocab as Record<string, unknown>));
  for (const token of added as { content?: string; id?: number }[]) {
    if (token?.content !== undefined) ids.set(token.content, token.id);
  }
  const size = new Set(ids.values()).size;
  if (size > config.vocabSize) throw foreignTokenizer(size, config);
  const endOfText = ids.get(END_OF_TEXT);
  if (!Number.isInteger(endOfText)) {
    throw new RangeError(
      `Cannot load weights: the tokenizer has no ${END_OF_TEXT}; give the tokenizer.json that the model was trained with.`,
    );
  }
  return { size, endOfText: endOfText as number };
}

const foreignTokenizer = (size: number, { vocabSize }: ModelConfig): RangeError =>
  new RangeError(
    `Cannot load weights: the tokenizer has ${size} tokens and the model ${vocabSize}; give the tokenizer.json that the model was trained with.`,
  );

/** Checks that the tensors were written beside this tokenizer, as far as can be known. */
async function checkFingerprint(
  metadata: Record<string, string>,
  tokenizerJson: string,
  config: ModelConfig,
): Promise<void> {
  const { size } = checkTokenizer(tokenizerJson, config);
  if (metadata.tokenizer === undefined) {
    if (size !== config.vocabSize) throw foreignTokenizer(size, config);
    return;
  }
  const found = await sha256(tokenizerJson);
  if (metadata.tokenizer !== found) {
    throw new RangeError(
      `Cannot load weights: tokenizer.json is another model's (fingerprint ${
        found.slice(0, 12)
      }, expected ${
        metadata.tokenizer.slice(0, 12)
      }); give the one that the model was trained with.`,
    );
  }
}

/**
 * The pool of parameters as tensors of a file.
 *
 * @throws {RangeError} if the pool does not fit the shape or a value is not finite in `dtype`.
 */
export function tensorsFromParameters(
  parameters: Float32Array<ArrayBuffer>,
  config: ModelConfig,
  dtype: "F16" | "F32",
): NamedTensor[] {
  const { specs, poolSize } = parameterLayout(config);
  if (parameters.length !== poolSize) {
    throw new RangeError(
      `Cannot save weights: the pool has ${parameters.length} elements, expected ${poolSize}.`,
    );
  }
  return specs.map(({ name, shape, offset, size }) => {
    const values = parameters.subarray(offset, offset + size);
    const data = dtype === "F16" ? new (halves())(size) : values;
    if (data !== values) data.set(values);
    if (!allFinite(data)) {
      throw new RangeError(
        allFinite(values)
          ? `Cannot save weights: ${name} has values too large for F16; save as F32.`
          : `Cannot save weights: ${name} has values that are not finite; go back to an earlier checkpoint.`,
      );
    }
    return { name, shape, data };
  });
}

/**
 * The pool of parameters from tensors of a file. Names without `transformer.` are understood; the
 * tied head and the attention masks of old exports are passed over.
 *
 * @throws {RangeError} if names, shapes, types or values are not the model's.
 */
export function parametersFromTensors(
  tensors: TensorSet["tensors"],
  { specs, poolSize }: ParameterLayout,
): Float32Array<ArrayBuffer> {
  const found = new Map<string, NamedTensor>();
  for (const [name, tensor] of tensors) {
    if (/(^lm_head\.weight|\.attn\.(masked_)?bias)$/.test(name)) continue;
    found.set(name.startsWith("transformer.") ? name : `transformer.${name}`, tensor);
  }
  if (found.size !== specs.length) {
    throw new RangeError(
      `Cannot load weights: file has ${found.size} tensors, expected ${specs.length}; give the config.json that belongs to it.`,
    );
  }
  const pool = new Float32Array(poolSize);
  for (const { name, shape, offset, size } of specs) {
    const tensor = found.get(name);
    if (!tensor) {
      throw new RangeError(
        `Cannot load weights: file has no tensor ${name}; give a GPT-2 model's weights.`,
      );
    }
    if (tensor.shape.join() !== shape.join()) {
      throw new RangeError(
        `Cannot load weights: ${name} has shape [${tensor.shape}], expected [${shape}]; give the config.json that belongs to it.`,
      );
    }
    const { data } = tensor;
    if (!(data instanceof Float32Array || isHalf(data))) {
      throw new RangeError(
        `Cannot load weights: ${name} holds whole numbers, expected F16 or F32; export the model again.`,
      );
    }
    const values = pool.subarray(offset, offset + size);
    values.set(data);
    if (!allFinite(values)) {
      throw new RangeError(
        `Cannot load weights: ${name} has values that are not finite; fetch or train the model again.`,
      );
    }
  }
  return pool;
}

/** Whether no value is infinite or NaN: 0 · x is 0 for finite x only. */
function allFinite(values: Float32Array | Float16Array): boolean {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i] * 0;
  return sum === 0;
}
