/**
 * A training run on disk: its folder, its log, its checkpoints, and how it stops and goes on.
 *
 * A run's folder holds `run.json` (what was asked for), `checkpoint/` (to resume from), `best/`
 * (weights at the best validation so far), `log.jsonl` and `loss.svg`.
 *
 * @module
 */

import { DeviceLostError } from "../backend/device_lost.ts";
import { tokenFile } from "../corpus/token_file.ts";
import { TokenizedCorpus } from "../corpus/tokenized.ts";
import type { BatchSource } from "../corpus/batches.ts";
import { readDocuments } from "../corpus/documents.ts";
import type { ModelConfig } from "../model/config.ts";
import { loadWeights, saveWeights } from "../model/weights.ts";
import { Tokenizer } from "../tokenizer/tokenizer.ts";
import type { TrainingBackend } from "./create_engine.ts";
import { lossCurves, Progress, RunLog } from "./report.ts";
import { DivergenceError } from "./loss_watch.ts";
import type { TrainingSettings } from "./settings.ts";
import { Trainer, type ValidationScore } from "./trainer.ts";

/** One `--data` or `--valid` argument. */
export interface DataArgument {
  /** A file or folder. */
  path: string;
  /** How many times as often as its share of the tokens it is drawn. */
  weight: number;
}

/** What a run was asked for; `run.json`. */
export interface RunPlan {
  /** `language` is stage 1, `code` is stage 2. */
  stage: "language" | "code";
  /** Training data. */
  data: DataArgument[];
  /** Stories that stage 2 rehearses. */
  stories: DataArgument[];
  /** Their share of stage 2's tokens, in [0, 1). */
  storiesShare: number;
  /** Held-out data; a fiftieth of the training documents if empty. */
  valid: DataArgument[];
  /** The model's shape. */
  config: ModelConfig;
  /** Folder of the weights to start from; random ones if absent. */
  from?: string;
  /** Numbers of the run; `steps` may come from `epochs`. */
  settings: Partial<TrainingSettings>;
  /** Passes through the data, instead of `settings.steps`. */
  epochs?: number;
  /** Steps between validations, 0 for one at the end; a tenth of the run if absent. */
  evalEvery?: number;
  /** Steps between checkpoints, 0 for one at the end; a tenth of the run, at most 200, if absent. */
  saveEvery?: number;
  /** Largest shard of a checkpoint in bytes. */
  maxShardSize?: number;
  /** Path of the tokenizer. */
  tokenizer: string;
}

/** Where and on what a run computes; may differ after a resume. */
export interface RunPlace {
  /** The run's folder. */
  out: string;
  /** What computes. */
  backend: TrainingBackend;
  /** Threads of the WebAssembly backend. */
  threads?: number;
  /** How to start this run again, for messages. */
  command: string;
}

/** How a run ended. */
export type RunEnd = "finished" | "interrupted";

/** Every how many documents one is held out when no `--valid` is given. */
const HOLD_OUT = 50;

const nameOf = (path: string): string => path.replace(/\/+$/, "").split("/").slice(-2).join("/");

async function* every(
  documents: AsyncIterable<string>,
  keep: (index: number) => boolean,
): AsyncGenerator<string, void, unknown> {
  let index = 0;
  for await (const document of documents) if (keep(index++)) yield document;
}

