/**
 * The trainer: batches → forward → loss → backward → AdamW, with validation and exact resume.
 *
 * @module
 */

import {
  type Batch,
  type BatchSource,
  BatchStream,
  type BatchStreamState,
  evaluationBatches,
} from "../corpus/batches.ts";
import { TokenizedCorpus } from "../corpus/tokenized.ts";
import { checkConfig, type ModelConfig, type Preset, preset } from "../model/config.ts";
import { initialParameters, parameterLayout } from "../model/parameters.ts";
import { SHIPPED_WEIGHTS } from "../model/shipped.ts";
import { Tokenizer } from "../tokenizer/tokenizer.ts";
import { adamwHyper } from "./adamw.ts";
import { loadCheckpoint, saveCheckpoint } from "./checkpoint.ts";
import { createEngine, type TrainingBackend } from "./create_engine.ts";
import type { TrainingEngine, TrainingState } from "./engine.ts";
import { DivergenceError, LossWatch } from "./loss_watch.ts";
import { learningRate } from "./schedule.ts";
import { checkSettings, OLDER_SETTINGS, type TrainingSettings, withDefaults } from "./settings.ts";

/** What {@linkcode Trainer.create} takes. */
export interface TrainerOptions extends Partial<TrainingSettings> {
  /** Documents, or a weighted mixture of tokenized corpora. */
  corpus: Iterable<string> | AsyncIterable<string> | BatchSource[];
  /** Held-out corpora by name, for {@linkcode Trainer.evaluate}. */
  validation?: Record<string, TokenizedCorpus>;
  /** The model's size by name, `small` if neither this nor `config` is given. */
  preset?: Preset;
  /** The model's shape, instead of a preset. */
  config?: ModelConfig;
  /** Parameters to start from, such as those of `loadWeights`; random ones if absent. */
  parameters?: Float32Array<ArrayBuffer>;
  /** The tokenizer; the shipped one if absent. */
  tokenizer?: Tokenizer;
  /** What computes: `auto` is a real WebGPU adapter if there is one, else WebAssembly. */
  backend?: TrainingBackend;
  /** Threads of the WebAssembly backend; all cores if absent. */
  threads?: number;
}

/** What a resumed trainer needs besides its checkpoint. */
export type ResumeOptions =
  & Pick<TrainerOptions, "corpus" | "validation" | "backend" | "threads">
  & Partial<Pick<TrainingSettings, "steps">>;

/** A report of {@linkcode Trainer.run}. */
export interface TrainingStep {
  /** Optimizer steps done since the run began. */
  step: number;
  /** Mean loss in nats per token since the report before. */
  loss: number;
  /** Gradient norm of this step, or of the last before it that was not skipped, before clipping. */
  gradNorm: number;
  /** Steps skipped since the run began, because gradients overflowed f16; absent if there is none. */
  skipped?: number;
  /** Learning rate of this step. */
  lr: number;
  /** Tokens that a second of the time since the report before took in. */
  tokensPerSecond: number;
  /** Tokens taken in since the run began. */
  tokens: number;
}

/** Loss on one held-out corpus. */
export interface ValidationScore {
  /** Mean loss in nats per token. */
  loss: number;
  /** Σ nats / ln 2 / Σ bytes. */
  bitsPerByte: number;
  /** Tokens scored. */
  tokens: number;
}

/** The part of a checkpoint that is the trainer's own. */
interface TrainerState {
  settings: TrainingSettings;
  step: number;
  tokens: number;
  watch: { reports: number; weighted: number; best: number };
  stream: BatchStreamState;
  /** Only in f16. */
  lossScaling?: number[];
}

/**
 * Trains one model. Make one with {@linkcode Trainer.create} or {@linkcode Trainer.resume}.
 *
 * @example
 * ```ts
 * import { Trainer } from "@bashling/bashling";
 *
 * const corpus = Array.from({ length: 20 }, (_, i) => `#!/bin/bash\n# Show file ${i}\ncat ${i}.txt\n`);
 * const config = { vocabSize: 8000, contextLength: 64, layers: 1, width: 32, heads: 1 };
 * using trainer = await Trainer.create({ config, corpus, backend: "wasm", threads: 1, batchSize: 1 });
 * for await (const step of trainer.run({ steps: 2 })) console.log(step.loss, step.tokensPerSecond);
 * ```
 */
