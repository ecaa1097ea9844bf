import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { TokenizedCorpus } from "../../src/corpus/tokenized.ts";
import { loadCheckpoint } from "../../src/trainer/checkpoint.ts";
import { resumeRun, type RunPlan, startRun } from "../../src/trainer/run.ts";
import { Trainer } from "../../src/trainer/trainer.ts";
import { trainTokenizer } from "../../src/tokenizer/train.ts";
import { webgpuAvailable } from "../adapter.ts";
import { CapturedDevices } from "./captured_device.ts";

const CONFIG = { vocabSize: 300, contextLength: 64, layers: 1, width: 32, heads: 2 };
const TEXTS = Array.from({ length: 40 }, (_, i) => `The cat saw ${i} birds. It did not move.\n`);

const tokenizer = await trainTokenizer({ texts: TEXTS, vocabSize: 300, transition: 0.9 });
const corpus = () => TokenizedCorpus.from(TEXTS, tokenizer);

Deno.test({
  name:
    "Trainer makes nothing on the device after its first step, and reads back once in ten steps",
  ignore: !webgpuAvailable,
  fn: async () => {
    using captured = new CapturedDevices();
    using trainer = await Trainer.create({
      config: CONFIG,
      tokenizer,
      corpus: [{ documents: await corpus(), weight: 1 }],
      backend: "webgpu",
      batchSize: 2,
      gradAccum: 2,
      dropout: 0.1,
    });
    const run = async (steps: number): Promise<Record<string, number>> => {
      captured.calls = {};
      let reports = 0;
      for await (const { loss } of trainer.run({ steps })) {
        reports++;
        assert(loss > 0);
      }
      assertEquals(reports, Math.ceil(steps / 10));
      return captured.calls;
    };
    const first = await run(1);
    assert(first.createBuffer > 0); // what results come back through
    await run(9);
    const ten = await run(10), thirty = await run(30);
    assertEquals(Object.keys(thirty).sort(), ["dispatchWorkgroups", "mapAsync", "submit"]);
    assertEquals(ten.mapAsync, 1);
    for (const [name, count] of Object.entries(ten)) assertEquals(thirty[name], 3 * count, name);
  },
});

Deno.test({
  name: "A run validates after the next report, where none comes at the step itself",
  ignore: !webgpuAvailable,
  fn: async () => {
    const folder = await Deno.makeTempDir();
    await Deno.writeTextFile(`${folder}/stories.txt`, TEXTS.join("<|endoftext|>"));
    await Deno.writeTextFile(`${folder}/tokenizer.json`, tokenizer.toJSON());
    const plan: RunPlan = {
      stage: "language",
      data: [{ path: `${folder}/stories.txt`, weight: 1 }],
      stories: [],
      storiesShare: 0,
      valid: [{ path: `${folder}/stories.txt`, weight: 1 }],
      config: CONFIG,
      settings: { steps: 45, batchSize: 2, lr: 1e-3 },
      evalEvery: 13,
      saveEvery: 0,
      tokenizer: `${folder}/tokenizer.json`,
    };
    const out = `${folder}/run`, place = { out, backend: "webgpu" as const, command: "" };
    try {
      assertEquals(await startRun(plan, place, new AbortController().signal), "finished");
      const log = (await Deno.readTextFile(`${out}/log.jsonl`)).trim().split("\n")
        .map((line) => JSON.parse(line));
      const validated = log.filter(({ kind }) => kind === "validation").map(({ step }) => step);
      assertEquals(validated, [20, 30, 40, 45]);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});

Deno.test({
  name: "A run whose device is lost says so and where it goes on, and --resume ends it",
  ignore: !webgpuAvailable,
  fn: async () => {
    const folder = await Deno.makeTempDir();
    await Deno.writeTextFile(`${folder}/stories.txt`, TEXTS.join("<|endoftext|>"));
    await Deno.writeTextFile(`${folder}/tokenizer.json`, tokenizer.toJSON());
    const plan = (): RunPlan => ({
      stage: "language",
      data: [{ path: `${folder}/stories.txt`, weight: 1 }],
      stories: [],
      storiesShare: 0,
      valid: [],
      config: CONFIG,
      settings: { steps: 60, batchSize: 2, lr: 1e-3 },
      evalEvery: 0,
      saveEvery: 10,
      tokenizer: `${folder}/tokenizer.json`,
    });
    const place = (name: string) => ({
      out: `${folder}/${name}`,
      backend: "webgpu" as const,
      command: "deno task pretrain",
    });
    const { signal } = new AbortController();
    try {
      assertEquals(await startRun(plan(), place("whole"), signal), "finished");
      using captured = new CapturedDevices();
      const lost = startRun(plan(), place("lost"), signal);
      const checkpoint = async () => {
        const text = await Deno.readTextFile(`${folder}/lost/log.jsonl`).catch(() => "");
        return text.includes('"step":30,');
      };
      while (!await checkpoint()) await new Promise((resolve) => setTimeout(resolve, 2));
      captured.devices[0].destroy();
      const error = await assertRejects(() => lost, Error, "The GPU was lost");
      assertMatch(error.message, /The checkpoint of step (20|30|40|50) is in .*lost\/checkpoint/);
      assertMatch(error.message, /deno task pretrain --resume .*\/lost/);
      assertEquals(await resumeRun(place("lost"), signal), "finished");
      const [whole, resumed] = await Promise.all(
        ["whole", "lost"].map((name) => loadCheckpoint(`${folder}/${name}/checkpoint`)),
      );
      assertEquals(resumed.state.step, 60);
      assertEquals(resumed.parameters, whole.parameters);
      assertEquals(resumed.v, whole.v);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});
