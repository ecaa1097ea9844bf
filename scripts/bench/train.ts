/**
 * Tokens per second of a whole training step: forward, loss, backward, clipping and AdamW.
 *
 * @module
 */

import type { Batch } from "../../src/corpus/batches.ts";
import { chooseBackend } from "../../src/backend/select.ts";
import type { ModelConfig } from "../../src/model/config.ts";
import { initialParameters } from "../../src/model/parameters.ts";
import { Random } from "../../src/random.ts";
import { adamwHyper } from "../../src/trainer/adamw.ts";
import {
  BackendEngine,
  type TrainingEngine,
  type TrainingStats,
} from "../../src/trainer/engine.ts";
import { adapterKind, alternate, expectNear, reason, type Result, type Runner } from "./measure.ts";

/** What a training benchmark needs of a contender. */
export type Trainee =
  & Pick<TrainingEngine, "description" | "trainStep" | "readStats" | "writeState">
  & Disposable;

/** Options of {@linkcode benchTrain}. */
export interface TrainBenchOptions {
  /** The model's shape. */
  config: ModelConfig;
  /** Contenders by name, see {@linkcode TRAINEES}. */
  contenders: string[];
  /** B, sequences of a batch. */
  batchSize: number;
  /** T, tokens of a sequence. */
  sequenceLength: number;
  /** Timed steps of each contender. */
  rounds: number;
  /** Threads of wasm; all cores if absent. */
  threads?: number;
}

interface Shape {
  batchSize: number;
  sequenceLength: number;
}

type Make = (config: ModelConfig, shape: Shape, threads?: number) => Promise<Trainee>;

const own = (backend: "wasm" | "webgpu"): Make => async (config, shape, threads) => {
  const chosen = await chooseBackend({
    backend,
    purpose: "train",
    threads: backend === "wasm" ? threads : undefined,
  });
  return new BackendEngine(chosen.backend, config, { ...shape, dropout: 0 });
};

const tfjs = (device: "cpu" | "webgpu"): Make => async (config, { batchSize }) => {
  const { TfjsEngine } = await import("../../src/tfjs/engine.ts");
  return await TfjsEngine.create(config, { batchSize, dropout: 0, device });
};

const jax = (device: "wasm" | "webgpu"): Make => async (config, { batchSize }) => {
  const { JaxEngine } = await import("./peers/jax_gpt.ts");
  return await JaxEngine.create(config, { batchSize, device });
};

/** All contenders; `cpu` is plain JavaScript. */
export const TRAINEES: Record<string, Make> = {
  "wasm": own("wasm"),
  "webgpu": own("webgpu"),
  "jax-js wasm": jax("wasm"),
  "tfjs cpu": tfjs("cpu"),
  "tfjs webgpu": tfjs("webgpu"),
};

/** What a contender of about 1 GFLOP/s is given instead: one short sequence. */
const SLOW: Shape = { batchSize: 1, sequenceLength: 64 };

/** Rows filled to the end with documents of random lengths. */
export function benchBatch(config: ModelConfig, { batchSize, sequenceLength }: Shape): Batch {
  const N = batchSize * sequenceLength, random = new Random(1);
  const token = () => random.below(config.vocabSize);
  const positions = new Uint32Array(N);
  for (let n = 1; n < N; n++) {
    positions[n] = n % sequenceLength === 0 || random.uniform() < 0.01 ? 0 : positions[n - 1] + 1;
  }
  return {
    tokens: Uint32Array.from({ length: N }, token),
    targets: Uint32Array.from({ length: N }, token),
    positions,
    count: N,
    bytes: 0,
  };
}

/** Loss and gradient norm of the first step, which puts the engine's state one step further. */
async function firstStep(trainee: Trainee, config: ModelConfig, batch: Batch) {
  const parameters = initialParameters(config, 1);
  const zeros = new Float32Array(parameters.length);
  await trainee.writeState({ parameters, m: zeros, v: zeros });
  await trainee.trainStep([batch], hyper(0), 0);
  return await trainee.readStats();
}

const hyper = (step: number): Float32Array =>
  adamwHyper({ beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.1, clip: 1 }, 3e-4, step);

/**
 * Times training steps. A contender is timed only after its first step from the same parameters on
 * the same batch has given the loss and the gradient norm that wasm gives.
 */
export async function benchTrain(options: TrainBenchOptions): Promise<Result[]> {
  const { config, threads, batchSize, sequenceLength } = options;
  const software = await adapterKind() === "software";
  const expected = new Map<string, TrainingStats>();
  const expect = async (shape: Shape, batch: Batch): Promise<TrainingStats> => {
    const key = JSON.stringify(shape);
    if (!expected.has(key)) {
      using oracle = await TRAINEES.wasm(config, shape, threads);
      expected.set(key, await firstStep(oracle, config, batch));
    }
    return expected.get(key)!;
  };

  using stack = new DisposableStack();
  const results: Result[] = [], timed: { result: Result; runner: Runner }[] = [];
  for (const contender of options.contenders) {
    const onSoftware = software && contender.includes("webgpu");
    const shape = onSoftware || contender === "tfjs cpu" ? SLOW : { batchSize, sequenceLength };
    const result: Result = {
      bench: "train",
      contender,
      input: `${shape.batchSize} × ${shape.sequenceLength}`,
      unit: "tokens/s",
      note: "",
    };
    results.push(result);
    try {
      const trainee = stack.use(await TRAINEES[contender](config, shape, threads));
      const batch = benchBatch(config, shape);
      const [actual, right] = [await firstStep(trainee, config, batch), await expect(shape, batch)];
      expectNear("loss", actual.loss, right.loss);
      expectNear("gradient norm", actual.gradNorm, right.gradNorm);
      result.note = `${trainee.description}${onSoftware ? "; SOFTWARE ADAPTER" : ""}`;
      let step = 1;
      const run = async (): Promise<void> => {
        await trainee.trainStep([batch], hyper(step++), 0);
        await trainee.readStats();
      };
      timed.push({ result, runner: { work: batch.count, run } });
    } catch (error) {
      result.note = `not run: ${reason(error)}`;
    }
  }
  const rates = await alternate(timed.map(({ runner }) => runner), options.rounds);
  timed.forEach(({ result }, i) => result.value = rates[i]);
  return results;
}
