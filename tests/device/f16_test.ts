import { assert, assertEquals, assertThrows } from "@std/assert";
import type { Backend } from "../../src/backend/backend.ts";
import { firstLossScaling, SCALING } from "../../src/backend/loss_scaling.ts";
import { ReferenceBackend } from "../../src/backend/reference/reference_backend.ts";
import { WasmBackend } from "../../src/backend/wasm/wasm_backend.ts";
import { WebGpuBackend } from "../../src/backend/webgpu/webgpu_backend.ts";
import type { ModelConfig } from "../../src/model/config.ts";
import { initialParameters, parameterLayout } from "../../src/model/parameters.ts";
import { Random } from "../../src/random.ts";
import { trainTokenizer } from "../../src/tokenizer/train.ts";
import { adamwHyper } from "../../src/trainer/adamw.ts";
import { BackendEngine } from "../../src/trainer/engine.ts";
import { loadCheckpoint } from "../../src/trainer/checkpoint.ts";
import { Trainer, type TrainerOptions } from "../../src/trainer/trainer.ts";
import { webgpuAvailable } from "../adapter.ts";
import { buildGraph, largeParameters, packedBatch } from "../graph.ts";

const adapter = webgpuAvailable
  ? await navigator.gpu.requestAdapter({ powerPreference: "high-performance" })
  : undefined;
const ignore = !adapter?.features.has("shader-f16");
const open = (options = {}) => WebGpuBackend.create({ allowFallback: true, ...options });

function test(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, fn, ignore });
}

const normal = (size: number, seed = 1): Float32Array => {
  const random = new Random(seed);
  return Float32Array.from({ length: size }, () => random.normal());
};

Deno.test("tensor() refuses f16 where there is none", async () => {
  using wasm = await WasmBackend.create({ threads: 1 });
  assertEquals(wasm.hasF16, false);
  assertThrows(() => wasm.tensor([4], "f16"), TypeError, "no f16 tensors: use f32");
  const [scaling, norm] = [wasm.tensor([4]), wasm.tensor([1])];
  const record = () => wasm.record((ops) => ops.adjustLossScale({ scaling, norm, interval: 1 }));
  assertThrows(record, TypeError, "no loss scaling");
});

test("tensor() refuses f16 on an adapter without shader-f16", async () => {
  const { info, limits } = adapter!;
  const older = {
    info,
    limits,
    features: new Set(),
    requestDevice: async (descriptor: GPUDeviceDescriptor) =>
      await (await navigator.gpu.requestAdapter({ powerPreference: "high-performance" }))!
        .requestDevice(descriptor),
  };
  using backend = await open({ adapter: older });
  assertEquals(backend.hasF16, false);
  assertThrows(() => backend.tensor([4], "f16"), TypeError, "no shader-f16");
});

test("write() and read() round f16 tensors to the nearest and keep to their elements", async () => {
  const results = await Promise.all([new ReferenceBackend(), await open()].map(async (backend) => {
    using _ = backend;
    const whole = backend.tensor([301], "f16"), part = backend.view(whole, 128, [3]);
    backend.write(whole, new Float32Array(301).fill(1 + 2 ** -11)); // a tie, to even
    backend.write(part, Float32Array.of(0.1, 70000), 0);
    backend.write(whole, Float32Array.of(-7), 300);
    return [...await backend.read(whole), ...await backend.read(part)];
  }));
  const expected = new Array(301).fill(1);
  expected.splice(128, 2, 0.0999755859375, Infinity);
  expected[300] = -7;
  for (const result of results) assertEquals(result, [...expected, 0.0999755859375, Infinity, 1]);
});

test("write() refuses to end between two f16 elements of a word", async () => {
  using backend = await open();
  const x = backend.tensor([300], "f16");
  assertThrows(() => backend.write(x, new Float32Array(2), 1), RangeError, "even places");
  assertThrows(() => backend.write(x, new Float32Array(3)), RangeError, "even places");
});

