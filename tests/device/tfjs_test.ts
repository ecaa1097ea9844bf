import * as tf from "../../src/tfjs/tf.ts";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { type Backend, INACTIVE } from "../../src/backend/backend.ts";
import { ReferenceBackend } from "../../src/backend/reference/reference_backend.ts";
import { WasmBackend } from "../../src/backend/wasm/wasm_backend.ts";
import { WebGpuBackend } from "../../src/backend/webgpu/webgpu_backend.ts";
import { Decoder } from "../../src/gpt/decode.ts";
import type { ModelConfig } from "../../src/model/config.ts";
import {
  initialParameters,
  parameterLayout,
  parameterTensors,
} from "../../src/model/parameters.ts";
import { Random } from "../../src/random.ts";
import { TfjsDecoder } from "../../src/tfjs/decode.ts";
import { TfjsEngine } from "../../src/tfjs/engine.ts";
import { type TfjsDevice, TfjsModel } from "../../src/tfjs/gpt.ts";
import { adamwHyper } from "../../src/trainer/adamw.ts";
import { BackendEngine, type TrainingEngine } from "../../src/trainer/engine.ts";
import { webgpuAvailable } from "../adapter.ts";
import { buildGraph, largeParameters, packedBatch } from "../graph.ts";

/**
 * Allowed distance of two tensors: max |a − b| / max |b|. An entry that is small beside the largest
 * of its tensor is a difference of larger sums and carries their rounding (the gradients of key
 * biases are 0 but for rounding), so errors are relative to the tensor, not to the entry.
 */
const TOLERANCE = 1e-4;

function assertClose(name: string, actual: Float32Array, expected: Float32Array): void {
  let error = 0, largest = 0;
  expected.forEach((b, i) => {
    assert(Number.isFinite(actual[i]), `${name} is ${actual[i]} at ${i}`);
    error = Math.max(error, Math.abs(actual[i] - b));
    largest = Math.max(largest, Math.abs(b));
  });
  assertEquals(actual.length, expected.length, name);
  assert(error <= TOLERANCE * largest, `${name} is off by ${error} of ${largest}`);
}

/** Compares pools tensor by tensor. */
function assertPoolsClose(config: ModelConfig, actual: Float32Array, expected: Float32Array): void {
  for (const { name, offset, size } of parameterLayout(config).specs) {
    const part = (pool: Float32Array) => pool.subarray(offset, offset + size);
    assertClose(name, part(actual), part(expected));
  }
}

/** Widths that no tile divides, more rows than a head chunk, head size 24. */
const CONFIG: ModelConfig = { vocabSize: 517, contextLength: 110, layers: 2, width: 72, heads: 3 };
const B = 2, T = 101;

/** Two layers again, small enough for the plain loops. */
const SMALL: ModelConfig = { vocabSize: 37, contextLength: 32, layers: 2, width: 24, heads: 2 };

async function checkAgainstAutodiff(backend: Backend): Promise<void> {
  const random = new Random(5);
  const batch = packedBatch(CONFIG, B, T, random), pool = largeParameters(CONFIG, random);
  using model = await TfjsModel.create(CONFIG, pool, { device: "cpu" });
  const { params, grads, losses, logits, programs } = buildGraph(backend, CONFIG, B, batch);
  backend.write(params.pool, pool);
  backend.run(programs.logits);
  assertClose("logits", await backend.read(logits), await model.logits(batch, B));
  const expected = await model.lossAndGradients(batch, B);
  backend.run(programs.backward);
  const mean = (await backend.read(losses)).reduce((sum, loss) => sum + loss, 0) / batch.count;
  assertClose("loss", Float32Array.of(mean), Float32Array.of(expected.loss));
  assertPoolsClose(CONFIG, await backend.read(grads.pool), expected.gradients);
}

Deno.test("reference logits, loss and gradients agree with tfjs's automatic differentiation", async () => {
  using backend = new ReferenceBackend();
  await checkAgainstAutodiff(backend);
});

for (const threads of [1, 2]) {
  Deno.test(`wasm logits, loss and gradients agree with tfjs's automatic differentiation, threads ${threads}`, async () => {
    using backend = await WasmBackend.create({ threads });
    await checkAgainstAutodiff(backend);
  });
}

Deno.test({
  name: "webgpu logits, loss and gradients agree with tfjs's automatic differentiation",
  ignore: !webgpuAvailable,
  async fn() {
    using backend = await WebGpuBackend.create({ allowFallback: true });
    await checkAgainstAutodiff(backend);
  },
});

const DEVICES: TfjsDevice[] = webgpuAvailable ? ["cpu", "webgpu"] : ["cpu"];

