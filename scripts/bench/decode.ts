/**
 * Tokens per second of one stream: cached decoding, logits read back, the likeliest token next.
 *
 * @module
 */

import { chooseBackend } from "../../src/backend/select.ts";
import { Decoder } from "../../src/gpt/decode.ts";
import type { ModelConfig } from "../../src/model/config.ts";
import { initialParameters, parameterTensors } from "../../src/model/parameters.ts";
import { Random } from "../../src/random.ts";
import { adapterKind, alternate, reason, type Result, type Runner } from "./measure.ts";

/** What a decoding benchmark needs of a contender. */
type Decoding = Pick<Decoder, "prefill" | "step">;

/** Makes a contender and hands over what must be disposed of. */
type Make = (
  config: ModelConfig,
  pool: Float32Array<ArrayBuffer>,
  stack: DisposableStack,
  threads?: number,
) => Promise<{ decoder: Decoding; description: string }>;

const own = (name: "wasm" | "webgpu"): Make => async (config, pool, stack, threads) => {
  const { backend } = await chooseBackend({
    backend: name,
    purpose: "generate",
    threads: name === "wasm" ? threads : undefined,
  });
  stack.use(backend);
  const params = parameterTensors(backend, config);
  backend.write(params.pool, pool);
  return { decoder: new Decoder(backend, config, params), description: backend.description };
};

const tfjs = (device: "cpu" | "webgpu"): Make => async (config, pool, stack) => {
  const { TfjsModel } = await import("../../src/tfjs/gpt.ts");
  const { TfjsDecoder } = await import("../../src/tfjs/decode.ts");
  const model = stack.use(await TfjsModel.create(config, pool, { device }));
  return { decoder: stack.use(new TfjsDecoder(model)), description: `TensorFlow.js, ${device}` };
};

const jax: Make = async (config, pool, stack) => {
  const { JaxDecoder } = await import("./peers/jax_decode.ts");
  const decoder = stack.use(await JaxDecoder.create(config, pool));
  return { decoder, description: "jax-js, wasm, jit" };
};

/** All contenders. */
export const DECODERS: Record<string, Make> = {
  "wasm": own("wasm"),
  "webgpu": own("webgpu"),
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
  /** Threads of wasm; all cores if absent. */
  threads?: number;
}

/** Tokens drawn on a software adapter and on tfjs's cpu backend. */
const SLOW_TOKENS = 8;

/** Largest error of logits that are to be the same, relative to the largest of them. */
const LOGITS_TOLERANCE = 1e-3;

function argmax(values: Float32Array): number {
  let best = 0;
  values.forEach((value, i) => best = value > values[best] ? i : best);
  return best;
}

/**
 * Times decoding from a cache that holds a prompt. A contender is timed only after its logits at
 * the prompt's last token have been those of wasm.
 */
export async function benchDecode(options: DecodeBenchOptions): Promise<Result[]> {
  const { config, promptLength, threads } = options;
  const software = await adapterKind() === "software";
  const pool = initialParameters(config, 1), random = new Random(2);
  const prompt = Uint32Array.from({ length: promptLength }, () => random.below(config.vocabSize));
  const last = promptLength - 1;
  const begin = (decoder: Decoding): Promise<Float32Array> => {
    decoder.prefill(0, prompt.subarray(0, last));
    return decoder.step(prompt.subarray(last), Uint32Array.of(last));
  };

  using stack = new DisposableStack();
  const oracle = await DECODERS.wasm(config, pool, stack, threads);
  const expected = await begin(oracle.decoder);
  const largest = expected.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
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
      const { decoder, description } = contender === "wasm"
        ? oracle
        : await DECODERS[contender](config, pool, stack, threads);
      const logits = await begin(decoder);
      const error = expected.reduce((most, x, i) => Math.max(most, Math.abs(x - logits[i])), 0);
      if (!(error <= LOGITS_TOLERANCE * largest)) {
        throw new Error(`its logits are off by ${error} of ${largest}`);
      }
      result.note = `${description}${onSoftware ? "; SOFTWARE ADAPTER" : ""}`;
      const run = async (): Promise<void> => {
        let token = argmax(logits);
        for (let i = 0; i < tokens; i++) {
          const next = await decoder.step(Uint32Array.of(token), Uint32Array.of(promptLength + i));
          token = argmax(next);
        }
      };
      timed.push({ result, runner: { work: tokens, run } });
    } catch (error) {
      result.note = `not run: ${reason(error)}`;
    }
  }
  const rates = await alternate(timed.map(({ runner }) => runner), options.rounds);
  timed.forEach(({ result }, i) => result.value = rates[i]);
  return results;
}
