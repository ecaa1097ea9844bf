/**
 * Tokens per second of one stream: cached decoding, the likeliest token next.
 *
 * @module
 */

import { chooseBackend } from "../../src/backend/select.ts";
import { Decoder, type StreamLogits } from "../../src/gpt/decode.ts";
import type { ModelConfig } from "../../src/model/config.ts";
import { int8Tensors, quantizeModel } from "../../src/model/int8.ts";
import { initialParameters, parameterTensors } from "../../src/model/parameters.ts";
import { SHIPPED_WEIGHTS } from "../../src/model/shipped.ts";
import { Random } from "../../src/random.ts";
import { adapterKind, alternate, reason, type Result, type Runner } from "./measure.ts";

/** What every contender is given. */
interface Task {
  config: ModelConfig;
  /** The parameters. */
  pool: Float32Array<ArrayBuffer>;
  /** Tokens, two at least. */
  prompt: Uint32Array;
  threads?: number;
  /** Logits (V) after the prompt in f32, which a contender must give too. */
  expected: Float32Array;
  /** Takes over what must be disposed of. */
  stack: AsyncDisposableStack;
}

/** One stream whose cache holds the prompt, and whose logits after it were right. */
interface Contender {
  description: string;
  /** Puts `token` into the cache at `position`, then draws the likeliest token `count` times. */
  decode(token: number, position: number, count: number): Promise<unknown>;
}

type Make = (task: Task) => Promise<Contender>;

/** A decoder of ours, or one with its interface. */
interface Decoding {
  prefill(slot: number, tokens: Uint32Array): void;
  step(tokens: Uint32Array, positions: Uint32Array): Promise<(StreamLogits | undefined)[]>;
}

/**
 * Largest error of a logit, relative to the spread of all: f32 sums in another order differ by far
 * less than a thousandth. In 8 bits a weight is off by up to 1/254 of its row's largest, in 7 bits an
 * activation by up to 1/254 of its row's range; over the products of all layers that adds up to a
 * hundredth or two in the unluckiest of 8,000 logits.
 */
const TOLERANCE = { f32: 1e-3, int8: 3e-2 };

/** Wraps a decoder once its logits at the prompt's last token have been checked. */
async function checkedDecoder(
  decoder: Decoding,
  description: string,
  { prompt, expected }: Task,
  precision: keyof typeof TOLERANCE,
): Promise<Contender> {
  const last = prompt.length - 1;
  decoder.prefill(0, prompt.subarray(0, last));
  const [logits] = await decoder.step(prompt.subarray(last), Uint32Array.of(last));
  checkLogits(await logits!.all(), expected, precision);
  return {
    description,
    decode: async (token, position, count) => {
      for (let i = 0; i < count; i++) {
        const [next] = await decoder.step(Uint32Array.of(token), Uint32Array.of(position + i));
        token = next!.ids[0] ?? argmax(await next!.all());
      }
    },
  };
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

/** A decoder of ours. */
async function ownDecoder(
  name: "wasm" | "webgpu",
  precision: "f32" | "int8",
  { config, pool, threads, stack }: Omit<Task, "prompt" | "expected">,
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
    return { decoder: new Decoder(backend, config, params), description };
  }
  const params = parameterTensors(backend, config);
  backend.write(params.pool, pool);
  return { decoder: new Decoder(backend, config, params), description };
}

const own = (name: "wasm" | "webgpu", precision: "f32" | "int8"): Make => async (task) => {
  const { decoder, description } = await ownDecoder(name, precision, task);
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
  const { prompt, stack } = task, last = prompt.length - 1;
  const decoder = stack.use(await JaxDecoder.create(task.config, task.pool));
  const step = (token: number, position: number) =>
    decoder.step(Uint32Array.of(token), Uint32Array.of(position));
  decoder.prefill(0, prompt.subarray(0, last));
  checkLogits(await step(prompt[last], last), task.expected, "f32");
  return {
    description: "jax-js, wasm, jit",
    decode: async (token, position, count) => {
      for (let i = 0; i < count; i++) token = argmax(await step(token, position + i));
    },
  };
};

