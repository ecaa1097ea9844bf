import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import type { Backend } from "../../src/backend/backend.ts";
import { ReferenceBackend } from "../../src/backend/reference/reference_backend.ts";
import { WasmBackend } from "../../src/backend/wasm/wasm_backend.ts";
import { WebGpuBackend } from "../../src/backend/webgpu/webgpu_backend.ts";
import { logSumExp } from "../../src/generator/sampler.ts";
import { Decoder, type StreamLogits } from "../../src/gpt/decode.ts";
import { allocateActivations, sequenceForward } from "../../src/gpt/forward.ts";
import type { ModelConfig } from "../../src/model/config.ts";
import { int8Tensors, quantizeModel } from "../../src/model/int8.ts";
import { parameterTensors } from "../../src/model/parameters.ts";
import { Random } from "../../src/random.ts";
import { webgpuAvailable } from "../adapter.ts";
import { largeParameters } from "../graph.ts";

const config: ModelConfig = { vocabSize: 96, contextLength: 136, layers: 2, width: 32, heads: 2 };

/** Tokens that are decoded one by one after the prompt, whose logits are compared. */
const STEPS = 3;

/**
 * Allowed difference of a logit, relative to the largest: both ways round each sum of f32 numbers
 * once or a few dozen times, in another order, and 1e-4 is a thousand roundings of 6e-8 · 2.
 */
const TOLERANCE = 1e-4;

/** Logits (T, V) of the whole sequence at once, without a cache. */
async function uncached(backend: Backend, pool: Float32Array, tokens: Uint32Array) {
  const T = tokens.length;
  const params = parameterTensors(backend, config);
  backend.write(params.pool, pool);
  const acts = allocateActivations(backend, config, T, false);
  const inputs = { tokens: backend.tensor([T], "u32"), positions: backend.tensor([T], "u32") };
  backend.write(inputs.tokens, tokens);
  backend.write(inputs.positions, Uint32Array.from(tokens, (_, t) => t));
  const logits = backend.tensor([T, config.vocabSize]);
  backend.run(backend.record((ops) => {
    sequenceForward(ops, inputs, params, acts, { B: 1, NH: config.heads });
    ops.matmul({ out: logits, a: acts.lnf, b: params.wte, transposeB: true });
  }));
  return { params, logits: await backend.read(logits) };
}

function assertClose(actual: Float32Array, expected: Float32Array, name: string): void {
  const largest = expected.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
  actual.forEach((x, i) => {
    const error = Math.abs(x - expected[i]) / largest;
    assert(error <= TOLERANCE, `${name}: logit ${i} is ${x}, expected ${expected[i]}`);
  });
}

async function checkDecoder(backend: Backend): Promise<void> {
  const random = new Random(7);
  const V = config.vocabSize;
  const prompts = [1, 2, 63, 64, 65, 128, 129];
  const tokens = Uint32Array.from({ length: 129 + STEPS }, () => random.below(V));
  const { params, logits } = await uncached(backend, largeParameters(config, random), tokens);
  const row = (t: number) => logits.subarray(t * V, (t + 1) * V);
  using decoder = new Decoder(backend, config, params, 2);
  for (const [i, length] of prompts.entries()) {
    const slot = i % 2;
    // Slots are used again and again, so what an earlier prompt left must not show.
    decoder.prefill(slot, tokens.subarray(0, length - 1));
    for (let t = length - 1; t < length - 1 + STEPS; t++) {
      const step = { tokens: new Uint32Array(2), positions: new Uint32Array(2).fill(0xffffffff) };
      step.tokens[slot] = tokens[t];
      step.positions[slot] = t;
      const logits = (await decoder.step(step.tokens, step.positions))[slot]!;
      assertClose(await logits.all(), row(t), `prompt of ${length}, position ${t}`);
    }
  }
  // A prompt in parts, cut at every place around a chunk's end, and two streams in one step.
  for (const cut of [1, 63, 64, 65, 100]) {
    for (const slot of [0, 1]) {
      decoder.prefill(slot, tokens.subarray(0, cut), 0);
      decoder.prefill(slot, tokens.subarray(cut, 110 + slot), cut);
    }
    const [one, two] = await decoder.step(tokens.slice(110, 112), Uint32Array.of(110, 111));
    const logits = await Promise.all([one!.all(), two!.all()]);
    assertClose(logits[0], row(110), `cut at ${cut}, first stream`);
    assertClose(logits[1], row(111), `cut at ${cut}, second stream`);
    logits.forEach((all, i) => {
      const { values, ids, normalizer } = [one!, two!][i];
      assertEquals([...values], Array.from(ids, (id) => all[id]));
      assert(values.every((value, k) => k === 0 || value <= values[k - 1]));
      assertEquals(values[0], Math.max(...all));
      assertAlmostEquals(normalizer, logSumExp(all), 1e-5);
    });
  }
}