/** Reads and tokenizes what a plan names. */
async function loadCorpora(
  plan: RunPlan,
  tokenizer: Tokenizer,
  progress: Progress,
): Promise<{ sources: BatchSource[]; validation: Record<string, TokenizedCorpus> }> {
  const holdOut = plan.valid.length === 0;
  const validation: Record<string, TokenizedCorpus> = {};
  const load = async (path: string, part: string, keep: (index: number) => boolean) => {
    const name = nameOf(path);
    const file = await tokenFile(path, tokenizer, part);
    const corpus = await TokenizedCorpus.from(every(readDocuments(path), keep), tokenizer, {
      name,
      file,
    });
    progress.line(
      `${name}: ${corpus.documents} documents, ${corpus.tokens} tokens, ` +
        `${(corpus.bytes / corpus.tokens).toFixed(2)} bytes per token`,
    );
    return corpus;
  };
  const source = async ({ path, weight }: DataArgument): Promise<BatchSource> => {
    const documents = holdOut
      ? await load(path, "train", (index) => index % HOLD_OUT !== HOLD_OUT - 1)
      : await load(path, "", () => true);
    if (holdOut && documents.documents >= HOLD_OUT - 1) {
      validation[nameOf(path)] = await load(
        path,
        "valid",
        (index) => index % HOLD_OUT === HOLD_OUT - 1,
      );
    }
    return { documents, weight: weight * documents.tokens };
  };
  const sources: BatchSource[] = [];
  for (const argument of plan.data) sources.push(await source(argument));
  if (plan.stories.length > 0 && plan.storiesShare > 0) {
    const rest = sources.reduce((sum, { weight }) => sum + weight, 0);
    const stories: BatchSource[] = [];
    for (const argument of plan.stories) stories.push(await source(argument));
    const own = stories.reduce((sum, { weight }) => sum + weight, 0);
    const scale = rest * plan.storiesShare / (1 - plan.storiesShare) / own;
    for (const { documents, weight } of stories) {
      sources.push({ documents, weight: weight * scale });
    }
  }
  for (const { path } of plan.valid) validation[nameOf(path)] = await load(path, "", () => true);
  return { sources, validation };
}

/** Steps that make `epochs` passes through the corpora's tokens. */
function stepsOf(epochs: number, sources: BatchSource[], settings: TrainingSettings): number {
  const tokens = sources.reduce((sum, { documents }) => sum + documents.tokens, 0);
  const perStep = settings.batchSize * settings.sequenceLength * settings.gradAccum;
  return Math.max(1, Math.round(epochs * tokens / perStep));
}