const llama: Make = async ({ config, pool: parameters, prompt, expected: logits, ...task }) => {
  const { LlamaDecoder } = await import("./peers/llama_decode.ts");
  const tokenizerJson = await Deno.readTextFile(new URL("tokenizer.json", SHIPPED_WEIGHTS));
  const threads = task.threads ?? navigator.hardwareConcurrency;
  const weights = { config, parameters, tokenizerJson };
  return task.stack.use(await LlamaDecoder.checked(weights, { prompt, logits }, threads));
};

/** All contenders. */
export const DECODERS: Record<string, Make> = {
  "wasm int8": own("wasm", "int8"),
  "wasm f32": own("wasm", "f32"),
  "webgpu f32": own("webgpu", "f32"),
  "llama.cpp Q8_0": llama,
  "jax-js wasm": jax,
  "tfjs cpu": tfjs("cpu"),
  "tfjs webgpu": tfjs("webgpu"),
};

/** Options of {@linkcode benchDecode}. */
export interface DecodeBenchOptions {
  /** The model's shape. */
  config: ModelConfig;
  /** Contenders by name, see {@linkcode DECODERS}. */
  contenders: string[];
  /** Tokens of the prompt. */
  promptLength: number;
  /** Tokens drawn after it. */
  tokens: number;
  /** Timed runs of each contender. */
  rounds: number;
  /** Threads of wasm and llama.cpp; all cores if absent. */
  threads?: number;
}

/** Tokens drawn on a software adapter and on tfjs's cpu backend. */
const SLOW_TOKENS = 8;

/**
 * Times decoding from a cache that holds a prompt, with random weights. A contender is timed only
 * after its logits at the prompt's last token have been those of wasm in f32.
 */
export async function benchDecode(options: DecodeBenchOptions): Promise<Result[]> {
  const { config, promptLength, threads } = options;
  const software = await adapterKind() === "software";
  const pool = initialParameters(config, 1), random = new Random(2);
  const prompt = Uint32Array.from({ length: promptLength }, () => random.below(config.vocabSize));
  const last = promptLength - 1;

  await using stack = new AsyncDisposableStack();
  const oracle = (await ownDecoder("wasm", "f32", { config, pool, threads: 1, stack })).decoder;
  oracle.prefill(0, prompt.subarray(0, last));
  const [logits] = await oracle.step(prompt.subarray(last), Uint32Array.of(last));
  const expected = await logits!.all();

  const results: Result[] = [], timed: { result: Result; runner: Runner }[] = [];
  for (const contender of options.contenders) {
    const onSoftware = software && contender.includes("webgpu");
    const slow = onSoftware || contender === "tfjs cpu";
    const tokens = slow ? Math.min(SLOW_TOKENS, options.tokens) : options.tokens;
    const result: Result = {
      bench: "decode",
      contender,
      input: `${promptLength} + ${tokens}`,
      unit: "tokens/s",
      note: "",
    };
    results.push(result);
    try {
      const task = { config, pool, prompt, threads, expected, stack };
      const { decode, description } = await DECODERS[contender](task).then((made) => ({
        description: made.description,
        decode: made.decode.bind(made),
      }));
      result.note = `${description}${onSoftware ? "; SOFTWARE ADAPTER" : ""}`;
      const first = argmax(expected);
      const run = async (): Promise<void> => void await decode(first, promptLength, tokens);
      timed.push({ result, runner: { work: tokens, run } });
    } catch (error) {
      result.note = `not run: ${reason(error)}`;
    }
  }
  const rates = await alternate(timed.map(({ runner }) => runner), options.rounds);
  timed.forEach(({ result }, i) => result.value = rates[i]);
  return results;
}
