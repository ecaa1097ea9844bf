/**
 * Tokens per second of one stream or many: cached decoding, the likeliest token next.
 *
 * @module
 */

import { chooseBackend } from "../../src/backend/select.ts";
import { Decoder, type StreamLogits } from "../../src/gpt/decode.ts";
import type { LookAhead } from "../../src/gpt/look_ahead.ts";
import type { ModelConfig } from "../../src/model/config.ts";
import { int8Tensors, quantizeModel } from "../../src/model/int8.ts";
import { initialParameters, parameterTensors } from "../../src/model/parameters.ts";
import { SHIPPED_WEIGHTS } from "../../src/model/shipped.ts";
import { Random } from "../../src/random.ts";
import { adapterKind, named, reason, type Result, type Runner, timeAll } from "./measure.ts";

/** What every contender is given. */
interface Task {
  config: ModelConfig;
  /** The parameters. */
  pool: Float32Array<ArrayBuffer>;
  /** Tokens of each stream, two at least, as many of each. */
  prompts: Uint32Array[];
  threads?: number;
  python?: string;
  /** Logits (V) after the first and the last prompt in f32, which a contender must give too. */
  expected: { first: Float32Array; last: Float32Array };
  /** Takes over what must be disposed of. */
  stack: AsyncDisposableStack;
}

/** Streams whose cache holds their prompts, and whose logits after those were right. */
interface Contender {
  description: string;
  /** Puts a token of each stream into the cache at `position`, then draws `count` tokens of each. */
  decode(tokens: Uint32Array, position: number, count: number): Promise<unknown>;
}

type Make = (task: Task) => Promise<Contender>;

/** A decoder of ours, or one with its interface. */
interface Decoding {
  prefill(slot: number, tokens: Uint32Array): void;
  step(tokens: Uint32Array, positions: Uint32Array): Promise<(StreamLogits | undefined)[]>;
  /** Makes several steps for one readback, where one takes longer than a step. */
  lookAhead?: LookAhead;
}

/**
 * Largest error of a logit, relative to the spread of all: f32 sums in another order differ by far
 * less than a thousandth. In 8 bits a weight is off by up to 1/254 of its row's largest, in 7 bits an
 * activation by up to 1/254 of its row's range; over the products of all layers that adds up to a
 * hundredth or two in the unluckiest of 8,000 logits.
 */
const TOLERANCE = { f32: 1e-3, int8: 3e-2 };

/** Tokens of each stream that are drawn both ways before a look-ahead is timed. */
const TRIED = 4;

/** Wraps a decoder once its logits at the prompts' last tokens have been checked. */
async function checkedDecoder(
  decoder: Decoding,
  description: string,
  { prompts, expected }: Task,
  precision: keyof typeof TOLERANCE,
): Promise<Contender> {
  const last = prompts[0].length - 1;
  prompts.forEach((prompt, slot) => decoder.prefill(slot, prompt.subarray(0, last)));
  const positions = new Uint32Array(prompts.length).fill(last);
  const logits = await decoder.step(Uint32Array.from(prompts, (prompt) => prompt[last]), positions);
  checkLogits(await logits[0]!.all(), expected.first, precision);
  checkLogits(await logits.at(-1)!.all(), expected.last, precision);
  const { lookAhead } = decoder;
  if (!lookAhead) {
    return {
      description,
      decode: (tokens, position, count) => decodeLikeliest(decoder, tokens, position, count),
    };
  }
  const first = Uint32Array.from(prompts, (prompt) => prompt[last]);
  const oneByOne = await decodeLikeliest(decoder, first, last, TRIED);
  const ahead = await decodeAhead(lookAhead, first, last, TRIED);
  if (ahead.some((token, i) => token !== oneByOne[i])) {
    throw new Error("its look-ahead draws other tokens than its steps");
  }
  return {
    description,
    decode: (tokens, position, count) => decodeAhead(lookAhead, tokens, position, count),
  };
}

/**
 * Draws the likeliest token of every stream `count` times, with a readback for each step.
 * @returns The last of each.
 */
async function decodeLikeliest(
  decoder: Decoding,
  first: Uint32Array,
  position: number,
  count: number,
): Promise<Uint32Array> {
  let tokens = first;
  for (let i = 0; i < count; i++) {
    const positions = new Uint32Array(tokens.length).fill(position + i);
    const logits = await decoder.step(tokens, positions);
    tokens = Uint32Array.from(
      await Promise.all(logits.map(async (next) => next!.ids[0] ?? argmax(await next!.all()))),
    );
  }
  return tokens;
}

