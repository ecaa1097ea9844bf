import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { logSumExp, Sampler, type SamplingOptions } from "../src/generator/sampler.ts";
import { Random } from "../src/random.ts";

const PLAIN: SamplingOptions = {
  temperature: 1,
  topK: 0,
  topP: 1,
  minP: 0,
  repetitionPenalty: 1,
  frequencyPenalty: 0,
  presencePenalty: 0,
  logitBias: {},
  seed: 5,
};

const DRAWS = 40_000;

/** Probabilities by a definition as short as can be: sort everything, then cut. */
function expected(
  logits: number[],
  { temperature, topK, topP, minP }: SamplingOptions,
): Map<number, number> {
  const normalize = (tokens: [number, number][]): [number, number][] => {
    const sum = tokens.reduce((total, [, p]) => total + p, 0);
    return tokens.map(([id, p]) => [id, p / sum]);
  };
  let tokens: [number, number][] = logits.map((x, id) => [id, Math.exp(x / temperature)]);
  tokens.sort(([a, p], [b, q]) => q - p || a - b);
  tokens = normalize(tokens.slice(0, topK || undefined));
  let sum = 0;
  const nucleus = tokens.findIndex(([, p]) => (sum += p) >= topP);
  tokens = nucleus < 0 ? tokens : tokens.slice(0, nucleus + 1);
  tokens = tokens.filter(([, p]) => p >= minP * tokens[0][1]);
  return new Map(normalize(tokens));
}

function frequencies(logits: number[], options: SamplingOptions): Map<number, number> {
  const sampler = new Sampler(options);
  const counts = new Map<number, number>();
  for (let i = 0; i < DRAWS; i++) {
    const { token } = sampler.draw(Float32Array.from(logits));
    counts.set(token, (counts.get(token) ?? 0) + 1);
  }
  return new Map([...counts].map(([token, count]) => [token, count / DRAWS]));
}

const random = new Random(11);
const LOGITS = Array.from({ length: 40 }, () => 2 * random.normal());

for (
  const change of [
    {},
    { temperature: 0.4 },
    { temperature: 2 },
    { topK: 1 },
    { topK: 7 },
    { topP: 0.6 },
    { topP: 0.99, temperature: 3 },
    { minP: 0.2 },
    { topK: 12, topP: 0.8, minP: 0.15, temperature: 1.5 },
  ]
) {
  Deno.test(`Sampler draws from the right distribution with ${JSON.stringify(change)}`, () => {
    const options = { ...PLAIN, ...change };
    const wanted = expected(LOGITS, options);
    const drawn = frequencies(LOGITS, options);
    for (const token of drawn.keys()) assert(wanted.has(token), `token ${token} was filtered out`);
    for (const [token, p] of wanted) {
      // Five standard deviations of a share: one draw in two million goes beyond.
      const allowed = 5 * Math.sqrt(p * (1 - p) / DRAWS) + 1e-12;
      assertAlmostEquals(drawn.get(token) ?? 0, p, allowed, `token ${token}`);
    }
  });
}

Deno.test("Sampler keeps exactly the tokens that each filter names when values are equal", () => {
  const logits = [1, 3, 3, 0, 3, 3];
  const support = (options: Partial<SamplingOptions>) =>
    [...frequencies(logits, { ...PLAIN, ...options }).keys()].sort();
  assertEquals(support({ topK: 2 }), [1, 2]);
  assertEquals(support({ topK: 3, topP: 0.5 }), [1, 2]);
  assertEquals(support({ topP: 0 }), [1]);
  assertEquals(support({ minP: 1 }), [1, 2, 4, 5]);
  assertEquals(support({ topK: 100, minP: 0.1 }), [0, 1, 2, 4, 5]);
});

Deno.test("Sampler takes the likeliest token when the temperature is 0", () => {
  const sampler = new Sampler({ ...PLAIN, temperature: 0 });
  assertEquals(sampler.draw(Float32Array.of(0, 5, 5, -1)).token, 1);
});

Deno.test("Sampler gives log-probabilities of the model itself whatever the options", () => {
  const sampler = new Sampler({ ...PLAIN, topK: 1, temperature: 0.1, repetitionPenalty: 5 });
  sampler.see([1]);
  const logits = [Math.log(0.2), Math.log(0.7), Math.log(0.1)];
  const { token, logprob } = sampler.draw(Float32Array.from(logits));
  // Penalized by 5, log 0.7 becomes −1.78, below log 0.2 = −1.61.
  assertEquals(token, 0);
  assertAlmostEquals(logprob, Math.log(0.2), 1e-6);
  const again = new Sampler({ ...PLAIN, temperature: 0 }).draw(Float32Array.from(logits));
  assertAlmostEquals(again.logprob, Math.log(0.7), 1e-6);
});