test("f16 pools larger than a binding are worked on in pieces that change nothing", async () => {
  using reference = new ReferenceBackend();
  using pieces = await open({ maxBindingBytes: 1024 });
  const [expected, actual] = await Promise.all([reference, pieces].map(async (backend) => {
    const size = 1001, pool = backend.tensor([size]), seed = backend.tensor([1], "u32");
    const half = backend.tensor([size], "f16"), back = backend.tensor([size]);
    backend.write(pool, normal(size));
    backend.run(backend.record((ops) => {
      ops.cast({ out: half, x: pool });
      ops.dropout({ x: half, rate: 0.5, seed, site: 3 }); // doubles, which rounds nothing
      ops.cast({ out: back, x: half });
    }));
    return await backend.read(back);
  }));
  assert(expected.includes(0));
  assertEquals(actual, expected);
});

/** ‖a − b‖ / ‖b‖ of the elements from `offset` on. */
function distance(a: Float32Array, b: Float32Array, offset: number, size: number): number {
  let difference = 0, length = 0;
  for (let i = offset; i < offset + size; i++) {
    difference += (a[i] - b[i]) ** 2;
    length += b[i] ** 2;
  }
  return Math.sqrt(difference / length);
}

/**
 * Allowed distance of a parameter's gradient from that of f32. An f16 is off by up to 2^-12 of its
 * value, and a gradient has come through some 20 of them, each of which sums may double: 20 · 2 · 2^-12.
 */
const GRADIENT_TOLERANCE = 0.01;

test("gradients of a whole model in f16 are near those of the reference in f32", async () => {
  const config: ModelConfig = { vocabSize: 37, contextLength: 45, layers: 2, width: 24, heads: 2 };
  for (const rate of [0, 0.2]) {
    const B = 2, batch = packedBatch(config, B, 41, new Random(20));
    const parameters = largeParameters(config, new Random(21));
    const gradients = async (backend: Backend, precision: "f32" | "f16") => {
      const { params, grads, scaling, programs } = buildGraph(
        backend,
        config,
        B,
        batch,
        rate,
        precision,
      );
      backend.write(params.pool, parameters);
      if (scaling) backend.write(scaling, Float32Array.of(1024, 0, 0, 0));
      backend.run(programs.backward);
      const gradient = await backend.read(grads.pool);
      return scaling ? gradient.map((x) => x / 1024) : gradient;
    };
    using reference = new ReferenceBackend();
    using webgpu = await open();
    const expected = await gradients(reference, "f32");
    for (const backend of [reference, webgpu]) {
      const actual = await gradients(backend, "f16");
      for (const { name, offset, size } of parameterLayout(config).specs) {
        const off = distance(actual, expected, offset, size);
        assert(off < GRADIENT_TOLERANCE, `${backend.name}: ${name} is off by ${off}`);
      }
    }
  }
});

/** Sentences of a small grammar: enough structure for a loss to fall. */
function documents(count: number, seed: number): string[] {
  const random = new Random(seed);
  const pick = (words: string[]) => words[random.below(words.length)];
  return Array.from(
    { length: count },
    () =>
      `${pick(["the cat", "a dog", "my friend"])} ${pick(["finds", "copies", "moves"])} ` +
      `${pick(["every file", "one folder", "the log"])}.`,
  );
}

const tokenizer = await trainTokenizer({ texts: documents(50, 1), vocabSize: 300 });

const options: TrainerOptions = {
  config: { vocabSize: 300, contextLength: 32, layers: 2, width: 32, heads: 2 },
  tokenizer,
  corpus: documents(200, 2),
  backend: "webgpu",
  batchSize: 4,
  steps: 60,
  lr: 3e-3,
  warmup: 5,
  dropout: 0.1,
  seed: 1,
};