/** The same with a readback for as many steps as a look-ahead makes, as in generation. */
async function decodeAhead(
  lookAhead: LookAhead,
  first: Uint32Array,
  position: number,
  count: number,
): Promise<Uint32Array> {
  const rule = { temperature: 0, topK: 0, topP: 1, minP: 0 };
  let tokens = first;
  for (let done = 0, steps: number; done < count; done += steps) {
    steps = Math.min(lookAhead.mostSteps, count - done);
    const chances = new Float32Array(steps - 1);
    const ahead = await lookAhead.run(Array.from(tokens, (token, slot) => {
      return { slot, token, position: position + done, rule, chances };
    }));
    tokens = Uint32Array.from(ahead, (stream) => stream.logits(steps - 1).ids[0]);
  }
  return tokens;
}

function checkLogits(
  logits: Float32Array,
  expected: Float32Array,
  precision: keyof typeof TOLERANCE,
): void {
  const spread = Math.max(...expected) - Math.min(...expected);
  const error = expected.reduce((most, x, i) => Math.max(most, Math.abs(x - logits[i])), 0);
  if (error <= TOLERANCE[precision] * spread) return;
  throw new Error(`its logits are off by ${error} of ${spread}`);
}

function argmax(values: Float32Array): number {
  let best = 0;
  values.forEach((value, i) => best = value > values[best] ? i : best);
  return best;
}

/** A decoder of ours, for `streams` streams. */
async function ownDecoder(
  name: "wasm" | "webgpu",
  precision: "f32" | "int8",
  streams: number,
  { config, pool, threads, stack }: Pick<Task, "config" | "pool" | "threads" | "stack">,
): Promise<{ decoder: Decoder; description: string }> {
  const { backend } = await chooseBackend({
    backend: name,
    purpose: "generate",
    threads: name === "wasm" ? threads : undefined,
  });
  stack.use(backend);
  const { description } = backend;
  if (precision === "int8") {
    const params = int8Tensors(backend, config, quantizeModel(config, pool));
    return { decoder: new Decoder(backend, config, params, streams), description };
  }
  const params = parameterTensors(backend, config);
  backend.write(params.pool, pool);
  const decoder = new Decoder(backend, config, params, streams);
  await decoder.tune();
  return { decoder, description };
}

const own = (name: "wasm" | "webgpu", precision: "f32" | "int8"): Make => async (task) => {
  const { decoder, description } = await ownDecoder(name, precision, task.prompts.length, task);
  return await checkedDecoder(decoder, description, task, precision);
};

const tfjs = (device: "cpu" | "webgpu"): Make => async (task) => {
  const { TfjsModel } = await import("../../src/tfjs/gpt.ts");
  const { TfjsDecoder } = await import("../../src/tfjs/decode.ts");
  const model = task.stack.use(await TfjsModel.create(task.config, task.pool, { device }));
  const decoder = task.stack.use(new TfjsDecoder(model));
  return await checkedDecoder(decoder, `TensorFlow.js, ${device}`, task, "f32");
};

const jax: Make = async (task) => {
  const { JaxDecoder } = await import("./peers/jax_decode.ts");
  const { prompts: [prompt], stack } = task, last = prompt.length - 1;
  const decoder = stack.use(await JaxDecoder.create(task.config, task.pool));
  const step = (token: number, position: number) =>
    decoder.step(Uint32Array.of(token), Uint32Array.of(position));
  decoder.prefill(0, prompt.subarray(0, last));
  checkLogits(await step(prompt[last], last), task.expected.first, "f32");
  return {
    description: "jax-js, wasm, jit",
    decode: async ([token], position, count) => {
      for (let i = 0; i < count; i++) token = argmax(await step(token, position + i));
    },
  };
};

const llama: Make = async ({ config, pool: parameters, prompts: [prompt], ...task }) => {
  const { LlamaDecoder } = await import("./peers/llama_decode.ts");
  const tokenizerJson = await Deno.readTextFile(new URL("tokenizer.json", SHIPPED_WEIGHTS));
  const threads = task.threads ?? navigator.hardwareConcurrency;
  const weights = { config, parameters, tokenizerJson }, logits = task.expected.first;
  const decoder = await LlamaDecoder.checked(weights, { prompt, logits }, threads);
  task.stack.use(decoder);
  return {
    description: decoder.description,
    decode: ([token], position, count) => decoder.decode(token, position, count),
  };
};

