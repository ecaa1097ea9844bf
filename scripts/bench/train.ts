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
import {
  adapterKind,
  expectNear,
  reason,
  type Result,
  type Runner,
  timeAll,
  usesGpu,
} from "./measure.ts";

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
  /** Timed rounds of each contender. */
  rounds: number;
  /** Steps of a round on a GPU, with one readback at the end; on a CPU a round is one step. */
  steps: number;
  /** Threads on a CPU; all cores if absent. */
  threads?: number;
  /** The Python that has PyTorch; python3 if absent. */
  python?: string;
}

interface Shape {
  batchSize: number;
  sequenceLength: number;
}

type Make = (
  config: ModelConfig,
  shape: Shape,
  machine: Pick<TrainBenchOptions, "threads" | "python">,
) => Promise<Trainee>;

const own = (backend: "wasm" | "webgpu"): Make => async (config, shape, { threads }) => {
  const chosen = await chooseBackend({
    backend,
    purpose: "train",
    threads: backend === "wasm" ? threads : undefined,
  });
  return BackendEngine.create(chosen.backend, config, { ...shape, dropout: 0 });
};

const tfjs = (device: "cpu" | "webgpu"): Make => async (config, { batchSize }) => {
  const { TfjsEngine } = await import("../../src/tfjs/engine.ts");
  return await TfjsEngine.create(config, { batchSize, dropout: 0, device });
};

const jax = (device: "wasm" | "webgpu"): Make => async (config, { batchSize }) => {
  const { JaxEngine } = await import("./peers/jax_gpt.ts");
  return await JaxEngine.create(config, { batchSize, device });
};

const torch = (compiled: boolean): Make => async (config, { batchSize }, machine) => {
  const { TorchEngine } = await import("./peers/torch.ts");
  return await TorchEngine.create(config, { batchSize, compiled, ...machine });
};

/** All contenders; `cpu` is plain JavaScript. */
export const TRAINEES: Record<string, Make> = {
  "wasm": own("wasm"),
  "webgpu": own("webgpu"),
  "jax-js wasm": jax("wasm"),
  "jax-js webgpu": jax("webgpu"),
  "tfjs cpu": tfjs("cpu"),
  "tfjs webgpu": tfjs("webgpu"),
  "pytorch": torch(false),
  "pytorch-compiled": torch(true),
};

/** What a contender of about 1 GFLOP/s is given instead at most: one short sequence. */
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
  await trainee.trainStep([batch], trainingHyper(0), 0);
  return await trainee.readStats();
}

/** AdamW's numbers at a step of the benchmarks. */
export const trainingHyper = (step: number): Float32Array<ArrayBuffer> =>
  adamwHyper({ beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.1, clip: 1 }, 3e-4, step);

/**
 * Times training steps. A contender is timed only after its first step from the same parameters on
 * the same batch has given the loss and the gradient norm that wasm gives.
 */
export async function benchTrain(options: TrainBenchOptions): Promise<Result[]> {
  const { config, batchSize, sequenceLength, steps } = options;
  const software = await adapterKind() === "software";
  const expected = new Map<string, TrainingStats>();
  const expect = async (shape: Shape, batch: Batch): Promise<TrainingStats> => {
    const key = JSON.stringify(shape);
    if (!expected.has(key)) {
      using oracle = await TRAINEES.wasm(config, shape, options);
      expected.set(key, await firstStep(oracle, config, batch));
    }
    return expected.get(key)!;
  };

  using stack = new DisposableStack();
  const results: Result[] = [], timed: { result: Result; runner: Runner }[] = [];
  for (const contender of options.contenders) {
    const onSoftware = software && contender.includes("webgpu");
    const slow: Shape = { ...SLOW, sequenceLength: Math.min(SLOW.sequenceLength, sequenceLength) };
    const shape = onSoftware || contender === "tfjs cpu" ? slow : { batchSize, sequenceLength };
    const result: Result = {
      bench: "train",
      contender,
      input: `${shape.batchSize} × ${shape.sequenceLength}`,
      unit: "tokens/s",
      note: "",
    };
    results.push(result);
    try {
      const trainee = stack.use(await TRAINEES[contender](config, shape, options));
      const batch = benchBatch(config, shape);
      const [actual, right] = [await firstStep(trainee, config, batch), await expect(shape, batch)];
      expectNear("loss", actual.loss, right.loss);
      expectNear("gradient norm", actual.gradNorm, right.gradNorm);
      result.note = `${trainee.description}${onSoftware ? "; SOFTWARE ADAPTER" : ""}`;
      let step = 1;
      const count = usesGpu(contender) ? steps : 1;
      const run = async (): Promise<void> => {
        for (let i = 0; i < count; i++) await trainee.trainStep([batch], trainingHyper(step++), 0);
        const { loss } = await trainee.readStats();
        if (!Number.isFinite(loss)) throw new Error(`${contender} has a loss of ${loss}`);
      };
      timed.push({ result, runner: { work: count * batch.count, run } });
    } catch (error) {
      result.note = `not run: ${reason(error)}`;
    }
  }
  await timeAll(timed, options.rounds);
  return results;
}
