import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { paceOf, parseRecipe, savesEvery, stepsFor } from "../scripts/recipe.ts";
import { initialParameters } from "../src/model/parameters.ts";
import { saveWeights } from "../src/model/weights.ts";
import { trainTokenizer } from "../src/tokenizer/train.ts";
import type { LogEntry } from "../src/trainer/report.ts";
import { finish, startDeno } from "./process.ts";

const PLACES = { out: "runs/x", data: "texts" };

Deno.test("parseRecipe() reads the recipes that come with the project", async () => {
  for (const name of ["small", "base"]) {
    const text = await Deno.readTextFile(`scripts/recipes/${name}.json`);
    const stages = parseRecipe(text, PLACES);
    assertEquals(stages.map(({ task }) => task), ["pretrain", "finetune"]);
    assert(stages[0].args.includes("texts/tinystories/train.txt.gz"));
    assert(stages[1].args.includes("runs/x/language/best"));
  }
});

Deno.test("parseRecipe() throws when a stage is not whole or decides its steps", () => {
  const stage = { name: "1", task: "pretrain", share: 1, args: [] as string[] };
  for (
    const [stages, message] of [
      [[], "needs stages"],
      [[{ ...stage, task: "serve" }], "Stage 1"],
      [[stage, { ...stage, share: 0 }], "Stage 2"],
      [[{ ...stage, args: ["--steps", "9"] }], "--steps"],
    ] as const
  ) assertThrows(() => parseRecipe(JSON.stringify({ stages }), PLACES), SyntaxError, message);
});

Deno.test("stepsFor() leaves time for the start and validation, and is never nothing", () => {
  const pace = { tokensPerSecond: 1024, tokensPerStep: 1024, validation: 0, start: 0 };
  const without = stepsFor(100, pace);
  assert(without < 100);
  assert(stepsFor(100, { ...pace, validation: 2 }) <= without - 20);
  assert(stepsFor(100, { ...pace, start: 10 }) < without - 8);
  assertEquals(stepsFor(0.001, { ...pace, tokensPerSecond: 1 }), 1);
  assertEquals(stepsFor(10, { ...pace, validation: 2 }), 1);
});

Deno.test("paceOf() takes the slower of a GPU's two rates, and the time of start and validation", () => {
  const train = (step: number, seconds: number, tokensPerSecond: number): LogEntry => {
    const numbers = { loss: 5, gradNorm: 1, lr: 1e-3 };
    return { kind: "train", step, seconds, tokensPerSecond, tokens: 100 * step, ...numbers };
  };
  const log: LogEntry[] = [train(10, 9, 111), train(20, 10, 900), train(30, 11.1, 1000)];
  log.push({ kind: "validation", step: 30, seconds: 13.6, scores: {} });
  const pace = { tokensPerSecond: 900, tokensPerStep: 100, validation: 2.5, start: 8 };
  assertEquals(paceOf(log, 8 + 3000 / 900 + 2.5), pace);
  assertEquals(paceOf(log, 1).start, 0);
});

Deno.test("savesEvery() saves a tenth of the run apart, and no fast run every few seconds", () => {
  const pace = { tokensPerSecond: 1000, tokensPerStep: 8192, validation: 0, start: 0 };
  assertEquals(savesEvery(100, pace), 10);
  assertEquals(savesEvery(9000, pace), 200);
  assertEquals(savesEvery(9000, { ...pace, tokensPerSecond: 300_000 }), 900);
  assertEquals(savesEvery(90_000, { ...pace, tokensPerSecond: 300_000 }), 1099);
});

Deno.test("a recipe trains its stages in the time it is given, and only once", async () => {
  const folder = await Deno.makeTempDir();
  const config = { vocabSize: 300, contextLength: 64, layers: 1, width: 32, heads: 2 };
  try {
    const texts = Array.from(
      { length: 40 },
      (_, i) => `#!/bin/bash\n# Count file ${i}\nset -euo pipefail\nwc -l "file${i}.txt"\n`,
    );
    const tokenizer = await trainTokenizer({ texts, vocabSize: 300, transition: 0.9 });
    const parameters = initialParameters(config, 5);
    await saveWeights(`${folder}/weights`, {
      config,
      parameters,
      tokenizerJson: tokenizer.toJSON(),
    });
    await Deno.mkdir(`${folder}/scripts`);
    for (const [i, text] of texts.entries()) {
      await Deno.writeTextFile(`${folder}/scripts/${i}.sh`, text);
    }
    const args = (from: string) => [
      ...["--from", from, "--data", "{data}/scripts", "--no-own-scripts", "--stories-share", "0"],
      ...["--valid", "{data}/scripts", "--batch-size", "1"],
    ];
    const stages = [
      { name: "one", task: "finetune", share: 1, args: args("{data}/weights") },
      { name: "two", task: "finetune", share: 2, args: args("{out}/one/best") },
    ];
    await Deno.writeTextFile(`${folder}/recipe.json`, JSON.stringify({ stages }));
    const bake = () =>
      finish(startDeno([
        ...["--allow-all", "scripts/recipe.ts", `${folder}/recipe.json`, "--minutes", "0.1"],
        ...["--out", `${folder}/run`, "--data", folder, "--backend", "wasm", "--threads", "1"],
      ]));
    const first = await bake();
    assertEquals(first.code, 0, first.stderr);
    assertStringIncludes(first.stderr, `deno task export ${folder}/run/two/best`);
    await Deno.stat(`${folder}/run/two/best/model.safetensors`);
    const second = await bake();
    assertEquals(second.code, 0, second.stderr);
    assert(!second.stderr.includes("Training"), second.stderr);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
