import { assert, assertEquals, assertRejects } from "@std/assert";
import { bashChecker, scorePrompts, scoreScripts, scoreStories } from "../src/evaluate.ts";
import { Bashling } from "../src/generator/generator.ts";
import { writeRandomModel } from "./random_model.ts";

const check = await bashChecker();

Deno.test({
  name: "bashChecker() tells scripts that parse from those that do not, and runs neither",
  ignore: !check,
  async fn() {
    const file = await Deno.makeTempFile();
    try {
      assertEquals(await check!(`echo ran > ${file}\nfor i in 1 2; do :; done\n`), true);
      assertEquals(await check!(`echo ran > ${file}\nif true; then\n`), false);
      assertEquals(await check!(`)\n${"echo long\n".repeat(30_000)}`), false);
      assertEquals(await Deno.readTextFile(file), "");
    } finally {
      await Deno.remove(file);
    }
  },
});

Deno.test("scoreStories() and scorePrompts() obey their limit, their signal and their seed", async () => {
  const folder = await writeRandomModel();
  try {
    using model = await Bashling.load({ weights: folder, backend: "reference" });
    const stories = `${folder}/stories.txt`;
    const texts = Array.from({ length: 40 }, (_, i) => `Story ${i} is here.`);
    await Deno.writeTextFile(stories, texts.join("<|endoftext|>"));
    const seen: number[] = [];
    const onProgress = ({ done }: { done: number }) => seen.push(done);
    const score = await scoreStories(model, stories, { limit: 35, onProgress });
    assertEquals([score.documents, seen], [35, [32, 35]]);
    const direct = await model.score(texts.slice(0, 35));
    assert(Math.abs(direct.nats - score.nats) < 1e-4 * score.nats);
    assertEquals([direct.tokens, direct.bytes], [score.tokens, score.bytes]);
    await assertRejects(
      () => scoreStories(model, stories, { signal: AbortSignal.abort(new Error("enough")) }),
      Error,
      "enough",
    );
    const prompts = `${folder}/prompts.txt`;
    await Deno.writeTextFile(prompts, "one\ntwo\n\nthree\n");
    const options = { limit: 2, generate: { seed: 3, maxTokens: 6, syntax: "off" as const } };
    const first = await scorePrompts(model, prompts, options);
    assertEquals(first, await scorePrompts(model, prompts, options));
    assertEquals([first.scripts, first.meanTokens], [2, 6]);
    if (check) {
      const valid = [
        await check(await model.complete("one", { ...options.generate, verdict: false })),
        await check(await model.complete("two", { ...options.generate, seed: 4, verdict: false })),
      ].filter(Boolean).length;
      assertEquals(first.valid, valid);
    }
    await Deno.writeTextFile(prompts, "\n");
    await assertRejects(() => scorePrompts(model, prompts), RangeError, "no prompt");
    await assertRejects(() => scoreScripts(model, prompts), RangeError, "no bash corpus");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