Deno.test("Decoder gives the logits of the whole sequence on the reference backend", async () => {
  using backend = new ReferenceBackend();
  await checkDecoder(backend);
});

Deno.test("Decoder gives the logits of the whole sequence on the wasm backend", async () => {
  using backend = await WasmBackend.create({ threads: 2 });
  await checkDecoder(backend);
});

Deno.test({
  name: "Decoder gives the logits of the whole sequence on the webgpu backend",
  ignore: !webgpuAvailable,
  async fn() {
    using backend = await WebGpuBackend.create({ allowFallback: true });
    await checkDecoder(backend);
  },
});

/** The bits of a stream's logits and of its largest ones. */
async function bitsOf(logits: StreamLogits): Promise<Uint32Array> {
  const all = await logits.all();
  const { values, ids, normalizer } = logits;
  return new Uint32Array(Float32Array.of(normalizer, ...values, ...Array.from(ids), ...all).buffer);
}

Deno.test("Decoder gives a stream the same bits whatever else is in a step, with 8-bit weights", async () => {
  const random = new Random(23), V = config.vocabSize, most = 19;
  const model = quantizeModel(config, largeParameters(config, random));
  const draw = (length: number) => Uint32Array.from({ length }, () => random.below(V));
  // Streams at positions around the blocks of 4 and of 16 in which the cache lies.
  const lengths = Array.from({ length: most }, (_, slot) => slot === 0 ? 33 : 1 + slot * 6);
  const texts = lengths.map((length) => draw(length + STEPS));
  const expected: Uint32Array[] = [];
  for (const simd of ["relaxed", "plain"] as const) {
    expected.length = 0;
    for (const threads of [1, 2, 3]) {
      for (const streams of [1, 2, 3, 4, 5, 8, most]) {
        using backend = await WasmBackend.create({ threads, simd });
        const params = int8Tensors(backend, config, model);
        using decoder = new Decoder(backend, config, params, streams);
        // The stream that is looked at takes the last slot, others fill those before it.
        const at = streams - 1;
        // What an earlier, longer text left behind must not show.
        decoder.prefill(at, draw(130));
        for (let slot = 0; slot < at; slot++) {
          decoder.prefill(slot, texts[slot + 1].subarray(0, lengths[slot + 1]));
        }
        // Its prompt in one part, or one that was cached and two more.
        const cuts = streams % 2 === 0 ? [0, lengths[0]] : [0, 7, 18, lengths[0]];
        cuts.slice(1).forEach((end, i) =>
          decoder.prefill(at, texts[0].subarray(cuts[i], end), cuts[i])
        );
        for (let step = 0; step < STEPS; step++) {
          const tokens = new Uint32Array(streams);
          const positions = new Uint32Array(streams).fill(0xffffffff);
          for (let slot = 0; slot < streams; slot++) {
            if ((slot + step) % 5 === 4 && slot !== at) continue; // some rest
            const text = slot === at ? 0 : slot + 1;
            positions[slot] = lengths[text] + step;
            tokens[slot] = texts[text][positions[slot]];
          }
          const bits = await bitsOf((await decoder.step(tokens, positions))[at]!);
          expected[step] ??= bits;
          const name = `${simd} SIMD, ${threads} threads, ${streams} streams, step ${step}`;
          assert(bits.every((word, i) => word === expected[step][i]), name);
        }
      }
    }
  }
});

