/**
 * What the trainer needs of whatever computes its steps, and the engine that is one of our
 * backends. TensorFlow.js implements the same interface in src/tfjs/.
 *
 * @module
 */

import {
  type Backend,
  type Ops,
  type Precision,
  type Program,
  type Tensor,
  viewAlignment,
} from "../backend/backend.ts";
import { firstLossScaling, MIN_LOSS_SCALE, SCALING } from "../backend/loss_scaling.ts";
import type { Batch } from "../corpus/batches.ts";
import { allocateScratch, sequenceBackward } from "../gpt/backward.ts";
import { allocateActivations, allocateHead, headForward, sequenceForward } from "../gpt/forward.ts";
import type { ModelConfig } from "../model/config.ts";
import {
  halfTensors,
  parameterLayout,
  type ParameterTensors,
  parameterTensors,
} from "../model/parameters.ts";

/** Parameters and AdamW's moments, each a whole pool of `parameterLayout(config).poolSize`. */
export interface TrainingState {
  /** Parameters. */
  parameters: Float32Array<ArrayBuffer>;
  /** First moments. */
  m: Float32Array<ArrayBuffer>;
  /** Second moments. */
  v: Float32Array<ArrayBuffer>;
  /** State of loss scaling (4), see `SCALING`; only in f16, and what a run starts with if absent. */
  lossScaling?: Float32Array<ArrayBuffer>;
}

/** What a readback tells. */
export interface TrainingStats {
  /** Mean loss in nats per token over all steps since the last readback. */
  loss: number;
  /** Gradient norm of the last step that was not skipped, before clipping. */
  gradNorm: number;
  /** Steps skipped since the run began because f16 gradients overflowed; absent in f32. */
  skipped?: number;
}

/** Computes training steps. */
export interface TrainingEngine extends Disposable {
  /** The backend's name. */
  readonly name: string;
  /** The hardware in words. */
  readonly description: string;
  /** Steps between readbacks that keep the engine busy. */
  readonly reportEvery: number;
  /**
   * One optimizer step on the mean loss over all batches.
   * @param hyper AdamW's numbers, see `adamwHyper`.
   * @param seed Seed of this step's dropout masks.
   */
  trainStep(batches: Batch[], hyper: Float32Array, seed: number): Promise<void>;
  /** Loss since the last call, and the last gradient norm. */
  readStats(): Promise<TrainingStats>;
  /** Summed loss of a batch in nats, without dropout. */
  evaluate(batch: Batch): Promise<number>;
  /** Copies parameters and moments out. */
  readState(): Promise<TrainingState>;
  /** Copies parameters and moments in. */
  writeState(state: TrainingState): Promise<void>;
}

/** Places of what a readback brings: summed loss, gradient norm, and the state of loss scaling. */
const PLACES = { lossSum: 0, norm: viewAlignment("f32"), scaling: 2 * viewAlignment("f32") };

/** Lets signals and timers through between two pieces of computation. */
const breathe = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));

/**
 * Steps in a row without an overflow after which the loss scale is doubled. One that overflows is
 * lost, so at most every thousandth is.
 */
const SCALE_INTERVAL = 1000;

/** Options of {@linkcode BackendEngine.create}. */
export interface BackendEngineOptions {
  /** Rows of a batch, B. */
  batchSize: number;
  /** Tokens of a row, T. */
  sequenceLength: number;
  /** Dropout rate. */
  dropout: number;
  /** Of parameters and activations as they are multiplied; f32 unless given. */
  precision?: Precision;
}

type ProgramName = "zero" | "micro" | "update" | "refresh" | "evaluate";

/** What records a program. */
type Build = (ops: Ops) => void;

/** Trains on a {@linkcode Backend}: three programs, recorded once and replayed at every step. */
export class BackendEngine implements TrainingEngine {
  readonly name: string;
  readonly description: string;
  readonly reportEvery: number;
  readonly #backend: Backend;
  readonly #params: ParameterTensors;
  readonly #grads: ParameterTensors;
  readonly #m: Tensor;
  readonly #v: Tensor;
  readonly #inputs: { tokens: Tensor; positions: Tensor };
  readonly #targets: Tensor;
  readonly #scale: Tensor;
  readonly #seed: Tensor;
  readonly #hyper: Tensor;
  /** What a readback brings; the next ones are parts of it. */
  readonly #stats: Tensor;
  readonly #norm: Tensor;
  readonly #lossSum: Tensor;
  readonly #scaling: Tensor | undefined;
  readonly #evalSum: Tensor;
  readonly #builds: Record<ProgramName, Build>;
  #programs!: Record<ProgramName, Program>;
  #counted = 0;