/** Whether a path exists. */
export async function exists(path: string): Promise<boolean> {
  try {
    await Deno.lstat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/**
 * Starts a run in a folder that holds none yet.
 * @throws {RangeError} if the folder holds a run already: nothing is overwritten.
 */
export async function startRun(
  plan: RunPlan,
  place: RunPlace,
  signal: AbortSignal,
): Promise<RunEnd> {
  if (await exists(`${place.out}/checkpoint`)) {
    throw new RangeError(
      `${place.out} holds a run already: continue it with --resume ${place.out}, or choose another --out.`,
    );
  }
  const progress = new Progress();
  const tokenizer = await Tokenizer.load(plan.tokenizer);
  const { sources, validation } = await loadCorpora(plan, tokenizer, progress);
  const parameters = plan.from ? (await loadWeights(plan.from)).parameters : undefined;
  const settings = { ...plan.settings };
  if (plan.epochs !== undefined) {
    const shape = {
      batchSize: settings.batchSize ?? 8,
      sequenceLength: settings.sequenceLength ?? plan.config.contextLength,
      gradAccum: settings.gradAccum ?? 1,
    };
    settings.steps = stepsOf(plan.epochs, sources, shape as TrainingSettings);
  }
  await Deno.mkdir(place.out, { recursive: true });
  await Deno.writeTextFile(`${place.out}/run.json`, `${JSON.stringify(plan, null, 2)}\n`);
  const { backend, threads } = place;
  using trainer = await Trainer.create({
    ...settings,
    config: plan.config,
    parameters,
    tokenizer,
    corpus: sources,
    validation,
    backend,
    threads,
  });
  return await follow(trainer, plan, place, progress, signal);
}

/**
 * Continues the run of a folder.
 * @param steps A new length of the whole run, which also stretches the schedule.
 */
export async function resumeRun(
  place: RunPlace,
  signal: AbortSignal,
  steps?: number,
): Promise<RunEnd> {
  let text: string;
  try {
    text = await Deno.readTextFile(`${place.out}/run.json`);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new RangeError(
      `${place.out} holds no run to resume: give the folder that --out named, which has run.json in it.`,
    );
  }
  const plan = JSON.parse(text) as RunPlan;
  const progress = new Progress();
  const tokenizer = await Tokenizer.load(plan.tokenizer);
  const { sources, validation } = await loadCorpora(plan, tokenizer, progress);
  const { backend, threads } = place;
  using trainer = await Trainer.resume(`${place.out}/checkpoint`, {
    corpus: sources,
    validation,
    backend,
    threads,
    steps,
  });
  return await follow(trainer, plan, place, progress, signal);
}

/** Runs a trainer to its end or the signal, with reports, validations and checkpoints. */
async function follow(
  trainer: Trainer,
  plan: RunPlan,
  place: RunPlace,
  progress: Progress,
  signal: AbortSignal,
): Promise<RunEnd> {
  const { out } = place;
  const { steps, batchSize, sequenceLength, gradAccum } = trainer.settings;
  const log = await RunLog.open(`${out}/log.jsonl`, trainer.step);
  const before = log.seconds, started = performance.now();
  const seconds = () => Math.round((before + (performance.now() - started) / 1000) * 10) / 10;
  const tokensPerStep = batchSize * sequenceLength * gradAccum;
  const tenth = Math.ceil(steps / 10);
  const { evalEvery = tenth, saveEvery = Math.min(200, tenth) } = plan;
  let best = Infinity;
  for (const entry of log.entries) {
    if (entry.kind === "validation") best = Math.min(best, meanBitsPerByte(entry.scores));
  }
  progress.line(
    `Training ${trainer.config.layers} layers × ${trainer.config.width} on ${trainer.description}, ` +
      `${steps} steps of ${tokensPerStep} tokens, from step ${trainer.step}. Ctrl-C saves and stops.`,
  );
  const save = async () => {
    await trainer.save(`${out}/checkpoint`, { maxShardSize: plan.maxShardSize });
    await Deno.writeTextFile(`${out}/loss.svg`, lossCurves(log.entries, `Loss of ${out}`));
  };
  const validate = async () => {
    const scores = await trainer.evaluate();
    await log.add({ kind: "validation", step: trainer.step, seconds: seconds(), scores });
    for (const [name, { loss, bitsPerByte }] of Object.entries(scores)) {
      progress.line(
        `step ${trainer.step}: ${name} ${loss.toFixed(4)} nats per token, ` +
          `${bitsPerByte.toFixed(4)} bits per byte`,
      );
    }
    const mean = meanBitsPerByte(scores);
    if (!(mean < best)) return;
    best = mean;
    await saveWeights(`${out}/best`, {
      config: trainer.config,
      parameters: await trainer.parameters(),
      tokenizerJson: trainer.tokenizer.toJSON(),
    });
  };
  let saved = trainer.step, reported = trainer.step;
  try {
    for await (const step of trainer.run({ signal })) {
      await log.add({ kind: "train", seconds: seconds(), ...step });
      progress.show(step, steps, tokensPerStep);
      if (signal.aborted) break;
      const due = (every: number) => isDue(reported, step.step, every, steps);
      if (due(evalEvery)) await validate();
      if (due(saveEvery)) {
        await save();
        saved = step.step;
      }
      reported = step.step;
    }
  } catch (error) {
    const lost = error instanceof DeviceLostError;
    if (!(error instanceof DivergenceError || lost)) throw error;
    const kept = saved > 0
      ? `The checkpoint of step ${saved} is in ${out}/checkpoint.`
      : "No checkpoint had been written yet.";
    const remedy = lost && saved > 0 ? ` Go on with: ${place.command} --resume ${out}` : "";
    const message = lost ? error.summary : error.message;
    throw new Error(`${message} ${kept}${remedy}`, { cause: error });
  }
  if (saved !== trainer.step) await save();
  if (trainer.step >= steps) {
    progress.line(`Finished after ${trainer.step} steps: ${out}/checkpoint, ${out}/loss.svg.`);
    return "finished";
  }
  progress.line(`Saved step ${trainer.step}. Go on with: ${place.command} --resume ${out}`);
  return "interrupted";
}

/**
 * Whether a multiple of `every` is among the steps after `reported` up to `step`: a GPU reports only
 * every tenth, which seldom is such a multiple itself.
 */
const isDue = (reported: number, step: number, every: number, last: number): boolean =>
  step === last || (every > 0 && Math.floor(step / every) > Math.floor(reported / every));

function meanBitsPerByte(scores: Record<string, ValidationScore>): number {
  const values = Object.values(scores);
  return values.reduce((sum, { bitsPerByte }) => sum + bitsPerByte, 0) / values.length;
}
