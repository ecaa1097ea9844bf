import { assert, assertEquals, assertThrows } from "@std/assert";
import { Q8_BLOCK, writeGguf } from "../scripts/bench/peers/gguf.ts";
import { LlamaDecoder } from "../scripts/bench/peers/llama_decode.ts";
import { ReferenceBackend } from "../src/backend/reference/reference_backend.ts";
import { Decoder } from "../src/gpt/decode.ts";
import type { ModelConfig } from "../src/model/config.ts";
import { parameterLayout, parameterTensors } from "../src/model/parameters.ts";
import { Random } from "../src/random.ts";
import { Tokenizer } from "../src/tokenizer/tokenizer.ts";

/** Two more rows than the tokenizer has tokens. */
const CONFIG: ModelConfig = {
  vocabSize: 260,
  contextLength: 48,
  layers: 2,
  width: 64,
  heads: 2,
};

/** A tokenizer whose one merge makes a token of "e" and " ". */
const TOKENIZER = Tokenizer.fromMerges(["e".charCodeAt(0), " ".charCodeAt(0)]);

/** Parameters so large that swapped ones change what is computed. */
function randomWeights(seed: number) {
  const { specs, poolSize } = parameterLayout(CONFIG);
  const parameters = new Float32Array(poolSize), random = new Random(seed);
  for (const { name, offset, size } of specs) {
    const mean = /ln_\w+\.weight$/.test(name) ? 1 : 0;
    for (let i = 0; i < size; i++) parameters[offset + i] = mean + 0.15 * random.normal();
  }
  return { config: CONFIG, parameters, tokenizerJson: TOKENIZER.toJSON() };
}

/** A tensor as the file describes it; lengths begin with that of a row. */
interface GgufTensor {
  lengths: number[];
  type: number;
  place: number;
}

/** Reads a GGUF file as its specification lays it out, with none of the writer's code. */
function readGguf(file: Uint8Array<ArrayBuffer>) {
  const view = new DataView(file.buffer);
  let at = 0;
  const u32 = (): number => view.getUint32((at += 4) - 4, true);
  const u64 = (): number => Number(view.getBigUint64((at += 8) - 8, true));
  const text = (): string => {
    const length = u64();
    return new TextDecoder().decode(file.subarray(at, at += length));
  };
  const value = (type: number): unknown => {
    if (type === 4) return u32();
    if (type === 5) return view.getInt32((at += 4) - 4, true);
    if (type === 6) return view.getFloat32((at += 4) - 4, true);
    if (type === 7) return file[at++] === 1;
    if (type === 8) return text();
    assertEquals(type, 9);
    const element = u32();
    return Array.from({ length: u64() }, () => value(element));
  };
  const magic = new TextDecoder().decode(file.subarray(0, at = 4));
  const version = u32(), tensorCount = u64(), entryCount = u64();
  const entries = new Map(
    Array.from({ length: entryCount }, () => [text(), value(u32())] as [string, unknown]),
  );
  const tensors = new Map(Array.from({ length: tensorCount }, () => {
    const name = text();
    const lengths = Array.from({ length: u32() }, u64);
    return [name, { lengths, type: u32(), place: u64() }] as [string, GgufTensor];
  }));
  const start = Math.ceil(at / 32) * 32;
  return { magic, version, entries, tensors, start, view };
}

/** Elements of a tensor of type F32, F16 or Q8_0, and for Q8_0 the scale of each. */
function elements(
  { tensors, start, view }: ReturnType<typeof readGguf>,
  name: string,
): { values: number[]; scales: number[] } {
  const { lengths, type, place } = tensors.get(name)!;
  const count = lengths.reduce((a, b) => a * b, 1), from = start + place;
  const values: number[] = [], scales: number[] = [];
  for (let i = 0; i < count; i++) {
    if (type === 0) values.push(view.getFloat32(from + 4 * i, true));
    else if (type === 1) values.push(view.getFloat16(from + 2 * i, true));
    else {
      const block = from + Math.floor(i / 32) * 34, scale = view.getFloat16(block, true);
      values.push(scale * view.getInt8(block + 2 + i % 32));
      scales.push(scale);
    }
  }
  return { values, scales };
}

/** A parameter as (rows of outputs, inputs), by Hugging Face's name. */
function parameter({ parameters }: ReturnType<typeof randomWeights>, name: string): number[] {
  const { shape, offset, size } = parameterLayout(CONFIG).specs.find((spec) => spec.name === name)!;
  const values = [...parameters.subarray(offset, offset + size)];
  if (!name.includes(".h.") || shape.length === 1) return values;
  const [from, to] = shape;
  return values.map((_, i) => values[i % from * to + Math.floor(i / from)]);
}

Deno.test("writeGguf() says what the model and its tokenizer are", () => {
  const { magic, version, entries } = readGguf(writeGguf(randomWeights(1)));
  assertEquals([magic, version], ["GGUF", 3]);
  const key = (name: string) => entries.get(name);
  assertEquals(key("general.architecture"), "gpt2");
  assertEquals(key("general.file_type"), 7);
  assertEquals(key("gpt2.context_length"), 48);
  assertEquals(key("gpt2.embedding_length"), 64);
  assertEquals(key("gpt2.feed_forward_length"), 256);
  assertEquals(key("gpt2.block_count"), 2);
  assertEquals(key("gpt2.attention.head_count"), 2);
  assertEquals(key("gpt2.attention.layer_norm_epsilon"), Math.fround(1e-5));
  assertEquals(key("tokenizer.ggml.merges"), ["e Ġ"]);
  assertEquals(key("tokenizer.ggml.eos_token_id"), 0);
  const tokens = key("tokenizer.ggml.tokens") as string[];
  const types = key("tokenizer.ggml.token_type") as number[];
  assertEquals([tokens.length, types.length], [260, 260]);
  assertEquals([tokens[0], tokens[1 + 0x41], tokens[1 + 0x0a], tokens[257]], [
    "<|endoftext|>",
    "A",
    "Ċ",
    "eĠ",
  ]);
  assertEquals([types[0], types[1], types[257], types[258], types[259]], [3, 1, 1, 5, 5]);
  assertEquals(new Set(tokens).size, 260);
});

