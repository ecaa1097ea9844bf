import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { collect, type Script } from "../src/generator/choose.ts";
import { Bashling } from "../src/generator/generator.ts";
import type { GenerateOptions } from "../src/generator/options.ts";
import { Streams } from "../src/generator/streams.ts";
import { assertAllValid, bashComplaints } from "./bash_check.ts";
import { writeRandomModel } from "./random_model.ts";

/** Runs `test` with a model of random weights, whose scripts are noise. */
async function withModel(test: (model: Bashling) => Promise<void>, streams = 1): Promise<void> {
  const folder = await writeRandomModel();
  try {
    using model = await Bashling.load({ weights: folder, streams, threads: 1, backend: "wasm" });
    await test(model);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const QUICK: GenerateOptions = { verdict: false };

const generate = (model: Bashling, prompt: string, options: GenerateOptions): Promise<Script> =>
  collect(model.generate(prompt, { ...QUICK, ...options }));

/** Beginnings that leave something open. */
const BEGINNINGS = [
  "Print the date",
  "# Loop\nfor f in *; do\n  if true; then\n",
  '# Quote\necho "a $(date',
  "# Here\ncat <<EOF\nsome text",
  "# Case\ncase $1 in\n  a)",
  "# Array\nfiles=(one two",
  "# Arithmetic\nx=$((1 +",
  "# Function\nusage() {\n  echo use",
  "# Test\nif [[ -f $1",
  "# Pipe\nls |",
];

Deno.test("generate() writes scripts that bash accepts, wherever they are cut", () =>
  withModel(async (model) => {
    const scripts: string[] = [];
    for (let seed = 0; seed < 200; seed++) {
      const temperature = [0.2, 0.8, 1.5, 10][seed % 4];
      const maxTokens = 18 + seed % 50;
      const prompt = BEGINNINGS[seed % BEGINNINGS.length];
      const options = { seed, temperature, maxTokens, topK: 0, topP: 1 };
      const { text, completionTokens, syntax } = await generate(model, prompt, options);
      assert(completionTokens <= maxTokens);
      assertEquals(syntax, { valid: true }, text);
      scripts.push(text);
    }
    await assertAllValid(scripts);
  }));

Deno.test("generate() writes noise that bash refuses when the syntax is not enforced", () =>
  withModel(async (model) => {
    const scripts: Script[] = [];
    for (let seed = 0; seed < 40; seed++) {
      const options = { seed, maxTokens: 60, syntax: "check" } as const;
      scripts.push(await generate(model, "Print the date", options));
    }
    const utf8 = new TextEncoder();
    const complaints = await bashComplaints(scripts.map(({ text }) => utf8.encode(text)));
    assert(complaints.filter(Boolean).length > 10);
    scripts.forEach(({ syntax, text }, i) => {
      if (syntax?.valid) assertEquals(complaints[i], undefined, text);
    });
  }));

Deno.test("generate() closes what a stop string leaves open", () =>
  withModel(async (model) => {
    const scripts: string[] = [];
    for (let seed = 0; seed < 60; seed++) {
      const options = { seed, maxTokens: 60, temperature: 2, topK: 0, topP: 1 };
      const { text } = await generate(model, BEGINNINGS[seed % BEGINNINGS.length], options);
      const at = text.length - 1 - seed % 20;
      const stop = [text.slice(at, at + 1)].filter((text) => text.isWellFormed());
      const cut = await generate(model, BEGINNINGS[seed % BEGINNINGS.length], { ...options, stop });
      scripts.push(cut.text);
    }
    await assertAllValid(scripts);
  }));

Deno.test("generate() throws when the prompt is no beginning of a script or cannot be closed", () =>
  withModel((model) => {
    assertThrows(() => model.generate("# Wrong\nfi\n"), SyntaxError, "line 3");
    assertThrows(
      () => model.generate(BEGINNINGS[1], { maxTokens: 2 }),
      RangeError,
      "allow more with maxTokens",
    );
    model.generate("# Wrong\nfi\n", { syntax: "off" });
    model.generate("# Wrong\nfi\n", { syntax: "check" });
    return Promise.resolve();
  }));

Deno.test("generate() tells what a script may do, and choose() refuses it", () =>
  withModel(async (model) => {
    const wipe = "# Wipe\nrm -rf /\n";
    const options = { seed: 1, maxTokens: 12 };
    const { verdict } = await collect(model.generate(wipe, options));
    assertEquals(verdict?.level, "destructive");
    assertEquals(verdict?.findings[0].line, 3);
    const error = await assertRejects(() =>
      model.choose(wipe, { ...options, refuse: "destructive" })
    );
    assert(error instanceof Error && /8 of 8 scripts were refused/.test(error.message));
    assertEquals((await model.choose(wipe, options)).text, await model.complete(wipe, options));
    await assertRejects(
      () => model.complete(wipe, { refuse: "caution", verdict: false }),
      RangeError,
      "needs a verdict",
    );
  }));

Deno.test("choose() takes the script whose tokens have the highest mean log-probability", () =>
  withModel(async (model) => {
    const options: GenerateOptions = { ...QUICK, maxTokens: 20, temperature: 1.5, seed: 30 };
    const all: Script[] = [];
    for (let i = 0; i < 5; i++) {
      all.push(await generate(model, "Print the date", { ...options, seed: 30 + i }));
    }
    const mean = ({ logprob, completionTokens }: Script) => logprob / completionTokens;
    const best = all.reduce((a, b) => mean(b) > mean(a) ? b : a);
    assertEquals(await model.choose("Print the date", { ...options, bestOf: 5 }), best);
    await assertRejects(() => model.choose("x", { bestOf: 0 }), RangeError, "bestOf is 0");
  }, 3));

Deno.test("generate() explains each token by its probability and its rivals", () =>
  withModel(async (model) => {
    const options: GenerateOptions = { ...QUICK, seed: 3, maxTokens: 15, explain: true };
    let sum = 0, drawn = 0, count = 0, explained = "", text = "";
    const generation = model.generate("Print the date", options);
    await generation.next(); // the beginning
    let next = await generation.next();
    for (; !next.done; next = await generation.next()) {
      drawn += next.value.logprob;
      text += next.value.text;
      for (const { token, text, probability, rivals } of next.value.explanations ?? []) {
        sum += Math.log(probability);
        count++;
        explained += text;
        assertEquals(rivals.length, 5);
        assert(
          rivals.every((rival, i) => i === 0 || rival.probability <= rivals[i - 1].probability),
        );
        assert(rivals.every((rival) => rival.token !== token));
        assert(rivals.reduce((sum, rival) => sum + rival.probability, probability) <= 1 + 1e-6);
      }
    }
    assert(count > 0 && Math.abs(sum - drawn) < 1e-6 * count);
    // What closes the script is not drawn, and half characters are U+FFFD in a token of their own.
    const start = explained.replace(/\ufffd.*$/s, "");
    assert(start.length > 0 && text.startsWith(start), `${text} is explained as ${explained}`);
  }));

Deno.test("Streams pays for a shared beginning once, and goes on as if it were new", async () => {
  const put: [slot: number, start: number, tokens: number][] = [];
  const streams = new Streams({
    streams: 2,
    prefillRows: 64,
    prefill: (slot, tokens, start) => void put.push([slot, start, tokens.length]),
    step: () => Promise.reject(new Error("not asked for")),
  });
  const first = (await streams.acquire(Uint32Array.of(1, 2, 3, 4)))!;
  streams.prefill(first, Uint32Array.of(1, 2, 3, 4), 0);
  const second = (await streams.acquire(Uint32Array.of(1, 2, 9)))!;
  assertEquals(streams.shared(second, Uint32Array.of(1, 2, 9)), 0);
  streams.prefill(second, Uint32Array.of(1, 2, 9), 0);
  streams.release(first);
  streams.release(second);
  // Of the two free streams it is the one that begins more alike.
  const again = (await streams.acquire(Uint32Array.of(1, 2, 9, 7, 7)))!;
  assertEquals([again, streams.shared(again, Uint32Array.of(1, 2, 9, 7, 7))], [second, 3]);
  streams.prefill(again, Uint32Array.of(8, 8), 1); // what stood there from position 1 on is gone
  assertEquals(streams.shared(again, Uint32Array.of(1, 2, 9)), 1);
  assertEquals(streams.shared(again, Uint32Array.of(1, 8, 8, 8)), 3);
});

Deno.test("generate() gives the same script whether or not its prompt is in the cache", () =>
  withModel(async (model) => {
    const options: GenerateOptions = { seed: 5, maxTokens: 30 };
    const prompts = ["Print the date", "Print the date and time", "List all files"];
    const fresh: Script[] = [];
    for (const prompt of prompts) {
      await withModel(async (other) => void fresh.push(await generate(other, prompt, options)));
    }
    for (let round = 0; round < 2; round++) {
      for (const [i, prompt] of prompts.entries()) {
        assertEquals(await generate(model, prompt, options), fresh[i]);
      }
    }
  }));

Deno.test("generate() stops within a token of an abort and gives its stream back, again and again", () =>
  withModel(async (model) => {
    for (let i = 0; i < 150; i++) {
      const controller = new AbortController();
      const generation = model.generate("Print the date", {
        ...QUICK,
        seed: i,
        signal: controller.signal,
      });
      let tokens = 0;
      let next = await generation.next();
      for (; !next.done && tokens < i % 7; next = await generation.next()) {
        tokens += next.value.tokens.length;
      }
      if (i % 2 === 0) controller.abort();
      else await generation.return(undefined as never);
      if (!next.done) next = await generation.next();
      while (!next.done) next = await generation.next();
    }
    // A stream that was kept would make this wait for ever.
    assertEquals((await generate(model, "Print the date", { seed: 1 })).seed, 1);
  }, 2));