const torch: Make = async ({ config, pool, prompts, expected, stack, threads, python }) => {
  const { TorchDecoder } = await import("./peers/torch.ts");
  const decoder = stack.use(await TorchDecoder.create(config, pool, { threads, python }));
  const logits = await decoder.prefill(prompts), V = config.vocabSize;
  checkLogits(logits.subarray(0, V), expected.first, "f32");
  checkLogits(logits.subarray(logits.length - V), expected.last, "f32");
  return {
    description: decoder.description,
    decode: (tokens, position, count) => decoder.decode(tokens, position, count),
  };
};

/** All contenders. */
export const DECODERS: Record<string, Make> = {
  "wasm int8": own("wasm", "int8"),
  "wasm f32": own("wasm", "f32"),
  "webgpu f32": own("webgpu", "f32"),
  "webgpu int8": own("webgpu", "int8"),
  "llama.cpp Q8_0": llama,
  "jax-js wasm": jax,
  "tfjs cpu": tfjs("cpu"),
  "tfjs webgpu": tfjs("webgpu"),
  "pytorch": torch,
};

/** Those that advance many streams together. */
const MANY = /^(wasm|webgpu|pytorch)\b/;

/** Options of {@linkcode benchDecode}. */
export interface DecodeBenchOptions {
  /** The model's shape. */
  config: ModelConfig;
  /** Contenders by name, see {@linkcode DECODERS}. */
  contenders: string[];
  /** Streams that are decoded together. */
  streams: number;
  /** Tokens of a stream's prompt. */
  promptLength: number;
  /** Tokens drawn after it. */
  tokens: number;
  /** Timed runs of each contender. */
  rounds: number;
  /** Threads on a CPU; all cores if absent. */
  threads?: number;
  /** The Python that has PyTorch; python3 if absent. */
  python?: string;
}

/** Tokens drawn on a software adapter and on tfjs's cpu backend. */
const SLOW_TOKENS = 8;

/**
 * Times decoding from caches that hold prompts, with random weights. A contender is timed only after
 * its logits at the last token of the first and of the last prompt have been those of wasm in f32.
 * With many streams, those contenders that decode one at a time are left out.
 */
export async function benchDecode(options: DecodeBenchOptions): Promise<Result[]> {
  const { config, streams, promptLength, threads, python } = options;
  const software = await adapterKind() === "software";
  const pool = initialParameters(config, 1), random = new Random(2);
  const prompts = Array.from(
    { length: streams },
    () => Uint32Array.from({ length: promptLength }, () => random.below(config.vocabSize)),
  );
  const last = promptLength - 1;

  await using stack = new AsyncDisposableStack();
  const { decoder: oracle } = await ownDecoder("wasm", "f32", 1, { config, pool, threads, stack });
  const logitsOf = async (prompt: Uint32Array): Promise<Float32Array> => {
    oracle.prefill(0, prompt.subarray(0, last));
    const [logits] = await oracle.step(prompt.subarray(last), Uint32Array.of(last));
    return await logits!.all();
  };
  const expected = {
    first: await logitsOf(prompts[0]),
    last: await logitsOf(prompts[streams - 1]),
  };

  const results: Result[] = [], timed: { result: Result; runner: Runner }[] = [];
  for (const contender of options.contenders) {
    if (streams > 1 && !MANY.test(contender)) continue;
    const onSoftware = software && contender.includes("webgpu");
    const slow = onSoftware || contender === "tfjs cpu";
    const tokens = slow ? Math.min(SLOW_TOKENS, options.tokens) : options.tokens;
    const result: Result = {
      bench: "decode",
      contender,
      input: `${named(streams)}, ${promptLength} + ${tokens}`,
      unit: "tokens/s",
      note: "",
      figures: { streams },
    };
    results.push(result);
    try {
      const task = { config, pool, prompts, threads, python, expected, stack };
      const made = await DECODERS[contender](task);
      result.note = `${made.description}${onSoftware ? "; SOFTWARE ADAPTER" : ""}`;
      const first = Uint32Array.from(prompts, (prompt) => prompt[last]);
      const run = async () => void await made.decode(first, promptLength, tokens);
      timed.push({ result, runner: { work: streams * tokens, run } });
    } catch (error) {
      result.note = `not run: ${reason(error)}`;
    }
  }
  await timeAll(timed, options.rounds);
  return results;
}