Deno.test("writeGguf() aligns its tensors, one after another to the file's end", () => {
  for (const type of ["F32", "F16", "Q8_0"] as const) {
    const file = writeGguf(randomWeights(1), type);
    const { tensors, start } = readGguf(file);
    assertEquals(tensors.size, 4 + 2 * 12);
    let end = 0;
    for (const { lengths, type, place } of tensors.values()) {
      assertEquals(place, end);
      const count = lengths.reduce((a, b) => a * b, 1);
      const bytes = type === 0 ? 4 * count : type === 1 ? 2 * count : count / 32 * 34;
      end = Math.ceil((place + bytes) / 32) * 32;
    }
    assertEquals(file.length, start + end);
  }
});

Deno.test("writeGguf() writes every parameter once, linear weights as rows of inputs", () => {
  const weights = randomWeights(1), read = readGguf(writeGguf(weights, "F32"));
  const same = (gguf: string, name: string, lengths: number[]): void => {
    assertEquals(read.tensors.get(gguf)?.lengths, lengths, gguf);
    assertEquals(elements(read, gguf).values, parameter(weights, name), gguf);
  };
  same("token_embd.weight", "transformer.wte.weight", [64, 260]);
  same("position_embd.weight", "transformer.wpe.weight", [64, 48]);
  same("output_norm.weight", "transformer.ln_f.weight", [64]);
  same("output_norm.bias", "transformer.ln_f.bias", [64]);
  for (const layer of [0, 1]) {
    const linear = (gguf: string, name: string, from: number, to: number): void => {
      same(`blk.${layer}.${gguf}.weight`, `transformer.h.${layer}.${name}.weight`, [from, to]);
      same(`blk.${layer}.${gguf}.bias`, `transformer.h.${layer}.${name}.bias`, [to]);
    };
    linear("attn_qkv", "attn.c_attn", 64, 192);
    linear("attn_output", "attn.c_proj", 64, 64);
    linear("ffn_up", "mlp.c_fc", 64, 256);
    linear("ffn_down", "mlp.c_proj", 256, 64);
    for (const kind of ["weight", "bias"]) {
      same(`blk.${layer}.attn_norm.${kind}`, `transformer.h.${layer}.ln_1.${kind}`, [64]);
      same(`blk.${layer}.ffn_norm.${kind}`, `transformer.h.${layer}.ln_2.${kind}`, [64]);
    }
  }
});

Deno.test("writeGguf() rounds matrices to the nearest step of their block's scale", () => {
  const weights = randomWeights(1);
  const embedding = parameterLayout(CONFIG).specs[0];
  weights.parameters.fill(0, embedding.offset, embedding.offset + Q8_BLOCK);
  const read = readGguf(writeGguf(weights));
  for (const [name, { lengths, type }] of read.tensors) {
    const isMatrix = lengths.length === 2 && name !== "position_embd.weight";
    assertEquals(type, isMatrix ? 8 : 0, name);
  }
  for (
    const [gguf, name] of [
      ["token_embd.weight", "transformer.wte.weight"],
      ["blk.1.ffn_down.weight", "transformer.h.1.mlp.c_proj.weight"],
    ]
  ) {
    const expected = parameter(weights, name), { values, scales } = elements(read, gguf);
    // Half a step, and what rounding the scale to f16 (by 2⁻¹¹ at most) moves 127 steps.
    const steps = 0.5 + 127 / 2048;
    values.forEach((value, i) => {
      assert(Math.abs(value - expected[i]) <= 1.001 * steps * scales[i], `${gguf} at ${i}`);
    });
  }
});

Deno.test("writeGguf() refuses rows that are no whole blocks, and a tokenizer that is too large", () => {
  const { tokenizerJson } = randomWeights(1);
  const narrow = { ...CONFIG, width: 48 };
  const parameters = new Float32Array(parameterLayout(narrow).poolSize);
  assertThrows(
    () => writeGguf({ config: narrow, parameters, tokenizerJson }),
    RangeError,
    "a width of 48 is no multiple of 32",
  );
  const few = { ...CONFIG, vocabSize: 256 };
  assertThrows(
    () => writeGguf({ config: few, parameters, tokenizerJson }),
    RangeError,
    "the model 256 tokens",
  );
});

Deno.test({
  name: "LlamaDecoder.checked() finds the reference's probabilities in our file",
  // The platform of the library that is pinned.
  ignore: Deno.build.os !== "linux" || Deno.build.arch !== "x86_64",
  async fn() {
    const weights = randomWeights(2);
    using backend = new ReferenceBackend();
    const params = parameterTensors(backend, CONFIG);
    backend.write(params.pool, weights.parameters);
    using reference = new Decoder(backend, CONFIG, params);
    const prompt = TOKENIZER.encode("the ten largest files"), last = prompt.length - 1;
    reference.prefill(0, prompt.subarray(0, last));
    const [logits] = await reference.step(prompt.subarray(last), Uint32Array.of(last));
    const expected = { prompt, logits: await logits!.all() };
    await using llama = await LlamaDecoder.checked(weights, expected, 1);
    const drawn = await llama.decode(prompt[last], last, 5);
    assertEquals(drawn, await llama.decode(prompt[last], last, 5));
  },
});
