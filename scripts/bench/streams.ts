/**
 * Tokens per second of whole generations that run at once and share each step of the decoder.
 *
 * @module
 */

import { Decoder } from "../../src/gpt/decode.ts";
import { WasmBackend } from "../../src/backend/wasm/wasm_backend.ts";
import { Bashling } from "../../src/generator/generator.ts";
import { parameterTensors } from "../../src/model/parameters.ts";
import { SHIPPED_WEIGHTS } from "../../src/model/shipped.ts";
import { loadWeights, type Weights } from "../../src/model/weights.ts";
import { Tokenizer } from "../../src/tokenizer/tokenizer.ts";
import { median, named, reason, type Result } from "./measure.ts";

/** Options of {@linkcode benchStreams}. */
export interface StreamsBenchOptions {
  /** Folder of the weights; the shipped ones if absent. */
  weights?: string;
  /** Numbers of streams, each a contender. */
  counts: readonly number[];
  /** Timed rounds. */
  rounds: number;
  /** Threads of wasm; all cores if absent. */
  threads?: number;
  /** Race llama.cpp too. */
  llama: boolean;
}

/** Numbers of streams that are measured unless others are asked for. */
export const STREAM_COUNTS: readonly number[] = [1, 4, 8, 16, 32];

/** Most tokens of a script. */
const TOKENS = 150;

/** Scripts of a round, for each stream and at least. */
const SCRIPTS = { each: 3, least: 12 };

const PROMPTS = new URL("../../tests/data/prompts.txt", import.meta.url);

/** What one round gave. */
interface Round {
  /** Tokens drawn while every stream had work, per second. */
  rate: number;
  /** Milliseconds from one drawn token of a stream to its next. */
  latencies: number[];
}

/** A number of streams of ours, or of llama.cpp. */
interface Contender {
  name: string;
  input: string;
  description: string;
  round(): Promise<Round>;
}

/**
 * Writes scripts of up to 150 tokens with default options, valid ones only and without verdicts, with
 * each number of streams in turn. The seeds are fixed, so every number of streams writes the same.
 * Time counts until the first stream finds nothing more to write: until then all of them are busy, as
 * in a service with more requests than streams.
 *
 * llama.cpp has less to do: it draws the likeliest token, knows no syntax, and makes no text; reading
 * its prompts does not count.
 */
export async function benchStreams(options: StreamsBenchOptions): Promise<Result[]> {
  const { weights, counts, rounds, threads } = options;
  const prompts = (await Deno.readTextFile(PROMPTS)).split("\n").filter(Boolean);
  await using stack = new AsyncDisposableStack();
  const contenders: Contender[] = [], failed: Result[] = [];
  for (const streams of counts) {
    const model = stack.use(await Bashling.load({ weights, threads, backend: "wasm", streams }));
    const { config: { layers, width }, backend: { description } } = model;
    contenders.push({
      name: named(streams),
      input: `scripts of ${TOKENS} tokens, ${layers} layers × ${width}`,
      description,
      round: () => runRound(model, streams, prompts),
    });
  }
  if (options.llama) {
    const peers = await llamaContenders(options, prompts[0], stack);
    for (const peer of peers) "round" in peer ? contenders.push(peer) : failed.push(peer);
  }
  const measured: Round[][] = contenders.map(() => []);
  for (let round = -1; round < rounds; round++) {
    for (const [i, contender] of contenders.entries()) {
      const result = await contender.round();
      if (round >= 0) measured[i].push(result);
    }
  }
  const results = contenders.map(({ name, input, description }, i): Result => {
    const latencies = measured[i].flatMap((round) => round.latencies).sort((a, b) => a - b);
    const [p50, p99] = [0.5, 0.99].map((share) => latencies[Math.floor(share * latencies.length)]);
    return {
      bench: "streams",
      contender: name,
      input,
      value: median(measured[i].map(({ rate }) => rate)),
      unit: "tokens/s",
      note: `a token p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms; ${description}`,
      latency: { p50, p99 },
    };
  });
  return [...results, ...failed];
}

/** Keeps all streams busy until the scripts run out. */
async function runRound(model: Bashling, streams: number, prompts: string[]): Promise<Round> {
  const scripts = Math.max(SCRIPTS.least, SCRIPTS.each * streams);
  const latencies: number[] = [];
  let next = 0, tokens = 0, seconds = 0;
  const start = performance.now();
  const worker = async (): Promise<void> => {
    while (seconds === 0 && next < scripts) {
      const seed = next++;
      const pieces = model.generate(prompts[seed % prompts.length], {
        maxTokens: TOKENS,
        syntax: "enforce",
        verdict: false,
        seed,
      });
      let before: number | undefined, isPrompt = true;
      for await (const piece of pieces) {
        if (seconds > 0) return;
        const now = performance.now();
        if (!isPrompt) {
          tokens += piece.tokens.length;
          if (before !== undefined) latencies.push((now - before) / piece.tokens.length);
          before = now;
        }
        isPrompt = false;
      }
    }
    if (seconds === 0) seconds = (performance.now() - start) / 1000;
  };
  await Promise.all(Array.from({ length: streams }, worker));
  return { rate: tokens / seconds, latencies };
}

/** llama.cpp with each number of streams, or why there is none. */
async function llamaContenders(
  options: StreamsBenchOptions,
  prompt: string,
  stack: AsyncDisposableStack,
): Promise<(Contender | Result)[]> {
  const weights = await loadWeights(options.weights ?? SHIPPED_WEIGHTS);
  const ids = Tokenizer.fromJSON(weights.tokenizerJson).encode(`#!/bin/bash\n# ${prompt}`);
  const expected = await exactLogits(weights, ids);
  const { contextLength, layers, width } = weights.config;
  const threads = options.threads ?? navigator.hardwareConcurrency;
  const input = `${ids.length} + ${TOKENS} tokens, ${layers} layers × ${width}`;
  const made: (Contender | Result)[] = [];
  for (const streams of options.counts) {
    const name = `llama.cpp, ${named(streams)}`;
    try {
      const { withGguf } = await import("./peers/llama_decode.ts");
      const { LlamaStreams } = await import("./peers/llama_streams.ts");
      const shape = { contextLength, streams, threads, prompt: ids, expected };
      const decoder = stack.use(
        await withGguf(weights, "Q8_0", (path) => LlamaStreams.open(path, shape)),
      );
      const round = async (): Promise<Round> => {
        const { seconds, latencies } = await decoder.decode(TOKENS);
        return { rate: streams * TOKENS / seconds, latencies };
      };
      made.push({ name, input, description: decoder.description, round });
    } catch (error) {
      const note = `not run: ${reason(error)}`;
      made.push({ bench: "streams", contender: name, input, unit: "tokens/s", note });
    }
  }
  return made;
}

/** The logits (V) after some tokens, in f32. */
async function exactLogits(
  { config, parameters }: Weights,
  ids: Uint32Array,
): Promise<Float32Array> {
  using backend = await WasmBackend.create({ threads: 1 });
  const params = parameterTensors(backend, config), last = ids.length - 1;
  backend.write(params.pool, parameters);
  using decoder = new Decoder(backend, config, params);
  decoder.prefill(0, ids.subarray(0, last));
  const [logits] = await decoder.step(ids.subarray(last), Uint32Array.of(last));
  return await logits!.all();
}