export class Trainer implements Disposable {
  /** The model's shape. */
  readonly config: ModelConfig;
  /** Numbers of the run. */
  readonly settings: Readonly<TrainingSettings>;
  /** The tokenizer whose ids the model reads. */
  readonly tokenizer: Tokenizer;
  readonly #engine: TrainingEngine;
  readonly #stream: BatchStream;
  readonly #validation: Record<string, TokenizedCorpus>;
  #step = 0;
  #tokens = 0;
  readonly #watch = new LossWatch();

  private constructor(
    config: ModelConfig,
    settings: TrainingSettings,
    tokenizer: Tokenizer,
    engine: TrainingEngine,
    stream: BatchStream,
    validation: Record<string, TokenizedCorpus>,
  ) {
    this.config = config;
    this.settings = settings;
    this.tokenizer = tokenizer;
    this.#engine = engine;
    this.#stream = stream;
    this.#validation = validation;
  }

  /**
   * Makes a trainer at step 0.
   *
   * @throws {RangeError} if a number cannot be, or the corpus is empty.
   *
   * @example Train on one's own scripts
   * ```ts
   * import { Trainer } from "@bashling/bashling";
   *
   * const corpus = ["#!/bin/bash\n# Say hello\necho hello\n", "#!/bin/bash\n# Show users\nwho\n"];
   * const config = { vocabSize: 8000, contextLength: 64, layers: 1, width: 32, heads: 1 };
   * using trainer = await Trainer.create({ config, corpus, backend: "wasm", lr: 1e-3, batchSize: 2 });
   * console.log(trainer.description);
   * ```
   */
  static async create(options: TrainerOptions): Promise<Trainer> {
    const config = checkConfig(options.config ?? preset(options.preset ?? "small"));
    const tokenizer = options.tokenizer ??
      await Tokenizer.load(new URL("tokenizer.json", SHIPPED_WEIGHTS));
    const settings = checkSettings(withDefaults(options, config), config);
    const size = parameterLayout(config).poolSize;
    const parameters = options.parameters ?? initialParameters(config, settings.seed);
    if (parameters.length !== size) {
      throw new RangeError(
        `Cannot start training: ${parameters.length} parameters were given, the model has ${size}.`,
      );
    }
    return await Trainer.#build(options, config, settings, tokenizer, {
      parameters,
      m: new Float32Array(size),
      v: new Float32Array(size),
    });
  }

  /**
   * Continues from a checkpoint as if the run had never stopped: the same data in the same order
   * gives the same weights, bit for bit, on the same backend.
   *
   * @param folder A folder written by {@linkcode Trainer.save}.
   * @throws {RangeError} if the checkpoint or the data do not fit.
   *
   * @example
   * ```ts
   * import { Trainer } from "@bashling/bashling";
   *
   * const corpus = ["#!/bin/bash\n# Say hello\necho hello\n"];
   * const config = { vocabSize: 8000, contextLength: 64, layers: 1, width: 32, heads: 1 };
   * const folder = await Deno.makeTempDir();
   * {
   *   using trainer = await Trainer.create({ config, corpus, backend: "wasm", batchSize: 1 });
   *   for await (const step of trainer.run({ steps: 1 })) console.log(step.loss);
   *   await trainer.save(folder);
   * }
   * using trainer = await Trainer.resume(folder, { corpus, backend: "wasm" });
   * console.log(trainer.step); // 1
   * await Deno.remove(folder, { recursive: true });
   * ```
   */
  static async resume(folder: string, options: ResumeOptions): Promise<Trainer> {
    const { config, parameters, m, v, state, tokenizerJson } = await loadCheckpoint(folder);
    const { step, tokens, watch, stream, ...rest } = state as unknown as TrainerState;
    const tokenizer = Tokenizer.fromJSON(tokenizerJson);
    const settings = { ...OLDER_SETTINGS, ...rest.settings };
    const changed = { ...settings, steps: options.steps ?? settings.steps };
    const trainer = await Trainer.#build(
      options,
      config,
      checkSettings(changed, config),
      tokenizer,
      {
        parameters,
        m,
        v,
        lossScaling: rest.lossScaling && Float32Array.from(rest.lossScaling),
      },
    );
    trainer.#stream.restore(stream);
    trainer.#step = step;
    trainer.#tokens = tokens;
    Object.assign(trainer.#watch, watch);
    return trainer;
  }

  static async #build(
    options: ResumeOptions,
    config: ModelConfig,
    settings: TrainingSettings,
    tokenizer: Tokenizer,
    state: TrainingState,
  ): Promise<Trainer> {
    if (tokenizer.vocabSize > config.vocabSize) {
      throw new RangeError(
        `The tokenizer has ${tokenizer.vocabSize} tokens, the model ${config.vocabSize}: use the ` +
          `tokenizer that belongs to the model.`,
      );
    }
    const sources = Array.isArray(options.corpus) && typeof options.corpus[0] === "object"
      ? options.corpus as BatchSource[]
      : [{
        documents: await TokenizedCorpus.from(
          options.corpus as Iterable<string> | AsyncIterable<string>,
          tokenizer,
        ),
        weight: 1,
      }];
    const { batchSize, sequenceLength: contextLength, seed } = settings;
    const stream = new BatchStream({ sources, batchSize, contextLength, seed });
    const engine = await createEngine(options.backend ?? "auto", config, settings, options.threads);
    try {
      await engine.writeState(state);
    } catch (error) {
      engine[Symbol.dispose]();
      throw error;
    }
    return new Trainer(config, settings, tokenizer, engine, stream, options.validation ?? {});
  }

  /** Optimizer steps done so far. */
  get step(): number {
    return this.#step;
  }

  /** Tokens taken in so far. */
  get tokens(): number {
    return this.#tokens;
  }

  /** Passes through each corpus so far. */
  get epochs(): number[] {
    return this.#stream.epochs;
  }

  /** The backend and its hardware in words. */
  get description(): string {
    return `${this.#engine.name}: ${this.#engine.description}`;
  }

  /**
   * Trains up to `settings.steps`, or `steps` more if given, and yields a report for each readback
   * (each step on WebAssembly, every tenth on WebGPU). Stops after the step in progress when
   * `signal` aborts; run it again to go on.
   *
   * @throws {DivergenceError} if loss or gradient norm are not finite, or the average loss is far
   * above its best; nothing that was saved is touched.
   *
   * @example Stop after a second
   * ```ts
   * import { Trainer } from "@bashling/bashling";
   *
   * const corpus = ["#!/bin/bash\n# Say hello\necho hello\n"];
   * const config = { vocabSize: 8000, contextLength: 64, layers: 1, width: 32, heads: 1 };
   * using trainer = await Trainer.create({ config, corpus, backend: "wasm", batchSize: 1 });
   * const stop = new AbortController();
   * const timer = setTimeout(() => stop.abort(), 1000);
   * for await (const { step, loss, lr } of trainer.run({ steps: 3, signal: stop.signal })) {
   *   console.log(step, loss, lr);
   * }
   * clearTimeout(timer);
   * ```
   */
  async *run(
    options: { steps?: number; signal?: AbortSignal } = {},
  ): AsyncGenerator<TrainingStep, void, unknown> {
    const last = options.steps === undefined ? this.settings.steps : this.#step + options.steps;
    let started = performance.now(), taken = 0;
    while (this.#step < last && !options.signal?.aborted) {
      const { gradAccum, seed } = this.settings;
      const batches: Batch[] = Array.from({ length: gradAccum }, () => this.#stream.next());
      const lr = learningRate(this.settings, this.#step);
      await this.#engine.trainStep(
        batches,
        adamwHyper(this.settings, lr, this.#step),
        (seed ^ Math.imul(this.#step + 1, 0x85ebca6b)) >>> 0,
      );
      this.#step++;
      const count = batches.reduce((sum, batch) => sum + batch.count, 0);
      this.#tokens += count;
      taken += count;
      const stops = this.#step >= last || options.signal?.aborted;
      if (this.#step % this.#engine.reportEvery !== 0 && !stops) continue;
      const { loss, gradNorm, skipped } = await this.#engine.readStats();
      if (!this.#watch.accepts(loss, gradNorm, this.config.vocabSize)) {
        throw new DivergenceError(this.#step, loss, gradNorm);
      }
      const now = performance.now();
      const tokensPerSecond = taken * 1000 / (now - started);
      const report = {
        step: this.#step,
        loss,
        gradNorm,
        lr,
        tokensPerSecond,
        tokens: this.#tokens,
      };
      yield skipped ? { ...report, skipped } : report;
      started = performance.now();
      taken = 0;
    }
  }

  /**
   * Scores every held-out corpus, by the rule of `evaluationBatches`.
   *
   * @example
   * ```ts
   * import { TokenizedCorpus, Tokenizer, Trainer } from "@bashling/bashling";
   *
   * const tokenizer = await Tokenizer.load("weights/tokenizer.json");
   * const unseen = await TokenizedCorpus.from(["#!/bin/bash\n# Say bye\necho bye\n"], tokenizer);
   * const corpus = ["#!/bin/bash\n# Say hello\necho hello\n"];
   * const config = { vocabSize: 8000, contextLength: 64, layers: 1, width: 32, heads: 1 };
   * const data = { corpus, validation: { unseen }, tokenizer };
   * using trainer = await Trainer.create({ ...data, config, backend: "wasm", batchSize: 1 });
   * console.log((await trainer.evaluate()).unseen.bitsPerByte);
   * ```
   */
  async evaluate(): Promise<Record<string, ValidationScore>> {
    const scores: Record<string, ValidationScore> = {};
    const { batchSize, sequenceLength: contextLength } = this.settings;
    for (const [name, documents] of Object.entries(this.#validation)) {
      let nats = 0, tokens = 0, bytes = 0;
      for (const batch of evaluationBatches({ documents, batchSize, contextLength })) {
        nats += await this.#engine.evaluate(batch);
        tokens += batch.count;
        bytes += batch.bytes;
      }
      scores[name] = { loss: nats / tokens, bitsPerByte: nats / Math.LN2 / bytes, tokens };
    }
    return scores;
  }

  /**
   * Copies the parameters out, in the pool's order.
   *
   * @example
   * ```ts
   * import { Trainer } from "@bashling/bashling";
   *
   * const corpus = ["#!/bin/bash\n# Say hello\necho hello\n"];
   * const config = { vocabSize: 8000, contextLength: 64, layers: 1, width: 32, heads: 1 };
   * using trainer = await Trainer.create({ config, corpus, backend: "wasm", batchSize: 1 });
   * console.log((await trainer.parameters()).length);
   * ```
   */
  async parameters(): Promise<Float32Array<ArrayBuffer>> {
    return (await this.#engine.readState()).parameters;
  }

  /**
   * Writes a checkpoint folder that {@linkcode Trainer.resume} continues and `Bashling.load` reads.
   * A checkpoint that is already there is replaced only once the new one is whole.
   *
   * @example Generate with what was trained
   * ```ts
   * import { Bashling, Trainer } from "@bashling/bashling";
   *
   * const corpus = ["#!/bin/bash\n# Say hello\necho hello\n"];
   * const config = { vocabSize: 8000, contextLength: 64, layers: 1, width: 32, heads: 1 };
   * const weights = await Deno.makeTempDir();
   * using trainer = await Trainer.create({ config, corpus, backend: "wasm", batchSize: 1 });
   * for await (const step of trainer.run({ steps: 2 })) console.log(step.loss);
   * await trainer.save(weights);
   * using model = await Bashling.load({ weights });
   * console.log(await model.complete("Say hello", { maxTokens: 8 }));
   * await Deno.remove(weights, { recursive: true });
   * ```
   */
  async save(folder: string, options: { maxShardSize?: number } = {}): Promise<void> {
    const { lossScaling, ...pools } = await this.#engine.readState();
    const state: TrainerState = {
      settings: this.settings,
      step: this.#step,
      tokens: this.#tokens,
      watch: { ...this.#watch },
      stream: this.#stream.state(),
      lossScaling: lossScaling && [...lossScaling],
    };
    await saveCheckpoint(folder, {
      config: this.config,
      ...pools,
      state: state as unknown as Record<string, unknown>,
      tokenizerJson: this.tokenizer.toJSON(),
      maxShardSize: options.maxShardSize,
    });
  }

  /** Gives back the memory, threads or device that training used. */
  dispose(): void {
    this.#engine[Symbol.dispose]();
  }

  /** The same as `dispose`, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}
