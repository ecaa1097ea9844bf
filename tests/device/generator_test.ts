import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import type { GenerationResult, Piece } from "../../src/generator/generation.ts";
import { Bashling, type LoadOptions } from "../../src/generator/generator.ts";
import type { GenerateOptions } from "../../src/generator/options.ts";
import { Random } from "../../src/random.ts";
import { config, tokenizer, writeRandomModel } from "../random_model.ts";

const PROMPT = "List all files";
const BEGINNING = "#!/bin/bash\n# List all files\n";

/** Runs `test` with a model of random weights. */
async function withModel(
  test: (model: Bashling, folder: string) => Promise<void>,
  options: LoadOptions = { backend: "reference" },
): Promise<void> {
  const folder = await writeRandomModel();
  try {
    await using model = await Bashling.load({ weights: folder, ...options });
    await test(model, folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** What is drawn alone, whether bash or not; what makes it bash is in generator_syntax_test.ts. */
const FREE = { syntax: "off", verdict: false } as const;

/** Everything that a generation gives. */
async function collect(
  model: Bashling,
  options: GenerateOptions,
  prompt = PROMPT,
): Promise<{ pieces: Piece[]; text: string; result: GenerationResult }> {
  const pieces: Piece[] = [];
  const generation = model.generate(prompt, { ...FREE, ...options });
  let next = await generation.next();
  for (; !next.done; next = await generation.next()) pieces.push(next.value);
  return { pieces, text: pieces.map(({ text }) => text).join(""), result: next.value };
}

for (const backend of ["reference", "wasm", "tfjs"] as const) {
  Deno.test(`generate() gives the same pieces when the seed is the same on ${backend}`, () =>
    withModel(async (model) => {
      const options = { seed: 4, maxTokens: 30 };
      const first = await collect(model, options);
      const second = await collect(model, options);
      assertEquals(first, second);
      assertEquals(await model.complete(PROMPT, { ...FREE, ...options }), first.text);
      assert(first.text !== (await collect(model, { ...options, seed: 5 })).text);
      assertEquals(first.pieces[0].text, BEGINNING);
      assertEquals(first.result.promptTokens, tokenizer.encode(BEGINNING.trimEnd()).length);
      assert(first.text.startsWith(BEGINNING) && first.text.isWellFormed());
    }, { backend }));
}

Deno.test("generate() counts and sums what it draws", () =>
  withModel(async (model) => {
    const { pieces, result } = await collect(model, { seed: 9, maxTokens: 40 });
    const [given, ...drawn] = pieces;
    assertEquals(given.tokens, [...tokenizer.encode(BEGINNING.trimEnd())]);
    assertEquals([result.reason, result.completionTokens, result.seed], ["length", 40, 9]);
    // Tokens of half a character at the end are in no piece.
    const inPieces = drawn.flatMap(({ tokens }) => tokens).length;
    assert(inPieces <= 40 && inPieces > 36);
    if (inPieces === 40) {
      const sum = drawn.reduce((total, { logprob }) => total + logprob, 0);
      assert(Math.abs(sum - result.logprob) < 1e-9);
    }
    assert(drawn.every(({ logprob }) => logprob < 0));
  }));

Deno.test("generate() changes with every option", () =>
  withModel(async (model) => {
    const base: GenerateOptions = { seed: 1, maxTokens: 24, temperature: 1, topK: 0, topP: 1 };
    const { text, result } = await collect(model, base);
    const changes: GenerateOptions[] = [
      { maxTokens: 20 },
      { temperature: 0.1 },
      { topK: 3 },
      { topP: 0.2 },
      { minP: 0.5 },
      { repetitionPenalty: 10 },
      { seed: 2 },
      { stop: [text.slice(-4, -2)] },
    ];
    for (const change of changes) {
      const other = await collect(model, { ...base, ...change });
      assert(other.text !== text, JSON.stringify(change));
    }
    assertEquals(result.reason, "length");
    const greedy = await collect(model, { ...base, temperature: 0 });
    assertEquals(greedy.text, (await collect(model, { ...base, temperature: 0, seed: 7 })).text);
  }));

Deno.test("generate() reads generation_config.json for what is not given", () =>
  withModel(async (_, folder) => {
    const path = `${folder}/generation_config.json`;
    const json = JSON.parse(await Deno.readTextFile(path));
    await Deno.writeTextFile(path, JSON.stringify({ ...json, max_new_tokens: 7 }));
    using model = await Bashling.load({ weights: folder, backend: "reference" });
    assertEquals((await collect(model, {})).result.completionTokens, 7);
  }));

Deno.test("generate() ends before stop strings that span tokens", () =>
  withModel(async (model) => {
    const random = new Random(3);
    for (let i = 0; i < 12; i++) {
      const options = { seed: 20 + i, maxTokens: 40, temperature: 1.2 };
      const { text } = await collect(model, options);
      const script = [...text.slice(BEGINNING.length)];
      const at = random.below(script.length - 3);
      const stop = script.slice(at, at + 1 + random.below(3)).join("");
      const stopped = await collect(model, { ...options, stop: [stop, "never there"] });
      const before = script.join("").indexOf(stop);
      assertEquals(stopped.text, BEGINNING + script.join("").slice(0, before));
      assertEquals([stopped.result.reason, stopped.result.stop], ["stop", stop]);
      assert(stopped.pieces.every(({ text }) => text.isWellFormed() && text.length > 0));
    }
  }));

Deno.test("generate() does not see the prompt as a stop string", () =>
  withModel(async (model) => {
    const { text } = await collect(model, { seed: 1, maxTokens: 20, stop: ["\n", "List"] });
    assert(text.startsWith(BEGINNING));
  }));

Deno.test("generate() lets the prompt's last newline grow into a token of several", () =>
  withModel(async (model) => {
    const ids = new Set<number>();
    for (let seed = 0; seed < 40; seed++) {
      const options = { seed, maxTokens: 2, temperature: 5, topK: 0, topP: 1 };
      const { pieces, text } = await collect(model, options);
      const drawn = pieces.slice(1).flatMap(({ tokens }) => tokens);
      if (drawn.length > 0) ids.add(drawn[0]);
      assertMatch(text, /^#!\/bin\/bash\n# List all files\n/);
    }
    const newlines = [...ids].map((id) => tokenizer.decode([id]));
    assert(newlines.every((text) => text.startsWith("\n")));
    assert(newlines.includes("\n") && newlines.length > 1, JSON.stringify(newlines));
  }));

Deno.test("generate() ends with length when the context is full", () =>
  withModel(async (model) => {
    const { result } = await collect(model, { seed: 1, maxTokens: 10_000 });
    if (result.reason === "length") {
      assertEquals(result.promptTokens + result.completionTokens, config.contextLength);
    } else assertEquals(result.reason, "stop");
  }));

Deno.test("generate() refuses or cuts a prompt that is too long", () =>
  withModel(async (model) => {
    const prompt = "many words ".repeat(60);
    assertThrows(() => model.generate(prompt), RangeError, "leaves room for 127");
    const { text, result } = await collect(
      model,
      { truncate: true, maxTokens: 9, seed: 1 },
      prompt,
    );
    assert(text.startsWith("#!/bin/bash\n") && text.includes("words"));
    assertEquals(result.promptTokens, config.contextLength - 9);
    assertEquals(result.completionTokens, 9);
  }));

Deno.test("generate() throws at once when an option is wrong", () =>
  withModel((model) => {
    const wrong: [object, typeof RangeError | typeof TypeError, string][] = [
      [{ maxTokens: 0 }, RangeError, "maxTokens is 0, expected a whole number from 1 up"],
      [{ maxTokens: 1.5 }, RangeError, "whole"],
      [{ temperature: -1 }, RangeError, "from 0 to 100"],
      [{ temperature: NaN }, RangeError, "temperature is NaN"],
      [{ topK: -1 }, RangeError, "topK"],
      [{ topP: 1.1 }, RangeError, "from 0 to 1"],
      [{ minP: 2 }, RangeError, "minP"],
      [{ repetitionPenalty: 0 }, RangeError, "repetitionPenalty"],
      [{ seed: 1.5 }, RangeError, "seed"],
      [{ topP: "1" }, TypeError, "topP is of type string"],
      [{ stop: "x" }, TypeError, "array of strings"],
      [{ stop: [""] }, RangeError, "empty string"],
      [{ stop: ["\ud800"] }, RangeError, "half a character"],
      [{ truncate: 1 }, RangeError, "from 8 up"],
      [{ truncate: "yes" }, TypeError, "truncate is of type string"],
      [{ frequencyPenalty: 3 }, RangeError, "from -2 to 2"],
      [{ presencePenalty: "1" }, TypeError, "presencePenalty"],
      [{ logitBias: [1] }, TypeError, "logitBias is no object"],
      [{ logitBias: { "-1": 1 } }, RangeError, "a token's id"],
      [{ logitBias: { 7: 101 } }, RangeError, "from -100 to 100"],
      [{ logitBias: { 9999999: 1 } }, RangeError, "logitBias has token 9999999"],
      [{ verdict: "no" }, TypeError, "verdict is of type string"],
      [{ syntax: "strict" }, RangeError, "expected one of off, check, enforce"],
      [{ signal: {} }, TypeError, "AbortSignal"],
      [{ maxtokens: 5 }, TypeError, "no option maxtokens"],
    ];
    for (const [options, type, message] of wrong) {
      assertThrows(() => model.generate(PROMPT, options as GenerateOptions), type, message);
    }
    return Promise.resolve();
  }));

Deno.test("generate() ends with abort within a token", () =>
  withModel(async (model) => {
    const controller = new AbortController();
    const generation = model.generate(PROMPT, { seed: 1, signal: controller.signal });
    let tokens = 0;
    let next = await generation.next();
    for (; !next.done; next = await generation.next()) {
      if (next.value.text !== BEGINNING) tokens += next.value.tokens.length;
      if (tokens >= 5) controller.abort();
    }
    assertEquals(next.value.reason, "abort");
    assert(next.value.completionTokens <= tokens + 1);
    const already = await collect(model, { signal: AbortSignal.abort() });
    assertEquals([already.text, already.result.reason], ["", "abort"]);
    await assertRejects(
      () => model.complete(PROMPT, { signal: AbortSignal.abort(new Error("enough")) }),
      Error,
      "enough",
    );
  }));

Deno.test("generate() lets timers abort it", () =>
  withModel(async (model) => {
    const controller = new AbortController();
    const timer = setTimeout(() => controller.abort(), 1);
    const { result } = await collect(model, { seed: 1, maxTokens: 100, signal: controller.signal });
    clearTimeout(timer);
    // Without a turn of the event loop between tokens all hundred would be drawn.
    assertEquals(result.reason, "abort");
  }));

for (const [backend, streams] of [["reference", 1], ["reference", 3], ["wasm", 3]] as const) {
  Deno.test(`generate() gives overlapping calls what each gets alone, with ${streams} streams on ${backend}`, () =>
    withModel(async (model) => {
      const options = (seed: number) => ({ ...FREE, seed, maxTokens: 12 + seed });
      const alone: string[] = [];
      for (const seed of [1, 2, 3, 4, 5]) alone.push(await model.complete(PROMPT, options(seed)));
      const together = await Promise.all(
        [1, 2, 3, 4, 5].map((seed) => model.complete(PROMPT, options(seed))),
      );
      assertEquals(together, alone);
    }, { backend, streams }));
}

Deno.test("generate() gives its stream back when its loop is left or its turn is aborted", () =>
  withModel(async (model) => {
    for await (const _ of model.generate(PROMPT, { seed: 1 })) break;
    const holder = model.generate(PROMPT, { seed: 1 });
    await holder.next();
    const controller = new AbortController();
    const waiting = collect(model, { seed: 1, signal: controller.signal });
    controller.abort();
    assertEquals((await waiting).result.reason, "abort");
    await holder.return(undefined as unknown as GenerationResult);
    assertEquals((await collect(model, { seed: 1, maxTokens: 3 })).result.completionTokens, 3);
  }));

Deno.test("score() sums the same however documents are grouped", () =>
  withModel(async (model) => {
    const long = "for i in *.txt; do echo $i; done\n".repeat(30);
    assert(tokenizer.encode(long).length > 2 * config.contextLength);
    const [a, b, both] = [
      await model.score(long),
      await model.score("echo hello"),
      await model.score([long, "echo hello"]),
    ];
    assertEquals(both.tokens, a.tokens + b.tokens);
    assertEquals(both.bytes, a.bytes + b.bytes);
    assert(Math.abs(both.nats - a.nats - b.nats) < 1e-4 * both.nats);
    assertEquals(a.tokens, tokenizer.encode(long).length - 1);
    assert(Math.abs(a.bitsPerByte - a.nats / Math.LN2 / a.bytes) < 1e-12);
    await assertRejects(() => model.score("a"), RangeError, "one token");
  }));

for (const backend of ["wasm", "tfjs"] as const) {
  Deno.test(`Bashling writes and scores on ${backend} as on the reference backend`, () =>
    withModel(async (model, folder) => {
      using other = await Bashling.load({ weights: folder, backend, precision: "f32" });
      assertEquals(other.backend.name, backend);
      const options = { ...FREE, temperature: 0, maxTokens: 20 };
      assertEquals(await other.complete(PROMPT, options), await model.complete(PROMPT, options));
      const texts = ["for i in *.txt; do echo $i; done\n".repeat(20), "echo 東京"];
      const [a, b] = [await model.score(texts), await other.score(texts)];
      assertEquals([a.tokens, a.bytes], [b.tokens, b.bytes]);
      // A sum of a few hundred losses, each right to about 1e-6.
      assert(Math.abs(a.nats - b.nats) < 1e-5 * a.nats);
    }));
}

Deno.test("score() agrees with the log-probabilities of generate()", () =>
  withModel(async (model) => {
    // Half a character would become U+FFFD in the text, so look for a script without any.
    for (let seed = 0;; seed++) {
      const { text, pieces, result } = await collect(model, { seed, maxTokens: 8, topK: 5 });
      const drawn = pieces.flatMap(({ tokens }) => tokens);
      if (text.includes("\uFFFD") || tokenizer.encode(text).join() !== drawn.join()) continue;
      const beginning = await model.score(BEGINNING.trimEnd());
      const { nats } = await model.score(text);
      assert(Math.abs(nats - beginning.nats + result.logprob) < 1e-3 * nats);
      break;
    }
  }));

Deno.test("Bashling refuses work after dispose()", () =>
  withModel(async (model) => {
    const running = model.generate(PROMPT, { seed: 1 });
    await running.next();
    const waiting = model.complete(PROMPT);
    // Handled below; the promise may reject before anyone looks.
    waiting.catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, 0));
    model.dispose();
    model.dispose();
    assertThrows(() => model.generate(PROMPT), Error, "disposed");
    await assertRejects(() => model.score("two words"), Error, "disposed");
    await assertRejects(() => running.next(), Error, "disposed");
    await assertRejects(() => waiting, Error, "disposed");
  }));

Deno.test("Bashling.load() throws when an option or a file is wrong", async () => {
  await assertRejects(() => Bashling.load({ weights: "no/such/folder" }), Deno.errors.NotFound);
  await assertRejects(() => Bashling.load({ streams: 0 }), RangeError, "streams is 0");
  await assertRejects(
    () => Bashling.load({ backend: "cuda" as "wasm" }),
    RangeError,
    'No backend is called "cuda"',
  );
  await assertRejects(
    () => Bashling.load({ backend: "reference", threads: 2 }),
    RangeError,
    "no threads",
  );
});