Deno.test("Sampler penalizes tokens that it has seen", () => {
  const sampler = new Sampler({ ...PLAIN, temperature: 0, repetitionPenalty: 2 });
  const draw = () => {
    const { token } = sampler.draw(Float32Array.of(3, 2.9, -1, 2));
    sampler.take(token);
    return token;
  };
  assertEquals([draw(), draw(), draw(), draw()], [0, 1, 3, 0]);
});

Deno.test("Sampler takes frequency and presence penalties from drawn tokens alone", () => {
  const draws = (change: Partial<SamplingOptions>) => {
    const sampler = new Sampler({ ...PLAIN, temperature: 0, ...change });
    sampler.see([0]); // a token of the prompt is not penalized
    return Array.from({ length: 5 }, () => {
      const { token } = sampler.draw(Float32Array.of(3, 2.4, 1.7));
      sampler.take(token);
      return token;
    });
  };
  // After n draws of a token its logit is 3 − n, 2.4 − n, 1.7 − n.
  assertEquals(draws({ frequencyPenalty: 1 }), [0, 1, 0, 2, 1]);
  // A token drawn once or more loses 1: 2, 1.4 and 0.7.
  assertEquals(draws({ presencePenalty: 1 }), [0, 1, 0, 0, 0]);
  assertEquals(draws({ frequencyPenalty: -1 }), [0, 0, 0, 0, 0]);
});

Deno.test("Sampler adds biases to logits, and tells the model's own log-probability", () => {
  const sampler = new Sampler({ ...PLAIN, temperature: 0, logitBias: { 2: 100, 0: -1 } });
  const { token, logprob } = sampler.draw(Float32Array.of(1, 0, -3));
  assertEquals(token, 2);
  assertAlmostEquals(logprob, -3 - Math.log(Math.exp(1) + 1 + Math.exp(-3)), 1e-6);
});

Deno.test("Sampler draws allowed tokens only, however unlikely", () => {
  for (const options of [PLAIN, { ...PLAIN, temperature: 0 }, { ...PLAIN, topK: 30, topP: 0.9 }]) {
    const sampler = new Sampler(options);
    for (let i = 0; i < 200; i++) {
      const { token } = sampler.draw(Float32Array.of(60, 0, 50, -40), (id) => id % 2 === 1);
      assert(token === 1 || token === 3, `token ${token} is not allowed`);
    }
  }
});

Deno.test("Sampler repeats its draws when the seed is the same", () => {
  const draws = (seed: number) => {
    const sampler = new Sampler({ ...PLAIN, seed });
    return Array.from({ length: 20 }, () => sampler.draw(Float32Array.from(LOGITS)).token);
  };
  assertEquals(draws(3), draws(3));
  assert(draws(3).join() !== draws(4).join());
});

Deno.test("Sampler throws when a logit is not a number", () => {
  const sampler = new Sampler(PLAIN);
  assertThrows(() => sampler.draw(Float32Array.of(1, NaN)), Error, "not finite");
});

Deno.test("Sampler.drawFromTop() draws what draw() draws, or leaves it to draw()", () => {
  const random = new Random(17), V = 300, K = 64;
  const even = (id: number) => id % 2 === 0;
  let decided = 0;
  for (
    const change of [
      { topK: 50, topP: 0.9 },
      { topK: 30 },
      { topK: 20, topP: 0.5, minP: 0.1, temperature: 0.3 },
      { temperature: 0 },
      { topK: 0 },
      { topK: 65 },
      { topK: 30, repetitionPenalty: 1.2 },
      { topK: 30, logitBias: { 4: 3 } },
    ]
  ) {
    const [one, other] = [0, 1].map(() => new Sampler({ ...PLAIN, ...change }));
    for (let i = 0; i < 300; i++) {
      const logits = Float32Array.from({ length: V }, () => Math.round(20 * random.normal()) / 5);
      const ids = Array.from(logits.keys()).sort((a, b) => logits[b] - logits[a] || a - b);
      const top = { normalizer: logSumExp(logits), ids: ids.slice(0, K) };
      const values = Float32Array.from(top.ids, (id) => logits[id]);
      const allowed = i % 3 === 0 ? even : undefined;
      const drawn = one.drawFromTop({ ...top, values }, allowed);
      if (!drawn) {
        one.draw(logits.slice(), allowed); // takes its random number
        other.draw(logits.slice(), allowed);
        continue;
      }
      decided++;
      assertEquals(drawn, other.draw(logits.slice(), allowed, top.normalizer));
    }
  }
  assert(decided > 900, `${decided} draws were decided by the largest logits`);
});
