/**
 * `bashling doctor`.
 *
 * @module
 */

import { type BackendChoice, chooseBackend } from "../backend/select.ts";
import type { Backend } from "../backend/backend.ts";
import { Decoder } from "../gpt/decode.ts";
import { type ModelConfig, PRESETS } from "../model/config.ts";
import { int8Tensors, quantizeModel } from "../model/int8.ts";
import { initialParameters, type ModelTensors, parameterTensors } from "../model/parameters.ts";
import { SHIPPED_WEIGHTS } from "../model/shipped.ts";
import { loadWeights } from "../model/weights.ts";
import { engineFlags } from "./engine_flags.ts";
import { COMMON_FLAGS, Flags } from "./flags.ts";
import { bytesText, grouped, table, writeNote, writeOut } from "./output.ts";
import { UsageError } from "./usage.ts";

/** Text of `bashling doctor --help`. */
export const DOCTOR_HELP =
  `Show what this machine can run, which backend is chosen and why, and how fast it is.

Usage: bashling doctor [options]

  --weights DIR              folder or URL of the weights to look at (the shipped ones)
  --threads N                of the wasm backend (all cores)
  --json                     one line of JSON
${COMMON_FLAGS}`;

/** Tokens that a measurement decodes, after as many while engines still compile. */
const MEASURED = 128;

/** Milliseconds after which the measurement of a slow backend ends. */
const LONGEST = 1500;

/** Streams that are decoded together where many are measured. */
const MANY_STREAMS = 16;

/** What one backend can do here. */
interface BackendReport {
  /** The hardware in words, if it was measured. */
  description?: string;
  /** Why it was not measured. */
  error?: string;
  /** Decoding speed of the `small` shape, one stream. */
  tokensPerSecond?: number;
  /** The same for {@linkcode MANY_STREAMS} streams, all together. */
  tokensPerSecondManyStreams?: number;
}

/** Runs `bashling doctor`. */
export async function doctor(args: string[]): Promise<number> {
  const flags = new Flags("doctor", DOCTOR_HELP, args);
  const [unexpected] = flags.positional;
  if (unexpected !== undefined) {
    throw new UsageError(`doctor takes no arguments: leave ${unexpected} out.`);
  }
  const { threads } = engineFlags(flags);
  const { adapter, inSoftware } = await adapterInfo();
  const backends: Record<string, BackendReport> = {};
  for (const name of ["wasm", "webgpu"] as const) {
    if (name === "webgpu" && inSoftware) {
      backends[name] = { error: "the adapter is software, right but too slow to measure" };
      continue;
    }
    writeNote(`measuring ${name} …\n`);
    backends[name] = await measure(name, name === "wasm" ? threads : undefined);
  }
  const choices: Record<string, string> = {};
  for (const purpose of ["generate", "train"] as const) {
    choices[purpose] = await choice(purpose, threads);
  }
  const report = {
    deno: Deno.version.deno,
    system: `${Deno.build.os} ${Deno.build.arch}`,
    cores: navigator.hardwareConcurrency,
    memory: memory(),
    resident: Deno.memoryUsage().rss,
    adapter,
    backends,
    auto: choices,
    weights: await weightsReport(flags.text("weights") ?? SHIPPED_WEIGHTS),
  };
  if (flags.has("json")) {
    writeOut(JSON.stringify(report) + "\n");
    return 0;
  }
  const speed = ({ error, description, ...speeds }: BackendReport): string =>
    error
      ? `not measured: ${error}`
      : `${description}; small: ${rate(speeds.tokensPerSecond)}, ${MANY_STREAMS} streams together ${
        rate(speeds.tokensPerSecondManyStreams)
      }`;
  writeOut(table([
    ["Deno", `${report.deno}, ${report.system}`],
    ["cores", grouped(report.cores)],
    ["memory", report.memory ?? "unknown without --allow-sys=systemMemoryInfo"],
    ["this process", bytesText(report.resident)],
    ["GPU adapter", adapter],
    ["wasm", speed(backends.wasm)],
    ["webgpu", speed(backends.webgpu)],
    ["auto, generate", choices.generate],
    ["auto, train", choices.train],
    ["weights", report.weights],
  ]));
  return 0;
}

