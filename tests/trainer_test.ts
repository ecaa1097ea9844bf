import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import { TokenizedCorpus } from "../src/corpus/tokenized.ts";
import { trainTokenizer } from "../src/tokenizer/train.ts";
import type { Tokenizer } from "../src/tokenizer/tokenizer.ts";
import { Random } from "../src/random.ts";
import { learningRate } from "../src/trainer/schedule.ts";
import { DivergenceError } from "../src/trainer/loss_watch.ts";
import { Trainer, type TrainerOptions } from "../src/trainer/trainer.ts";

/** Sentences of a small grammar: enough structure for a loss to fall. */
function documents(count: number, seed: number): string[] {
  const random = new Random(seed);
  const pick = (words: string[]) => words[random.below(words.length)];
  return Array.from({ length: count }, () => {
    const sentence = () =>
      `${pick(["the cat", "a dog", "my friend"])} ${pick(["finds", "copies", "moves"])} ` +
      `${pick(["every file", "one folder", "the log"])}.`;
    return Array.from({ length: 1 + random.below(6) }, sentence).join(" ");
  });
}

async function smallTokenizer(): Promise<Tokenizer> {
  return await trainTokenizer({ texts: documents(50, 1), vocabSize: 300, transition: 0.9 });
}

async function options(more: Partial<TrainerOptions> = {}): Promise<TrainerOptions> {
  const tokenizer = await smallTokenizer();
  return {
    config: { vocabSize: 300, contextLength: 32, layers: 2, width: 32, heads: 2 },
    tokenizer,
    corpus: documents(60, 2),
    backend: "wasm",
    threads: 2,
    batchSize: 3,
    steps: 24,
    lr: 5e-3,
    warmup: 4,
    dropout: 0.1,
    seed: 11,
    ...more,
  };
}

Deno.test("learningRate() rises to the peak, then falls along a cosine to the minimum", () => {
  const schedule = { lr: 1, minLr: 0.1, warmup: 10, steps: 110 };
  assertAlmostEquals(learningRate(schedule, 0), 0.1);
  assertAlmostEquals(learningRate(schedule, 9), 1);
  assertAlmostEquals(learningRate(schedule, 10), 1);
  assertAlmostEquals(learningRate(schedule, 60), 0.55);
  assertAlmostEquals(learningRate(schedule, 110), 0.1);
  assertAlmostEquals(learningRate(schedule, 500), 0.1);
});

Deno.test("Trainer.run() lowers the training and the validation loss", async () => {
  const base = await options();
  const held = await TokenizedCorpus.from(documents(20, 3), base.tokenizer!);
  using trainer = await Trainer.create({ ...base, steps: 60, validation: { held } });
  const before = (await trainer.evaluate()).held;
  const losses: number[] = [];
  for await (const { loss, gradNorm, tokensPerSecond } of trainer.run()) {
    losses.push(loss);
    assert(gradNorm > 0 && tokensPerSecond > 0);
  }
  assertEquals(losses.length, 60);
  const after = (await trainer.evaluate()).held;
  assert(Math.abs(before.loss - Math.log(300)) < 0.3, `first loss ${before.loss}`);
  assert(after.loss < before.loss / 2, `validation loss ${before.loss} became ${after.loss}`);
  assert(losses.at(-1)! < losses[0] / 2);
  assertAlmostEquals(after.loss * after.tokens / Math.LN2 / held.bytes, after.bitsPerByte, 0.05);
});

Deno.test("Trainer.resume() gives the same weights, bit for bit, as never stopping", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const base = await options();
    using whole = await Trainer.create(base);
    for await (const _ of whole.run());
    using first = await Trainer.create(base);
    for await (const _ of first.run({ steps: 9 }));
    await first.save(`${folder}/checkpoint`);
    using second = await Trainer.resume(`${folder}/checkpoint`, {
      corpus: base.corpus,
      backend: "wasm",
      threads: 1, // fewer threads must give the same bits
    });
    assertEquals(second.step, 9);
    for await (const _ of second.run());
    assertEquals(second.step, whole.step);
    assertEquals(second.tokens, whole.tokens);
    assertEquals(await second.parameters(), await whole.parameters());
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("Trainer.run() sums gradients over micro-batches as over one large batch", async () => {
  // One document per row, so that two batches of 2 rows hold what one batch of 4 rows holds.
  const corpus = documents(8, 5).map((text) => text.padEnd(400, "."));
  const losses = await Promise.all([[4, 1], [2, 2]].map(async ([batchSize, gradAccum]) => {
    using trainer = await Trainer.create(
      await options({ corpus, batchSize, gradAccum, dropout: 0, threads: 1, steps: 6 }),
    );
    const steps = await Array.fromAsync(trainer.run());
    return steps.map(({ loss }) => loss);
  }));
  // The order of sums differs, so only f32 rounding, grown over six steps, may.
  losses[0].forEach((loss, i) => assertAlmostEquals(loss, losses[1][i], 1e-4));
});

Deno.test("Trainer.run() stops after the step in progress when the signal aborts", async () => {
  using trainer = await Trainer.create(await options());
  const abort = new AbortController();
  for await (const { step } of trainer.run({ signal: abort.signal })) {
    if (step === 5) abort.abort();
  }
  assertEquals(trainer.step, 5);
});

Deno.test("Trainer.run() throws DivergenceError when the loss leaves all bounds", async () => {
  using trainer = await Trainer.create(await options({ lr: 9, clip: 0, warmup: 0, steps: 200 }));
  const error = await assertRejects(
    async () => {
      for await (const _ of trainer.run());
    },
    DivergenceError,
    "lower learning rate",
  );
  assert(error.step > 0);
});

Deno.test("Trainer.create() refuses numbers that cannot be", async () => {
  for (
    const [wrong, message] of [
      [{ batchSize: 0 }, "batchSize is 0"],
      [{ sequenceLength: 33 }, "sequenceLength is 33"],
      [{ dropout: 1 }, "dropout is 1"],
      [{ lr: NaN }, "lr is NaN"],
      [{ corpus: [] }, "corpus"],
      [{ parameters: new Float32Array(3) }, "3 parameters were given"],
    ] as const
  ) {
    await assertRejects(
      async () => await Trainer.create(await options(wrong as Partial<TrainerOptions>)),
      RangeError,
      message,
    );
  }
});

Deno.test("every training setting changes the result", async () => {
  const train = async (more: Partial<TrainerOptions>) => {
    using trainer = await Trainer.create(await options({ steps: 5, warmup: 2, ...more }));
    for await (const _ of trainer.run());
    return (await trainer.parameters()).join();
  };
  const base = await train({});
  const changes: Partial<TrainerOptions>[] = [
    { lr: 4e-3 },
    { minLr: 1e-3 },
    { warmup: 1 },
    { steps: 4 },
    { weightDecay: 0.5 },
    { beta1: 0.8 },
    { beta2: 0.9 },
    { eps: 1e-3 },
    { clip: 0.1 },
    { dropout: 0 },
    { seed: 12 },
    { batchSize: 2 },
    { sequenceLength: 16 },
    { gradAccum: 2 },
  ];
  for (const change of changes) {
    assert(await train(change) !== base, `${Object.keys(change)} changes nothing`);
  }
});