async function lossCurve(more: Partial<TrainerOptions>): Promise<number[]> {
  using trainer = await Trainer.create({ ...options, ...more });
  const losses: number[] = [];
  while (trainer.step < trainer.settings.steps) {
    for await (const { loss, skipped } of trainer.run({ steps: 10 })) {
      losses.push(loss);
      assertEquals(skipped, undefined);
    }
  }
  return losses;
}

test("losses of f16 are nearer to those of f32 than another seed's are", async () => {
  const [f32, f16, other] = [
    await lossCurve({}),
    await lossCurve({ precision: "f16" }),
    await lossCurve({ seed: 2 }),
  ];
  const apart = (a: number[], b: number[]) =>
    Math.max(...a.map((loss, i) => Math.abs(loss - b[i])));
  assert(f32.at(-1)! < f32[0] / 2, `${f32}`);
  assert(apart(f16, f32) > 0, "f16 changes nothing");
  assert(apart(f16, f32) < apart(other, f32) / 4, `f16: ${f16}, f32: ${f32}, other seed: ${other}`);
});

/** AdamW's constants, without weight decay, so that a step without gradients changes nothing. */
const HYPER = { beta1: 0.9, beta2: 0.99, eps: 1e-8, weightDecay: 0, clip: 1 };

test("a step that overflows changes nothing, and the scale falls until one does not", async () => {
  const config: ModelConfig = { vocabSize: 37, contextLength: 32, layers: 1, width: 32, heads: 2 };
  const settings = { batchSize: 2, sequenceLength: 32, dropout: 0, precision: "f16" as const };
  using engine = await BackendEngine.create(await open(), config, settings);
  const parameters = initialParameters(config, 1), size = parameters.length;
  const scaling = firstLossScaling();
  scaling[SCALING.scale] = 2 ** 24; // times gradients of about 0.01, which is beyond f16's 65,504
  await engine.writeState({
    parameters,
    m: new Float32Array(size),
    v: new Float32Array(size),
    lossScaling: scaling,
  });
  const batch = packedBatch(config, 2, 32, new Random(2));
  let scale = 2 ** 24, skipped = 0;
  while (true) {
    assert(skipped < 20, "the scale does not find its size");
    await engine.trainStep([batch], adamwHyper(HYPER, 1e-3, skipped), 3);
    const stats = await engine.readStats(), state = await engine.readState();
    assert(Number.isFinite(stats.loss));
    if (stats.skipped === skipped) {
      assertEquals(state.lossScaling![SCALING.scale], scale);
      assert(state.parameters.some((x, i) => x !== parameters[i]));
      assert(state.parameters.every(Number.isFinite));
      break;
    }
    skipped++;
    scale /= 2;
    assertEquals(stats.skipped, skipped);
    assertEquals(state.lossScaling![SCALING.scale], scale);
    assertEquals(state.parameters, parameters);
    assert(state.m.every((x) => x === 0) && state.v.every((x) => x === 0));
  }
  assert(skipped > 0, "nothing overflowed");
});

test("a run in f16 that is resumed ends with the bits of one that was not", async () => {
  const folder = await Deno.makeTempDir();
  const run = async (trainer: Trainer, steps: number) => {
    await Array.fromAsync(trainer.run({ steps }));
    await trainer.save(`${folder}/checkpoint`);
  };
  try {
    using whole = await Trainer.create({ ...options, precision: "f16" });
    await run(whole, 10);
    using resumed = await Trainer.resume(`${folder}/checkpoint`, options);
    assertEquals(resumed.settings.precision, "f16");
    await run(whole, 10);
    const expected = await loadCheckpoint(`${folder}/checkpoint`);
    await run(resumed, 10);
    const actual = await loadCheckpoint(`${folder}/checkpoint`);
    assertEquals(actual.parameters, expected.parameters);
    assertEquals(actual.v, expected.v);
    const { state } = expected as unknown as { state: { lossScaling: number[] } };
    assert(state.lossScaling[SCALING.scale] > 1);
    assertEquals(actual.state, expected.state);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