/** Wide enough for products whose k is cut into parts. */
const wide: ModelConfig = { vocabSize: 192, contextLength: 192, layers: 2, width: 192, heads: 3 };

Deno.test({
  name: "Decoder gives a stream the same bits whatever else is in a pass, on the webgpu backend",
  ignore: !webgpuAvailable,
  async fn() {
    using backend = await WebGpuBackend.create({ allowFallback: true });
    const random = new Random(29), V = wide.vocabSize, rule = { temperature: 1, topK: 40, minP: 0 };
    const params = parameterTensors(backend, wide);
    backend.write(params.pool, largeParameters(wide, random));
    const draw = (length: number) => Uint32Array.from({ length }, () => random.below(V));
    const text = draw(150), others = [draw(60), draw(3)], start = 140, steps = 5;
    const chances = Float32Array.from({ length: steps - 1 }, () => random.uniform());
    let expected: Uint32Array[] | undefined;
    const record = backend.record.bind(backend), planned = new Set<number | undefined>();
    backend.record = (build) =>
      record((ops) => {
        const matmul: typeof ops.matmul = (args) => {
          planned.add(args.plannedRows);
          ops.matmul(args);
        };
        build({ ...ops, matmul });
      });
    const run = backend.run.bind(backend);
    let runs = 0;
    backend.run = (...programs) => {
      runs++;
      run(...programs);
    };
    using decoder = new Decoder(backend, wide, params, 3);
    for (const [slot, cuts, beside] of [[0, [0], 0], [2, [0, 70, 130], 1], [1, [0], 2]] as const) {
      const rows = [];
      runs = 0;
      // Prompts share a pass: alone it has 256 rows, or 128 and 64 where the prompt comes in parts.
      for (let other = 0; other < beside; other++) {
        const at = (slot + 1 + other) % 3, prompt = others[other];
        decoder.prefill(at, prompt.subarray(1));
        const given = { rule: { ...rule, topP: 0.9 }, chances: chances.subarray(other) };
        rows.push({ slot: at, token: prompt[0], position: prompt.length - 1, ...given });
      }
      cuts.forEach((cut, i) => {
        decoder.prefill(slot, text.subarray(cut, cuts[i + 1] ?? start), cut);
      });
      const row = { slot, token: text[start], position: start, chances };
      rows.unshift({ ...row, rule: { ...rule, topP: 0.9 } });
      if (cuts.length === 1) assertEquals(runs, 0); // prompts wait for one another
      const [made] = await decoder.lookAhead!.run(rows);
      if (cuts.length === 1) assertEquals(runs, 1 + steps);
      const bits: Uint32Array[] = [];
      for (let step = 0; step < steps; step++) bits.push(await bitsOf(made.logits(step)));
      // One step at a time, with the tokens that were drawn.
      for (let step = 0; step < steps; step++) {
        const tokens = new Uint32Array(3), positions = new Uint32Array(3).fill(0xffffffff);
        [tokens[slot], positions[slot]] = [made.token(step), start + step];
        bits.push(await bitsOf((await decoder.step(tokens, positions))[slot]!));
      }
      expected ??= [...bits.slice(0, steps), ...bits.slice(0, steps)];
      bits.forEach((words, i) => {
        const name = `slot ${slot}, ${beside} others, step ${i % steps} of ${
          i < steps ? "many" : "one"
        }`;
        assert(words.every((word, j) => word === expected![i][j]), name);
      });
    }
    assertEquals([...planned], [4]); // larger models would show more plans than one in their bits
  },
});
