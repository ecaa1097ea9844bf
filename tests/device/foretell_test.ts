import { assert, assertEquals } from "@std/assert";
import type { Backend } from "../../src/backend/backend.ts";
import { ReferenceBackend } from "../../src/backend/reference/reference_backend.ts";
import { WasmBackend } from "../../src/backend/wasm/wasm_backend.ts";
import { WebGpuBackend } from "../../src/backend/webgpu/webgpu_backend.ts";
import { Sampler, type SamplingOptions } from "../../src/generator/sampler.ts";
import { Random } from "../../src/random.ts";
import { webgpuAvailable } from "../adapter.ts";

const K = 64, V = 1000, ROWS = 500, ROUNDS = 8;

/**
 * How near a tie is: the backends add up weights in f32, 64 of them and each right to 24 bits, so that
 * a share of their sum is off by 64 · 6e-8 at the worst.
 */
const NEAR = 4e-6;

const UNUSED = { repetitionPenalty: 1, frequencyPenalty: 0, presencePenalty: 0, logitBias: {} };

function randomOptions(random: Random): SamplingOptions {
  return {
    ...UNUSED,
    temperature: random.below(10) === 0 ? 0 : 0.05 + 2 * random.uniform(),
    topK: 1 + random.below(K),
    topP: random.below(3) === 0 ? 1 : 0.05 + 0.95 * random.uniform(),
    minP: random.below(2) === 0 ? 0 : 0.4 * random.uniform(),
    seed: random.uint32(),
  };
}

/** The place that a chance draws among logits that fall, by a definition as short as can be. */
function placeOf(
  logits: Float32Array,
  { temperature, topK, topP, minP }: SamplingOptions,
  chance: number,
): number {
  const all = Array.from(logits.subarray(0, topK), (x) => Math.exp((x - logits[0]) / temperature));
  const sum = (weights: number[]) => weights.reduce((total, weight) => total + weight, 0);
  let before = 0;
  const kept = all.filter((weight, i) => {
    const isIn = i === 0 || before < topP * sum(all) && weight >= minP;
    before += weight;
    return isIn;
  });
  let rest = chance * sum(kept);
  const place = kept.findIndex((weight) => (rest -= weight) < 0);
  return place < 0 ? kept.length - 1 : place;
}

/** Whether a chance or an option that differs by {@linkcode NEAR} draws the place. */
function isNear(
  place: number,
  logits: Float32Array,
  options: SamplingOptions,
  chance: number,
): boolean {
  const off = [-NEAR, 0, NEAR];
  return off.some((a) =>
    off.some((b) =>
      off.some((c) => {
        const { topP, minP } = options;
        const moved = { ...options, topP: topP < 1 ? topP + b : 1, minP: minP * (1 + c) };
        return placeOf(logits, moved, chance + a) === place;
      })
    )
  );
}

async function checkDraws(backend: Backend): Promise<void> {
  const random = new Random(31);
  const tensor = (shape: number[], dtype?: "u32") => backend.tensor(shape, dtype);
  const [drawn, chances] = [tensor([ROWS]), tensor([ROWS])];
  const [top, rules] = [tensor([ROWS, 1 + 2 * K]), tensor([ROWS, 4])];
  const [tokens, positions, ends] = [0, 1, 2].map(() => tensor([ROWS], "u32"));
  const program = backend.record((ops) =>
    ops.drawTokens({ drawn, tokens, positions, ends, top, rules, chances })
  );
  let ties = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const rows = Array.from({ length: ROWS }, (_, row) => {
      const options = randomOptions(random);
      const logits = Float32Array.from({ length: K }, () => 3 * random.normal()).sort().reverse();
      const ids = random.shuffle(Array.from({ length: V }, (_, id) => id)).slice(0, K);
      const sampler = new Sampler(options);
      const { rule, chances: [chance] } = sampler.foretell([], 1);
      backend.write(top, Float32Array.of(0, ...logits, ...ids), row * (1 + 2 * K));
      const { temperature, topK, topP, minP } = rule;
      backend.write(rules, Float32Array.of(temperature, topK, topP, minP), 4 * row);
      backend.write(chances, Float32Array.of(chance), row);
      const { token } = sampler.drawFromTop({ normalizer: 0, values: logits, ids })!;
      return { options, logits, ids, chance, token };
    });
    backend.run(program);
    const read = await backend.read(drawn);
    rows.forEach(({ options, logits, ids, chance, token }, row) => {
      if (read[row] === token) return;
      ties++;
      const told = `row ${row} of round ${round}: ${read[row]}, and the sampler drew ${token}`;
      assert(isNear(ids.indexOf(read[row]), logits, options, chance), told);
    });
  }
  assert(ties <= ROWS * ROUNDS / 1000, `${ties} ties`);
}

Deno.test("Sampler.foretell() lets drawTokens draw what the sampler draws but for near ties", async () => {
  await checkDraws(new ReferenceBackend());
  using wasm = await WasmBackend.create({ threads: 1 });
  await checkDraws(wasm);
});

Deno.test({
  name: "Sampler.foretell() lets drawTokens draw what the sampler draws on the webgpu backend",
  ignore: !webgpuAvailable,
  async fn() {
    using backend = await WebGpuBackend.create({ allowFallback: true });
    await checkDraws(backend);
  },
});

Deno.test("Sampler.foretell() changes no draw, and knows those to come", () => {
  const random = new Random(2), options = { ...randomOptions(random), temperature: 1, topK: 5 };
  const draw = (sampler: Sampler) => sampler.draw(Float32Array.from({ length: 9 }, (_, id) => id));
  const [one, other] = [new Sampler(options), new Sampler(options)];
  const { chances } = one.foretell([7], 6);
  assertEquals(chances[0], -8);
  for (let i = 0; i < 6; i++) {
    if (i > 0) assertEquals(one.foretell([], 1).chances[0], chances[i]);
    assertEquals(draw(one), draw(other));
  }
  assertEquals(new Sampler({ ...options, topK: 0 }).foretell([], 6).chances.length, 0);
  assertEquals(new Sampler({ ...options, topK: 65 }).foretell([], 6).chances.length, 0);
  assertEquals(new Sampler({ ...options, presencePenalty: 1 }).foretell([], 6).chances.length, 0);
});
