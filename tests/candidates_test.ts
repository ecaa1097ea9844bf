import { assert, assertEquals } from "@std/assert";
import { forcedCandidates, startsAlike, widen } from "../src/generator/candidates.ts";
import { logSumExp, Sampler, type SamplingOptions } from "../src/generator/sampler.ts";
import { Random } from "../src/random.ts";
import { tokenizer } from "./random_model.ts";

const OPTIONS: SamplingOptions = {
  temperature: 0.8,
  topK: 50,
  topP: 0.9,
  minP: 0,
  repetitionPenalty: 1,
  frequencyPenalty: 0,
  presencePenalty: 0,
  logitBias: {},
  seed: 5,
};

/** Logits of V tokens as a step gives them, some of them equal. */
function draw(random: Random, V: number) {
  const all = Float32Array.from({ length: V }, () => Math.round(20 * random.normal()) / 5);
  const logits = {
    normalizer: logSumExp(all),
    values: new Float32Array(0),
    ids: [],
    all: () => Promise.resolve(all.slice()),
  };
  return { all, logits };
}

Deno.test("widen() gives the largest logits in order, and tells when they are all there are", async () => {
  const random = new Random(1);
  for (const [V, count, isComplete] of [[40, 40, true], [512, 512, true], [900, 512, false]]) {
    const { all, logits } = draw(random, V as number);
    const wide = await widen(logits);
    const sorted = Array.from(all.keys()).sort((a, b) => all[b] - all[a] || a - b);
    assertEquals([...Array.from(wide.ids)], sorted.slice(0, count as number));
    assertEquals([...wide.values], Array.from(wide.ids, (id) => all[id]));
    assertEquals(wide.isComplete, isComplete);
  }
});

Deno.test("forcedCandidates() gives all tokens with which a text can go on, again and again", async () => {
  const random = new Random(2), utf8 = new TextEncoder();
  for (const text of ["\n", "\n  ", "e", "\n", ...Array.from({ length: 40 }, (_, i) => `x${i}`)]) {
    const forced = utf8.encode(text), { all, logits } = draw(random, tokenizer.vocabSize);
    const { ids, values } = await forcedCandidates(logits, tokenizer, forced);
    const expected = Array.from(all.keys())
      .filter((id) => id !== tokenizer.endOfText && startsAlike(tokenizer.tokenBytes(id), forced))
      .sort((a, b) => all[b] - all[a] || a - b);
    assert(expected.length > 0);
    assertEquals(Array.from(ids), expected);
    assertEquals([...values], expected.map((id) => all[id]));
  }
});

Deno.test("Sampler.drawFromTop() draws from few complete candidates what draw() draws", () => {
  const random = new Random(3), V = 200;
  for (const change of [{}, { topK: 3 }, { topP: 1, minP: 0.1 }, { temperature: 0 }]) {
    const [one, other] = [0, 1].map(() => new Sampler({ ...OPTIONS, ...change }));
    for (let i = 0; i < 200; i++) {
      const { all, logits: { normalizer } } = draw(random, V);
      // Fewer than a draw looks at, down to one.
      const ids = Array.from({ length: 1 + i % 9 }, (_, j) => 7 * j + i % 7);
      ids.sort((a, b) => all[b] - all[a] || a - b);
      const values = Float32Array.from(ids, (id) => all[id]);
      const drawn = one.drawFromTop({ normalizer, ids, values, isComplete: true });
      assertEquals(drawn, other.draw(all, (id) => ids.includes(id), normalizer));
    }
  }
  const none = { normalizer: 0, ids: [], values: new Float32Array(0), isComplete: true };
  assertEquals(new Sampler(OPTIONS).drawFromTop(none), undefined);
});
