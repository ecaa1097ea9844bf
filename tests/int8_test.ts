import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { Bashling } from "../src/generator/generator.ts";
import { parameterLayout } from "../src/model/parameters.ts";
import {
  dequantizeMatrix,
  dequantizeModel,
  quantizeMatrix,
  quantizeModel,
} from "../src/model/int8.ts";
import { loadInt8Weights, loadWeights, saveWeights } from "../src/model/weights.ts";
import { Random } from "../src/random.ts";
import { config, writeRandomModel } from "./random_model.ts";

Deno.test("quantizeMatrix() is off by at most half a step of a row, whichever way a matrix lies", () => {
  const random = new Random(2), n = 37, k = 24;
  const rows = Float32Array.from({ length: n * k }, (_, i) => i < k ? 0 : random.normal());
  const columns = new Float32Array(n * k);
  for (let i = 0; i < n * k; i++) columns[i % k * n + Math.floor(i / k)] = rows[i];
  const one = quantizeMatrix(rows, n, k, { row: k, column: 1 });
  assertEquals(quantizeMatrix(columns, n, k, { row: 1, column: n }), one);
  const back = new Float32Array(n * k);
  dequantizeMatrix(one, back, k, { row: k, column: 1 });
  for (let j = 0; j < n; j++) {
    const row = rows.subarray(j * k, (j + 1) * k), rounded = back.subarray(j * k, (j + 1) * k);
    const step = Math.max(...row.map(Math.abs)) / 127;
    let sum = 0;
    row.forEach((x, l) => {
      assert(Math.abs(x - rounded[l]) <= step / 2 + 1e-6);
      sum += rounded[l];
    });
    assert(Math.abs(sum - one.sums[j]) < 1e-5 * k);
  }
  assertThrows(
    () => quantizeMatrix(rows, 2, 6, { row: 6, column: 1 }),
    RangeError,
    "multiple of 4",
  );
});

Deno.test("saveWeights() keeps a model in 8 bits beside the other, and never an old one", async () => {
  const folder = await writeRandomModel();
  try {
    const weights = await loadWeights(folder);
    // Without the file, what is loaded is what it would have held.
    const rounded = quantizeModel(config, weights.parameters);
    assertEquals(await (await loadInt8Weights(folder)).model, rounded);
    await saveWeights(folder, weights, { int8: true });
    assertEquals(await (await loadInt8Weights(folder)).model, rounded);
    // Readers that take every file of tensors in a folder are told which one is the model.
    const index = JSON.parse(await Deno.readTextFile(`${folder}/model.safetensors.index.json`));
    assertEquals([...new Set(Object.values(index.weight_map))], ["model.safetensors"]);
    await Deno.remove(`${folder}/model.safetensors`);
    const alone = await loadWeights(folder);
    assertEquals(alone.parameters, dequantizeModel(config, rounded));
    const { specs } = parameterLayout(config);
    const off = specs.some(({ offset, size }) => {
      const part = weights.parameters.subarray(offset, offset + size);
      const largest = part.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
      return part.some((x, i) => Math.abs(x - alone.parameters[offset + i]) > largest / 250);
    });
    assert(!off);
    await saveWeights(folder, weights);
    for (const file of ["model.q8.safetensors", "model.safetensors.index.json"]) {
      await assertRejects(() => Deno.stat(`${folder}/${file}`), Deno.errors.NotFound);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("loadInt8Weights() throws one sentence with a remedy when the file is wrong", async () => {
  const folder = await writeRandomModel();
  try {
    await saveWeights(folder, await loadWeights(folder), { int8: true });
    const path = `${folder}/model.q8.safetensors`, bytes = await Deno.readFile(path);
    const damaged = bytes.slice();
    damaged[bytes.length - 9] ^= 1;
    await Deno.writeFile(path, damaged);
    const load = async () => await (await loadInt8Weights(folder)).model;
    await assertRejects(load, RangeError, "SHA-256 differs");
    await Deno.writeFile(path, bytes.subarray(0, bytes.length - 1));
    await assertRejects(load, RangeError, "fetch or write it again");
    await Deno.writeFile(path, bytes);
    const json = JSON.parse(await Deno.readTextFile(`${folder}/config.json`));
    await Deno.writeTextFile(`${folder}/config.json`, JSON.stringify({ ...json, n_layer: 3 }));
    await assertRejects(load, RangeError, "has no transformer.h.2");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("Bashling computes with 8-bit weights on every backend what the reference computes", async () => {
  const folder = await writeRandomModel();
  try {
    const scores: number[] = [], scripts: string[] = [];
    for (const [backend, threads] of [["reference"], ["wasm", 1], ["wasm", 2]] as const) {
      using model = await Bashling.load({ weights: folder, backend, threads, precision: "int8" });
      scores.push((await model.score("for i in *.txt; do echo $i; done\n".repeat(8))).nats);
      scripts.push(await model.complete("List all files", { seed: 1, maxTokens: 30 }));
    }
    // Products of whole numbers are the same; what f32 adds up between them is rounded differently,
    // and now and then rounds an activation to a neighbouring step.
    assert(scores.every((nats) => Math.abs(nats - scores[0]) < 1e-3 * scores[0]), scores.join());
    assertEquals(scripts[1], scripts[2]);
    using exact = await Bashling.load({ weights: folder, backend: "wasm", precision: "f32" });
    const { nats } = await exact.score("for i in *.txt; do echo $i; done\n".repeat(8));
    assert(nats !== scores[1] && Math.abs(nats - scores[1]) < 0.02 * nats);
    await assertRejects(
      () => Bashling.load({ weights: folder, backend: "tfjs", precision: "int8" }),
      RangeError,
      "f32 only",
    );
    await assertRejects(
      () => Bashling.load({ weights: folder, precision: "f16" as "f32" }),
      RangeError,
      "precision is f16",
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