const rate = (tokensPerSecond = 0): string => `${grouped(Math.round(tokensPerSecond))} tokens/s`;

/** The GPU that WebGPU offers, in words: the one that our backend opens. */
async function adapterInfo(): Promise<{ adapter: string; inSoftware: boolean }> {
  const adapter = await navigator.gpu?.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) return { adapter: "none", inSoftware: false };
  const { vendor, architecture, description, device } = adapter.info;
  const name = description || [vendor, architecture, device].filter(Boolean).join(" ") || "unnamed";
  const inSoftware = adapter.info.isFallbackAdapter;
  return { adapter: name + (inSoftware ? ", in software" : ""), inSoftware };
}

/** Decodes with random weights of the `small` shape. */
async function measure(name: BackendChoice, threads?: number): Promise<BackendReport> {
  try {
    const { backend } = await chooseBackend({ backend: name, purpose: "generate", threads });
    try {
      return {
        description: backend.description,
        tokensPerSecond: await decodeSpeed(backend, 1),
        tokensPerSecondManyStreams: await decodeSpeed(backend, MANY_STREAMS),
      };
    } finally {
      backend[Symbol.dispose]();
    }
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}

async function decodeSpeed(backend: Backend, streams: number): Promise<number> {
  const config = PRESETS.small;
  const params = randomTensors(backend, config);
  using decoder = new Decoder(backend, config, params, streams);
  const { lookAhead } = decoder, slots = Array.from({ length: streams }, (_, slot) => slot);
  // As the generator does it: a token at a time, or as many as a look-ahead makes when all hold.
  const chances = new Float32Array(lookAhead ? lookAhead.mostSteps - 1 : 0);
  const rule = { temperature: 0, topK: 0, topP: 1, minP: 0 };
  const advance = (position: number) =>
    lookAhead
      ? lookAhead.run(slots.map((slot) => ({ slot, token: 0, position, rule, chances })))
      : decoder.step(new Uint32Array(streams), new Uint32Array(streams).fill(position));
  let position = 0, started = 0, count = 0;
  for (let round = 0; round < 2; round++) {
    started = performance.now();
    for (count = 0; count < MEASURED && performance.now() - started < LONGEST;) {
      await advance(position + count);
      count += 1 + chances.length;
    }
    position += count;
  }
  const seconds = (performance.now() - started) / 1000;
  return count * streams / seconds;
}

/** Random weights in the precision that the generator takes on this backend. */
function randomTensors(backend: Backend, config: ModelConfig): ModelTensors {
  const pool = initialParameters(config, 1);
  if (backend.name === "wasm") return int8Tensors(backend, config, quantizeModel(config, pool));
  const params = parameterTensors(backend, config);
  backend.write(params.pool, pool);
  return params;
}

async function choice(purpose: "generate" | "train", threads?: number): Promise<string> {
  try {
    const { backend, reason } = await chooseBackend({ backend: "auto", purpose, threads });
    backend[Symbol.dispose]();
    return `${backend.name}: ${reason}`;
  } catch (error) {
    return `none: ${error instanceof Error ? error.message : error}`;
  }
}

function memory(): string | undefined {
  try {
    const { total, available } = Deno.systemMemoryInfo();
    return `${bytesText(available)} of ${bytesText(total)} free`;
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) return undefined;
    throw error;
  }
}

async function weightsReport(source: string | URL): Promise<string> {
  try {
    const started = performance.now();
    const { config, parameters } = await loadWeights(source);
    const { layers, width, vocabSize } = config;
    return `${layers} layers × ${width}, ${grouped(vocabSize)} tokens, ` +
      `${bytesText(parameters.byteLength)} in memory, read in ` +
      `${Math.round(performance.now() - started)} ms`;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
