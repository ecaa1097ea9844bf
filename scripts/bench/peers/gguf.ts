/**
 * Our model as a GGUF file (version 3, architecture `gpt2`), for llama.cpp and whatever builds on it:
 * what the benchmarks hand to that peer.
 *
 * @module
 */

import type { ModelConfig } from "../../../src/model/config.ts";
import { parameterLayout } from "../../../src/model/parameters.ts";
import type { Weights } from "../../../src/model/weights.ts";

/** Types that matrices can have in the file; vectors and positions are always F32. */
export type GgufMatrixType = "F32" | "F16" | "Q8_0";

/** Number of each tensor type in ggml, and of a file whose matrices have it. */
const TYPES: Record<GgufMatrixType, { tensor: number; file: number }> = {
  F32: { tensor: 0, file: 0 },
  F16: { tensor: 1, file: 1 },
  Q8_0: { tensor: 8, file: 7 },
};

/** Elements of a block of Q8_0: one f16 scale, then as many int8. */
export const Q8_BLOCK = 32;

/** Tensors begin at multiples of so many bytes: the format's default, so no key says it. */
const ALIGNMENT = 32;

/** Names in GGUF of what stands once, by Hugging Face's. */
const NAMES: Record<string, string> = {
  "wte": "token_embd",
  "wpe": "position_embd",
  "ln_f": "output_norm",
};

/** Names in GGUF of the parts of a block, by Hugging Face's. */
const BLOCK_NAMES: Record<string, string> = {
  "ln_1": "attn_norm",
  "attn.c_attn": "attn_qkv",
  "attn.c_proj": "attn_output",
  "ln_2": "ffn_norm",
  "mlp.c_fc": "ffn_up",
  "mlp.c_proj": "ffn_down",
};

/** GGUF's name of a parameter: `blk.0.attn_qkv.bias` for `transformer.h.0.attn.c_attn.bias`. */
function nameOf(name: string): string {
  const [, layer, part, kind] = /^transformer\.(?:h\.(\d+)\.)?(.+)\.(weight|bias)$/.exec(name)!;
  return layer === undefined
    ? `${NAMES[part]}.${kind}`
    : `blk.${layer}.${BLOCK_NAMES[part]}.${kind}`;
}

/** A value of a metadata entry, by its type. */
type Value =
  | { u32: number }
  | { f32: number }
  | { bool: boolean }
  | { text: string }
  | { texts: string[] }
  | { i32s: number[] };

const utf8 = new TextEncoder();

/** Bytes one after another, little-endian. */
class Writer {
  #bytes = new Uint8Array(1 << 16);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  /** Makes room for more bytes and returns where they begin. */
  #grow(count: number): number {
    const at = this.#length, length = this.#length += count;
    if (length > this.#bytes.length) {
      const bytes = new Uint8Array(2 * length);
      bytes.set(this.#bytes);
      this.#bytes = bytes;
      this.#view = new DataView(bytes.buffer);
    }
    return at;
  }

  u32(value: number): void {
    const at = this.#grow(4);
    this.#view.setUint32(at, value, true);
  }

  u64(value: number): void {
    const at = this.#grow(8);
    this.#view.setBigUint64(at, BigInt(value), true);
  }

  f32(value: number): void {
    const at = this.#grow(4);
    this.#view.setFloat32(at, value, true);
  }

  bool(value: boolean): void {
    const at = this.#grow(1);
    this.#bytes[at] = value ? 1 : 0;
  }

  text(value: string): void {
    const bytes = utf8.encode(value);
    this.u64(bytes.length);
    const at = this.#grow(bytes.length);
    this.#bytes.set(bytes, at);
  }

  value(value: Value): void {
    if ("u32" in value) {
      this.u32(4);
      this.u32(value.u32);
    } else if ("f32" in value) {
      this.u32(6);
      this.f32(value.f32);
    } else if ("bool" in value) {
      this.u32(7);
      this.bool(value.bool);
    } else if ("text" in value) {
      this.u32(8);
      this.text(value.text);
    } else if ("texts" in value) {
      this.u32(9);
      this.u32(8);
      this.u64(value.texts.length);
      for (const text of value.texts) this.text(text);
    } else {
      this.u32(9);
      this.u32(5);
      this.u64(value.i32s.length);
      for (const number of value.i32s) this.u32(number);
    }
  }

  /** What was written, and zeros up to the next multiple of {@linkcode ALIGNMENT}. */
  aligned(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, align(this.#length));
  }
}

const align = (bytes: number): number => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

/** `rows` × `columns` elements, turned so that each column becomes a row. */
function transpose(values: Float32Array, rows: number, columns: number): Float32Array<ArrayBuffer> {
  const turned = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      turned[column * rows + row] = values[row * columns + column];
    }
  }
  return turned;
}

/** Blocks of {@linkcode Q8_BLOCK} elements, each rounded to the steps that its largest one allows. */
function quantize(values: Float32Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(values.length / Q8_BLOCK * (2 + Q8_BLOCK));
  const view = new DataView(bytes.buffer);
  for (let first = 0, at = 0; first < values.length; first += Q8_BLOCK, at += 2 + Q8_BLOCK) {
    let largest = 0;
    for (let i = 0; i < Q8_BLOCK; i++) largest = Math.max(largest, Math.abs(values[first + i]));
    const scale = largest / 127, inverse = scale > 0 ? 1 / scale : 0;
    view.setFloat16(at, scale, true);
    for (let i = 0; i < Q8_BLOCK; i++) {
      view.setInt8(at + 2 + i, Math.round(values[first + i] * inverse));
    }
  }
  return bytes;
}

