import { assert, assertEquals } from "@std/assert";
import type { Backend } from "../../src/backend/backend.ts";
import { ReferenceBackend } from "../../src/backend/reference/reference_backend.ts";
import { WebGpuBackend } from "../../src/backend/webgpu/webgpu_backend.ts";
import { Generation, type GenerationResult, type Piece } from "../../src/generator/generation.ts";
import { checkOptions, type GenerateOptions } from "../../src/generator/options.ts";
import { promptTokens, scriptBeginning } from "../../src/generator/prompt.ts";
import { Streams } from "../../src/generator/streams.ts";
import { Decoder } from "../../src/gpt/decode.ts";
import { initialParameters, parameterTensors } from "../../src/model/parameters.ts";
import { GENERATION } from "../../src/model/weights.ts";
import { webgpuAvailable } from "../adapter.ts";
import { config, tokenizer } from "../random_model.ts";

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
          const steps = 1 + Math.max(...rows.map(({ chances }) => chances.length));
          assert(steps <= mostSteps);
          counted(steps);
          return lookAhead!.run(rows);
        },
      },
    });
  }

  generate(prompt: string, options: GenerateOptions, seen?: () => void): Promise<Outcome> {
    return generate(this.#streams, prompt, options, seen);
  }

  [Symbol.dispose](): void {
    this.#decoder[Symbol.dispose]();
  }
}

/** Generates; `seen` is called after each piece. */
async function generate(
  streams: Streams,
  prompt: string,
  options: GenerateOptions,
  seen: () => void = () => {},
): Promise<Outcome> {
  const checked = checkOptions({ verdict: false, ...options }, GENERATION);
  const beginning = scriptBeginning(prompt);
  const ids = promptTokens(tokenizer, beginning, { ...checked, contextLength });
  const pieces: Piece[] = [];
  const generation = new Generation({ tokenizer, streams, contextLength }, ids, checked).run();
  let next = await generation.next();
  for (; !next.done; next = await generation.next()) {
    pieces.push(next.value);
    seen();
  }
  return { pieces, result: next.value };
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

/** Checks numbers of streams, and how far each may look ahead, against one stream and single steps. */
async function checkSame(
  backend: Backend,
  tasks: Task[],
  variants: [streams: number, mostSteps: number][],
): Promise<void> {
  using singly = new Tried(backend, 1, 1);
  const expected: Outcome[] = [];
  for (const task of tasks) expected.push(await singly.generate(...task));
  assert(new Set(expected.map(({ result }) => result.reason)).size > 1);
  for (const [streams, mostSteps] of variants) {
    using tried = new Tried(backend, streams, mostSteps);
    const started = tasks.map((task) => () => tried.generate(...task));
    const outcomes: Outcome[] = [];
    // More generations than streams: they join and leave while others go on.
    if (streams > 1) outcomes.push(...await Promise.all(started.map((start) => start())));
    else for (const start of started) outcomes.push(await start());
    outcomes.forEach((outcome, i) =>
      assertEquals(outcome, expected[i], `task ${i}, ${streams} streams, ${mostSteps} steps`)
    );
    // Looking ahead saves runs, and is not just there.
    assert(mostSteps === 1 || tried.counts.runs < 0.7 * tried.counts.steps);
  }
}

Deno.test("generate() draws the same however far the decoder looks ahead, on the reference backend", () =>
  checkSame(new ReferenceBackend(), TASKS, [[1, 8], [1, 32], [5, 1], [5, 32], [3, 2]]));

Deno.test({
  name: "generate() draws the same however far the decoder looks ahead, on the webgpu backend",
  ignore: !webgpuAvailable,
  async fn() {
    using backend = await WebGpuBackend.create({ allowFallback: true });
    const tasks = [0, 1, 3, 5, 7, 9, 11].map((i) => TASKS[i]);
    await checkSame(backend, tasks, [[1, 32], [5, 32]]);
  },
});

Deno.test({
  name: "generate() reads back a few times only for many tokens, on the webgpu backend",
  ignore: !webgpuAvailable,
  async fn() {
    using backend = await WebGpuBackend.create({ allowFallback: true });
    using tried = new Tried(backend, 4, 32);
    const read = backend.read.bind(backend);
    let reads = 0;
    backend.read = (tensor) => {
      reads++;
      return read(tensor);
    };
    const options: GenerateOptions = { maxTokens: 60, temperature: 0, syntax: "off", seed: 1 };
    await tried.generate("List", options);
    // 4, 4, 8, 16 and 31 steps, of which only one of the first holds, as its newline is guessed wrong;
    // and all logits, from which that newline is drawn.
    assertEquals(reads, 6);
    reads = 0;
    await Promise.all([1, 2, 3, 4].map(() => tried.generate("List", options)));
    // The same for all, but the first finds its prompt in the cache and begins before the others.
    assertEquals(reads, 8);
  },
});

Deno.test("generate() ends within a token when it is aborted in the middle of a look-ahead", async () => {
  using backend = new ReferenceBackend();
  using tried = new Tried(backend, 2, 32);
  const options: GenerateOptions = { seed: 1, maxTokens: 90, temperature: 0, syntax: "off" };
  const alone = await tried.generate("List", options);
  for (let pieces = 1; pieces < 40; pieces += 3) {
    const controller = new AbortController(), { signal } = controller;
    let given = 0;
    const abort = () => ++given === pieces && controller.abort();
    const [aborted, other] = await Promise.all([
      tried.generate("List", { ...options, signal }, abort),
      tried.generate("List", options),
    ]);
    assertEquals(aborted.result.reason, "abort");
    // Half a character that was held back may still come.
    assertEquals(aborted.pieces.slice(0, pieces), alone.pieces.slice(0, pieces));
    assert(aborted.pieces.length <= pieces + 1);
    assertEquals(other, alone);
  }
});

Deno.test("Streams lets timers abort a generation whose steps are all made ahead", async () => {
  const steps = 1e6, newline = tokenizer.encode("\n")[0];
  const logits = {
    normalizer: 0,
    values: Float32Array.of(0),
    ids: [newline],
    all: () => Promise.reject(new Error("not asked for")),
  };
  const streams = new Streams({
    streams: 1,
    prefillRows: 64,
    prefill() {},
    step: () => Promise.reject(new Error("not asked for")),
    lookAhead: {
      mostSteps: steps,
      run: (rows) =>
        Promise.resolve(rows.map(({ token }) => ({
          count: steps,
          token: (step) => step === 0 ? token : newline,
          logits: () => logits,
        }))),
    },
  });
  const controller = new AbortController(), { signal } = controller;
  const options = checkOptions({ signal, temperature: 0, maxTokens: steps, syntax: "off" }, {
    ...GENERATION,
  });
  const shared = { tokenizer, streams, contextLength: steps + 1 };
  const prompt = { ids: tokenizer.encode("#!"), forced: new Uint8Array(0), cut: 0 };
  const timer = setTimeout(() => controller.abort(), 20);
  const generation = new Generation(shared, prompt, options).run();
  let next = await generation.next();
  while (!next.done) next = await generation.next();
  clearTimeout(timer);
  assertEquals(next.value.reason, "abort");
});
