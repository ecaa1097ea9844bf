import { assert, assertEquals } from "@std/assert";
import type { Backend } from "../src/backend/backend.ts";
import { ReferenceBackend } from "../src/backend/reference/reference_backend.ts";
import { WebGpuBackend } from "../src/backend/webgpu/webgpu_backend.ts";
import { Generation, type GenerationResult, type Piece } from "../src/generator/generation.ts";
import { checkOptions, type GenerateOptions } from "../src/generator/options.ts";
import { promptTokens, scriptBeginning } from "../src/generator/prompt.ts";
import { Streams } from "../src/generator/streams.ts";
import { Decoder } from "../src/gpt/decode.ts";
import { initialParameters, parameterTensors } from "../src/model/parameters.ts";
import { GENERATION } from "../src/model/weights.ts";
import { webgpuAvailable } from "./adapter.ts";
import { config, tokenizer } from "./random_model.ts";

const { contextLength } = config;

/** What a generation gave. */
interface Outcome {
  pieces: Piece[];
  result: GenerationResult;
}

/** Generates with a random model on a backend, looking ahead by at most so many steps. */
class Tried implements Disposable {
  /** Runs of a look-ahead or of a step, each of which is one readback, and steps in them. */
  readonly counts = { runs: 0, steps: 0 };
  readonly #decoder: Decoder;
  readonly #streams: Streams;

  constructor(backend: Backend, streams: number, mostSteps: number) {
    const params = parameterTensors(backend, config);
    // Logits of fresh weights are all alike; larger ones make the draws depend on what was drawn.
    backend.write(params.pool, initialParameters(config, 1).map((x) => 4 * x));
    const decoder = this.#decoder = new Decoder(backend, config, params, streams, true);
    const { prefillRows, lookAhead } = decoder;
    const counted = (steps: number) => {
      this.counts.runs++;
      this.counts.steps += steps;
    };
    this.#streams = new Streams({
      streams,
      prefillRows,
      prefill: (slot, tokens, start) => decoder.prefill(slot, tokens, start),
      step: (tokens, positions) => {
        counted(1);
        return decoder.step(tokens, positions);
      },
      lookAhead: mostSteps === 1 ? undefined : {
        mostSteps,
        run: (rows) => {
          const steps = 1 + Math.max(...rows.map(({ uniforms }) => uniforms.length));
          assert(steps <= mostSteps);
          counted(steps);
          return lookAhead!.run(rows);
        },
      },
    });
  }

  async generate(prompt: string, options: GenerateOptions): Promise<Outcome> {
    const checked = checkOptions({ verdict: false, ...options }, GENERATION);
    const beginning = scriptBeginning(prompt);
    const ids = promptTokens(tokenizer, beginning, { ...checked, contextLength });
    const shared = { tokenizer, streams: this.#streams, contextLength };
    const pieces: Piece[] = [];
    const generation = new Generation(shared, ids, checked).run();
    let next = await generation.next();
    for (; !next.done; next = await generation.next()) pieces.push(next.value);
    return { pieces, result: next.value };
  }

  [Symbol.dispose](): void {
    this.#decoder[Symbol.dispose]();
  }
}

/** A prompt and how it goes on. */
type Task = [prompt: string, options: GenerateOptions];

/** Every way of drawing, with and without what refuses tokens, ends and contexts of all kinds. */
const TASKS: Task[] = [
  ["List all files", { seed: 1, maxTokens: 40, syntax: "off" }],
  ["List all files", { seed: 2, maxTokens: 33 }],
  ["Print the date", { seed: 3, maxTokens: 40, temperature: 0, syntax: "off" }],
  ["Print the date", { seed: 4, maxTokens: 30, temperature: 0 }],
  ["Loop over names\nfor i in 1 2; do", { seed: 5, maxTokens: 40, temperature: 1.5, topP: 1 }],
  ["Copy", { seed: 6, maxTokens: 20, topK: 0, syntax: "off" }], // all logits for each token
  ["Copy", { seed: 7, maxTokens: 20, repetitionPenalty: 1.3, presencePenalty: 0.2 }],
  ["Copy", { seed: 8, maxTokens: 40, minP: 0.1, explain: true, topK: 64, syntax: "check" }],
  ["Copy each file", { seed: 9, maxTokens: 500, syntax: "off" }], // as far as the context
  ["Copy each file", { seed: 10, maxTokens: 60, syntax: "off", stop: ["inin", "never there"] }],
  ["Copy " + "each file ".repeat(30), { seed: 11, maxTokens: 30, truncate: true }],
  ["Print", { seed: 12, maxTokens: 1, syntax: "off" }],
];

async function checkSame(makeBackend: () => Promise<Backend>): Promise<void> {
  const backend = await makeBackend();
  using _ = backend;
  using singly = new Tried(backend, 1, 1);
  const expected: Outcome[] = [];
  for (const task of TASKS) expected.push(await singly.generate(...task));
  assert(new Set(expected.map(({ result }) => result.reason)).size > 1);
  for (const [streams, mostSteps] of [[1, 8], [1, 32], [5, 1], [5, 32]]) {
    using tried = new Tried(backend, streams, mostSteps);
    const outcomes = streams === 1
      ? []
      : await Promise.all(TASKS.map((task) => tried.generate(...task)));
    if (streams === 1) { for (const task of TASKS) outcomes.push(await tried.generate(...task)); }
    outcomes.forEach((outcome, i) =>
      assertEquals(outcome, expected[i], `task ${i}, ${streams} streams, ${mostSteps} steps`)
    );
  }
}

Deno.test("generate() draws the same however far the decoder looks ahead, on the reference backend", () =>
  checkSame(() => Promise.resolve(new ReferenceBackend())));

Deno.test({
  name: "generate() draws the same however far the decoder looks ahead, on the webgpu backend",
  ignore: !webgpuAvailable,
  fn: () => checkSame(() => WebGpuBackend.create({ allowFallback: true })),
});