function encode(values: Float32Array, type: GgufMatrixType): Uint8Array<ArrayBuffer> {
  if (type === "Q8_0") return quantize(values);
  const array = type === "F16" ? Float16Array.from(values) : Float32Array.from(values);
  return new Uint8Array(array.buffer);
}

/** The vocabulary and what else llama.cpp wants to know of a tokenizer. */
function tokenizerEntries(tokenizerJson: string, { vocabSize }: ModelConfig): [string, Value][] {
  const { model, added_tokens: added } = JSON.parse(tokenizerJson) as {
    model: { vocab: Record<string, number>; merges: (string | string[])[] };
    added_tokens: { id: number; content: string }[];
  };
  // Rows of the embedding that no token has.
  const tokens = Array.from({ length: vocabSize }, (_, id) => `[UNUSED ${id}]`);
  const NORMAL = 1, CONTROL = 3, UNUSED = 5;
  const kinds = new Array<number>(vocabSize).fill(UNUSED);
  for (const [token, id] of Object.entries(model.vocab)) {
    if (id >= vocabSize) {
      throw new RangeError(
        `Cannot write GGUF: the tokenizer has an id ${id} and the model ${vocabSize} tokens; give the tokenizer that it was trained with.`,
      );
    }
    tokens[id] = token;
    kinds[id] = NORMAL;
  }
  for (const { id } of added) kinds[id] = CONTROL;
  const [{ id: endOfText }] = added;
  return [
    ["tokenizer.ggml.model", { text: "gpt2" }],
    ["tokenizer.ggml.pre", { text: "gpt-2" }],
    ["tokenizer.ggml.tokens", { texts: tokens }],
    ["tokenizer.ggml.token_type", { i32s: kinds }],
    ["tokenizer.ggml.merges", { texts: model.merges.map((merge) => [merge].flat().join(" ")) }],
    ["tokenizer.ggml.bos_token_id", { u32: endOfText }],
    ["tokenizer.ggml.eos_token_id", { u32: endOfText }],
    ["tokenizer.ggml.add_bos_token", { bool: false }],
  ];
}

/**
 * A whole GGUF file. Its vocabulary gives our ids their text; it does not make llama.cpp split text
 * as we do, because GGUF has no name for our pretokenizer: feed it ids.
 *
 * @throws {RangeError} if rows of a matrix are no whole blocks of Q8_0, or the tokenizer has more
 * tokens than the model.
 */
export function writeGguf(
  weights: Pick<Weights, "config" | "parameters" | "tokenizerJson">,
  type: GgufMatrixType = "Q8_0",
): Uint8Array<ArrayBuffer> {
  const { config, parameters, tokenizerJson } = weights;
  const { width, layers, heads, contextLength } = config;
  if (type === "Q8_0" && width % Q8_BLOCK !== 0) {
    throw new RangeError(
      `Cannot write GGUF: a width of ${width} is no multiple of ${Q8_BLOCK}, the block of Q8_0; write F16 or F32.`,
    );
  }
  const entries: [string, Value][] = [
    ["general.architecture", { text: "gpt2" }],
    ["general.name", { text: "bashling" }],
    ["general.file_type", { u32: TYPES[type].file }],
    ["general.quantization_version", { u32: 2 }],
    ["gpt2.context_length", { u32: contextLength }],
    ["gpt2.embedding_length", { u32: width }],
    ["gpt2.feed_forward_length", { u32: 4 * width }],
    ["gpt2.block_count", { u32: layers }],
    ["gpt2.attention.head_count", { u32: heads }],
    ["gpt2.attention.layer_norm_epsilon", { f32: 1e-5 }],
    ...tokenizerEntries(tokenizerJson, config),
  ];
  const tensors = parameterLayout(config).specs.map(({ name, shape, offset, size }) => {
    const values = parameters.subarray(offset, offset + size);
    const isLinear = shape.length === 2 && name.includes(".h.");
    const isMatrix = isLinear || name === "transformer.wte.weight";
    const kind = isMatrix ? type : "F32";
    return {
      name: nameOf(name),
      // Lengths in GGUF begin with that of a row. Conv1D keeps (in, out), ggml wants rows of `in`.
      lengths: isLinear ? shape : shape.toReversed(),
      type: TYPES[kind].tensor,
      data: encode(isLinear ? transpose(values, shape[0], shape[1]) : values, kind),
    };
  });

  const header = new Writer();
  header.u32(0x46554747); // "GGUF"
  header.u32(3);
  header.u64(tensors.length);
  header.u64(entries.length);
  for (const [key, value] of entries) {
    header.text(key);
    header.value(value);
  }
  let place = 0;
  for (const { name, lengths, type, data } of tensors) {
    header.text(name);
    header.u32(lengths.length);
    for (const length of lengths) header.u64(length);
    header.u32(type);
    header.u64(place);
    place += align(data.length);
  }
  const start = header.aligned();
  const file = new Uint8Array(start.length + place);
  file.set(start);
  let at = start.length;
  for (const { data } of tensors) {
    file.set(data, at);
    at += align(data.length);
  }
  return file;
}