  /**
   * Allocates parameters, gradients, moments and activations, lets the backend tune itself, and
   * records the programs. The engine owns the backend from here on; if it fails, the caller does.
   * @throws {TypeError} if precision is f16 and the backend has no f16 tensors.
   */
  static async create(
    backend: Backend,
    config: ModelConfig,
    options: BackendEngineOptions,
  ): Promise<BackendEngine> {
    const engine = new BackendEngine(backend, config, options);
    await backend.tune?.(engine.#builds.micro);
    engine.#record();
    return engine;
  }

  private constructor(backend: Backend, config: ModelConfig, options: BackendEngineOptions) {
    this.#backend = backend;
    this.name = backend.name;
    this.description = backend.description;
    this.reportEvery = backend.name === "webgpu" ? 10 : 1;
    const { precision = "f32" } = options;
    const shape = { B: options.batchSize, NH: config.heads };
    const rows = options.batchSize * options.sequenceLength;
    const params = this.#params = parameterTensors(backend, config);
    const grads = this.#grads = parameterTensors(backend, config);
    const half = precision === "f16" ? halfTensors(backend, config, params) : undefined;
    const weights = half?.tensors ?? params;
    const { poolSize, decay } = parameterLayout(config);
    this.#m = backend.tensor([poolSize]);
    this.#v = backend.tensor([poolSize]);
    const inputs = this.#inputs = {
      tokens: backend.tensor([rows], "u32"),
      positions: backend.tensor([rows], "u32"),
    };
    this.#stats = backend.tensor([PLACES.scaling + 4]);
    this.#lossSum = backend.view(this.#stats, PLACES.lossSum, [1]);
    this.#norm = backend.view(this.#stats, PLACES.norm, [1]);
    const scaling = this.#scaling = precision === "f16"
      ? backend.view(this.#stats, PLACES.scaling, [4])
      : undefined;
    const head = { ...allocateHead(backend, config, rows, precision), scaling };
    this.#targets = head.targets;
    this.#scale = head.scale;
    this.#seed = backend.tensor([1], "u32");
    this.#hyper = backend.tensor([8]);
    this.#evalSum = backend.tensor([1]);
    const dropout = options.dropout > 0 ? { rate: options.dropout, seed: this.#seed } : undefined;
    const acts = allocateActivations(backend, config, rows, true, precision);
    const scratch = allocateScratch(backend, config, rows, dropout !== undefined, precision);
    this.#builds = {
      zero: (ops) => ops.fill({ x: grads.pool, value: 0 }),
      micro: (ops) => {
        sequenceForward(ops, inputs, weights, acts, shape, dropout);
        sequenceBackward(
          backend,
          ops,
          inputs,
          weights,
          grads,
          acts,
          head,
          scratch,
          shape,
          dropout,
        );
        ops.sum({ out: this.#lossSum, x: head.losses });
      },
      update: (ops) => {
        const norm = this.#norm;
        ops.gradientNorm({ norm, grads: grads.pool, scaling });
        ops.adamw({
          params: params.pool,
          grads: grads.pool,
          m: this.#m,
          v: this.#v,
          norm,
          hyper: this.#hyper,
          decay,
          scaling,
        });
        if (scaling) ops.adjustLossScale({ scaling, norm, interval: SCALE_INTERVAL });
        half?.refresh(ops);
      },
      refresh: (ops) => half?.refresh(ops),
      evaluate: (ops) => {
        sequenceForward(ops, inputs, weights, acts, shape);
        headForward(backend, ops, weights, acts.lnf, head);
        ops.fill({ x: this.#evalSum, value: 0 });
        ops.sum({ out: this.#evalSum, x: head.losses });
      },
    };
  }

  #record(): void {
    const { zero, micro, update, refresh, evaluate } = this.#builds;
    const backend = this.#backend;
    this.#programs = {
      zero: backend.record(zero),
      micro: backend.record(micro),
      update: backend.record(update),
      refresh: backend.record(refresh),
      evaluate: backend.record(evaluate),
    };
  }

  #writeBatch(batch: Batch): void {
    this.#backend.write(this.#inputs.tokens, batch.tokens);
    this.#backend.write(this.#inputs.positions, batch.positions);
    this.#backend.write(this.#targets, batch.targets);
  }

  async trainStep(batches: Batch[], hyper: Float32Array, seed: number): Promise<void> {
    const count = batches.reduce((sum, batch) => sum + batch.count, 0);
    this.#backend.run(this.#programs.zero);
    this.#backend.write(this.#scale, Float32Array.of(1 / count));
    this.#backend.write(this.#hyper, hyper);
    for (const [i, batch] of batches.entries()) {
      this.#writeBatch(batch);
      this.#backend.write(this.#seed, Uint32Array.of((seed + Math.imul(i, 0x9e3779b1)) >>> 0));
      this.#backend.run(this.#programs.micro);
      await breathe();
    }
    this.#backend.run(this.#programs.update);
    this.#counted += count;
  }

  async readStats(): Promise<TrainingStats> {
    const stats = await this.#backend.read(this.#stats);
    const [sum] = stats, last = stats.subarray(PLACES.scaling);
    const loss = sum / this.#counted;
    this.#backend.write(this.#lossSum, new Float32Array(1));
    this.#counted = 0;
    if (!this.#scaling) return { loss, gradNorm: stats[PLACES.norm] };
    // Overflow that no scale is small enough for is no matter of precision.
    const diverged = last[SCALING.scale] === MIN_LOSS_SCALE && last[SCALING.steps] === 0;
    const gradNorm = diverged ? Infinity : last[SCALING.norm];
    return { loss, gradNorm, skipped: last[SCALING.skipped] };
  }

  async evaluate(batch: Batch): Promise<number> {
    this.#writeBatch(batch);
    this.#backend.run(this.#programs.evaluate);
    await breathe();
    return (await this.#backend.read(this.#evalSum))[0];
  }

  async readState(): Promise<TrainingState> {
    return {
      parameters: await this.#backend.read(this.#params.pool),
      m: await this.#backend.read(this.#m),
      v: await this.#backend.read(this.#v),
      lossScaling: this.#scaling && await this.#backend.read(this.#scaling),
    };
  }

  async writeState({ parameters, m, v, lossScaling }: TrainingState): Promise<void> {
    this.#backend.write(this.#params.pool, parameters);
    this.#backend.write(this.#m, m);
    this.#backend.write(this.#v, v);
    if (this.#scaling) this.#backend.write(this.#scaling, lossScaling ?? firstLossScaling());
    this.#backend.run(this.#programs.refresh);
    await this.#backend.finish();
  }

  [Symbol.dispose](): void {
    this.#backend[Symbol.dispose]();
  }
}