Deno.test("TfjsEngine.trainStep() changes parameters and moments as the reference does", async (t) => {
  for (const device of DEVICES) {
    await t.step(device, async () => {
      const options = { batchSize: 2, sequenceLength: 15, dropout: 0.2 };
      const random = new Random(6);
      const batches = Array.from({ length: 4 }, () => packedBatch(SMALL, 2, 15, random));
      const parameters = initialParameters(SMALL, 7);
      const zeros = new Float32Array(parameters.length);
      const adamw = { beta1: 0.9, beta2: 0.95, eps: 1e-6, weightDecay: 0.1, clip: 0.5 };
      const train = async (engine: TrainingEngine) => {
        await engine.writeState({ parameters, m: zeros, v: zeros });
        const stats = [];
        for (let step = 0; step < 2; step++) {
          const micro = batches.slice(2 * step, 2 * step + 2);
          await engine.trainStep(micro, adamwHyper(adamw, 1e-2, step), 77 + step);
          stats.push(await engine.readStats());
        }
        return { stats, nats: await engine.evaluate(batches[0]), state: await engine.readState() };
      };
      using engine = await TfjsEngine.create(SMALL, { ...options, device });
      using reference = await BackendEngine.create(new ReferenceBackend(), SMALL, options);
      const actual = await train(engine), expected = await train(reference);
      expected.stats.forEach(({ loss, gradNorm }, i) => {
        const { loss: ownLoss, gradNorm: ownNorm } = actual.stats[i];
        assert(gradNorm > adamw.clip);
        assertClose("stats", Float32Array.of(ownLoss, ownNorm), Float32Array.of(loss, gradNorm));
      });
      assertClose("nats", Float32Array.of(actual.nats), Float32Array.of(expected.nats));
      for (const key of ["parameters", "m", "v"] as const) {
        assertPoolsClose(SMALL, actual.state[key], expected.state[key]);
      }
    });
  }
});

Deno.test("TfjsDecoder gives the logits of the cached reference, also after going back", async (t) => {
  const parameters = largeParameters(SMALL, new Random(8));
  using backend = new ReferenceBackend();
  const params = parameterTensors(backend, SMALL);
  backend.write(params.pool, parameters);
  for (const device of DEVICES) {
    await t.step(device, async () => {
      using model = await TfjsModel.create(SMALL, parameters, { device });
      using decoder = new TfjsDecoder(model, 2);
      using expected = new Decoder(backend, SMALL, params, 2);
      for (const each of [decoder, expected]) {
        each.prefill(0, Uint32Array.of(3, 1, 4, 1, 5));
        each.prefill(1, Uint32Array.of(9, 2));
        each.prefill(1, Uint32Array.of(6, 5), 2);
      }
      const steps = [[[35, 8], [5, 4]], [[9, 7], [6, 5]], [[9, 3], [3, 6]], [[2, 0], [
        4,
        INACTIVE,
      ]]];
      for (const [tokens, positions] of steps.map((pair) => pair.map((x) => Uint32Array.from(x)))) {
        const [a, b] = await Promise.all([decoder, expected].map((x) => x.step(tokens, positions)));
        for (const slot of [0, 1]) {
          assertEquals([a[slot], b[slot]].includes(undefined), positions[slot] === INACTIVE);
          if (!a[slot] || !b[slot]) continue;
          const [one, other] = await Promise.all([a[slot].all(), b[slot].all()]);
          assertClose(`positions ${positions}, stream ${slot}`, one, other);
        }
      }
    });
  }
});

Deno.test("TfjsEngine and TfjsDecoder keep no tensors beyond a step, and none once disposed", async () => {
  const before = tf.memory().numTensors;
  const random = new Random(9), batch = packedBatch(SMALL, 1, 8, random);
  const adamw = { beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.1, clip: 1 };
  {
    using engine = await TfjsEngine.create(SMALL, { batchSize: 1, dropout: 0.1, device: "cpu" });
    using model = await TfjsModel.create(SMALL, initialParameters(SMALL, 1), { device: "cpu" });
    using decoder = new TfjsDecoder(model);
    decoder.prefill(0, Uint32Array.of(1, 2, 3));
    const held = tf.memory().numTensors;
    for (let step = 0; step < 3; step++) {
      await engine.trainStep([batch, batch], adamwHyper(adamw, 1e-3, step), step);
      await engine.readStats();
      await engine.evaluate(batch);
      await decoder.step(Uint32Array.of(step), Uint32Array.of(3 + step));
    }
    assertEquals(tf.memory().numTensors, held);
  }
  assertEquals(tf.memory().numTensors, before);
});

Deno.test("TfjsModel.create() throws when the pool belongs to another model", async () => {
  await assertRejects(
    () => TfjsModel.create(SMALL, new Float32Array(12), { device: "cpu" }),
    RangeError,
    "Cannot load parameters: the pool has 12 elements, expected",
  );
});
