/**
 * `bashling train`, also behind `deno task pretrain` and `deno task finetune`.
 *
 * @module
 */

import { parseArgs } from "@std/cli";
import { fileURLToPath } from "node:url";
import type { Precision } from "../backend/backend.ts";
import { OWN_SCRIPTS } from "../corpus/bash.ts";
import { findStories } from "../corpus/download.ts";
import { checkConfig, preset } from "../model/config.ts";
import { SHIPPED_WEIGHTS } from "../model/shipped.ts";
import { loadWeights } from "../model/weights.ts";
import type { TrainingBackend } from "../trainer/create_engine.ts";
import { type DataArgument, exists, resumeRun, type RunPlan, startRun } from "../trainer/run.ts";
import type { TrainingSettings } from "../trainer/settings.ts";
import { checkThreads } from "./engine_flags.ts";
import { UsageError } from "./usage.ts";

/** Text of `bashling train --help`. */
export const TRAIN_HELP = `Train a model: stage "language" (stories) or "code" (bash).

Usage: bashling train --stage language|code [options]
       bashling train --resume DIR [--steps N] [--backend NAME] [--threads N]

Data
  --data PATH[=W]       training text: .txt[.gz] stories, .jsonl[.gz] pairs or scripts, a folder of
                        *.sh; repeatable; W draws it W times as often as its size says
                        (language: TinyStories from the cache or the network; code: our own scripts)
  --valid PATH          held-out text, repeatable (every 50th training document)
  --stories PATH[=W]    code: stories to rehearse, repeatable (TinyStories from the cache, if there)
  --stories-share S     code: their share of the tokens (0.1)
  --no-own-scripts      code: leave out the scripts that come with Bashling
  --tokenizer FILE      tokenizer.json (that of --from, else the shipped one)
Model
  --preset NAME         tiny, small, base, medium (small)
  --from DIR            start from these weights (code: checkpoints/pretrain/best, else weights)
Run
  --steps N             optimizer steps (1000), or:
  --epochs N            passes through the data
  --batch-size B        sequences in a batch (language 16, code 8)
  --sequence-length T   tokens in a sequence (the model's context, 512)
  --grad-accum N        batches in a step (1)
  --lr X                highest learning rate (language 3e-4, code 1e-4)
  --min-lr X            learning rate at the end (lr / 10)
  --warmup N            steps of warm-up (a tenth of the steps, at most 100)
  --weight-decay X      of matrices (0.1)
  --beta2 X             AdamW's second decay (0.95)
  --clip X              largest gradient norm, 0 for none (1)
  --dropout P           probability in [0, 1) (0)
  --seed N              (0)
  --precision f32|f16   f16 stores activations in half the memory, on a GPU only (f32)
  --eval-every N        steps between validations (a tenth of the steps)
  --save-every N        steps between checkpoints (a tenth of the steps, at most 200)
  --max-shard-size N    largest file of a checkpoint, in MB (one file)
  --out DIR             the run's folder (checkpoints/pretrain or checkpoints/finetune)
  --resume DIR          continue the run in this folder
  --backend NAME        auto, webgpu, wasm, reference, tfjs (auto)
  --threads N           of the wasm backend (all cores)`;

const LISTS = ["data", "valid", "stories"] as const;
const TEXTS = [
  "stage",
  "tokenizer",
  "preset",
  "from",
  "out",
  "resume",
  "backend",
  "stories-share",
  "steps",
  "epochs",
  "batch-size",
  "sequence-length",
  "grad-accum",
  "lr",
  "min-lr",
  "warmup",
  "weight-decay",
  "beta2",
  "clip",
  "dropout",
  "seed",
  "eval-every",
  "save-every",
  "max-shard-size",
  "threads",
  "precision",
] as const;
/** What may be given beside `--resume`; everything else is the run's own. */
const WITH_RESUME = new Set(["resume", "stage", "steps", "backend", "threads"]);
const BACKENDS = ["auto", "webgpu", "wasm", "reference", "tfjs"];

type Flags = Partial<Record<typeof TEXTS[number], string>>;

/**
 * Runs `bashling train`.
 * @param args Arguments after `train`.
 * @param command How the user called it, for the advice to resume.
 * @returns The exit code: 0, or 130 after Ctrl-C.
 * @throws {UsageError} for arguments that cannot be.
 */
export async function train(args: string[], command: string): Promise<number> {
  const given = new Set<string>();
  const flags = parseArgs(args, {
    string: [...TEXTS, ...LISTS],
    boolean: ["help", "own-scripts"],
    negatable: ["own-scripts"],
    default: { "own-scripts": true },
    collect: [...LISTS],
    unknown: (arg) => {
      throw new UsageError(`train knows no ${arg}. See train --help.`);
    },
  });
  if (flags.help) {
    console.log(TRAIN_HELP);
    return 0;
  }
  for (const name of [...TEXTS, ...LISTS]) {
    const value = flags[name];
    if (value === "") throw new UsageError(`--${name} needs a value. See train --help.`);
    if (Array.isArray(value) ? value.length > 0 : value !== undefined) given.add(name);
  }
  if (!flags["own-scripts"]) given.add("no-own-scripts");
  const backend = flags.backend ?? "auto";
  if (!BACKENDS.includes(backend)) {
    throw new UsageError(`--backend is ${backend}, expected one of ${BACKENDS.join(", ")}.`);
  }
  const place = {
    backend: backend as TrainingBackend,
    threads: checkThreads(integer(flags, "threads")),
    command,
  };
  const abort = new AbortController();
  const interrupt = () => {
    if (abort.signal.aborted) Deno.exit(130);
    abort.abort();
    console.error("\nStopping after this step and saving; press Ctrl-C again to stop at once.");
  };
  Deno.addSignalListener("SIGINT", interrupt);
  Deno.addSignalListener("SIGTERM", interrupt);
  try {
    let end;
    if (flags.resume !== undefined) {
      const fixed = [...given].filter((name) => !WITH_RESUME.has(name));
      if (fixed.length > 0) {
        throw new UsageError(`--${fixed[0]} cannot change when a run is resumed: leave it out.`);
      }
      end = await resumeRun(
        { ...place, out: flags.resume },
        abort.signal,
        integer(flags, "steps"),
      );
    } else {
      const { plan, out } = await makePlan(flags, {
        data: flags.data.map(dataArgument),
        valid: flags.valid.map(dataArgument),
        stories: flags.stories.map(dataArgument),
        ownScripts: flags["own-scripts"],
      });
      end = await startRun(plan, { ...place, out }, abort.signal);
    }
    return end === "finished" ? 0 : 130;
  } finally {
    Deno.removeSignalListener("SIGINT", interrupt);
    Deno.removeSignalListener("SIGTERM", interrupt);
  }
}

/** Turns the command line into a plan, filling in what a stage takes for granted. */
async function makePlan(
  flags: Flags,
  lists: {
    data: DataArgument[];
    valid: DataArgument[];
    stories: DataArgument[];
    ownScripts: boolean;
  },
): Promise<{ plan: RunPlan; out: string }> {
  const { stage } = flags;
  if (stage !== "language" && stage !== "code") {
    throw new UsageError(
      `--stage is ${stage ?? "missing"}, expected language (stories) or code (bash).`,
    );
  }
  const code = stage === "code";
  const { data, valid } = lists;
  let { stories } = lists;
  if (!code && data.length === 0) data.push({ path: await findStories(), weight: 1 });
  if (code && lists.ownScripts && OWN_SCRIPTS.protocol !== "file:") {
    throw new UsageError(
      "The scripts that come with Bashling are in its repository only: give --no-own-scripts and --data.",
    );
  }
  if (code && lists.ownScripts) data.unshift({ path: fileURLToPath(OWN_SCRIPTS), weight: 1 });
  if (code && data.length === 0) {
    throw new UsageError("There is nothing to train on: give --data, or drop --no-own-scripts.");
  }
  if (code && stories.length === 0) {
    const cached = await findStories({ download: false }).catch(() => undefined);
    if (cached) stories = [{ path: cached, weight: 1 }];
    else {
      console.error(
        "No stories are at hand to rehearse, so English may fade: give --stories FILE to keep it.",
      );
    }
  }

  const { protocol, href } = SHIPPED_WEIGHTS;
  const shipped = (protocol === "file:" ? fileURLToPath(href) : href).replace(/\/$/, "");
  const pretrained = "checkpoints/pretrain/best";
  const from = flags.from ?? (code ? await exists(pretrained) ? pretrained : shipped : undefined);
  const loaded = from === undefined ? undefined : await loadWeights(from);
  if (loaded && flags.preset !== undefined) {
    throw new UsageError(`--preset cannot be given with weights to start from (${from}).`);
  }
  const settings: Partial<TrainingSettings> = {
    steps: integer(flags, "steps"),
    batchSize: integer(flags, "batch-size") ?? (code ? 8 : 16),
    sequenceLength: integer(flags, "sequence-length"),
    gradAccum: integer(flags, "grad-accum"),
    lr: number(flags, "lr") ?? (code ? 1e-4 : 3e-4),
    minLr: number(flags, "min-lr"),
    warmup: integer(flags, "warmup"),
    weightDecay: number(flags, "weight-decay"),
    beta2: number(flags, "beta2"),
    clip: number(flags, "clip"),
    dropout: number(flags, "dropout"),
    seed: integer(flags, "seed"),
    precision: precision(flags),
  };
  const epochs = number(flags, "epochs");
  if (epochs !== undefined && settings.steps !== undefined) {
    throw new UsageError("--steps and --epochs exclude each other: give one.");
  }
  const storiesShare = number(flags, "stories-share") ?? 0.1;
  if (!(storiesShare >= 0 && storiesShare < 1)) {
    throw new UsageError(`--stories-share is ${storiesShare}, expected a number in [0, 1).`);
  }
  const shard = number(flags, "max-shard-size");
  const tokenizer = flags.tokenizer ?? `${from ?? shipped}/tokenizer.json`;
  const config = loaded?.config ??
    checkConfig({ ...usage(() => preset(flags.preset ?? "small")) });
  const plan: RunPlan = {
    stage,
    data,
    stories: code ? stories : [],
    storiesShare,
    valid,
    config,
    from,
    settings,
    epochs,
    evalEvery: integer(flags, "eval-every"),
    saveEvery: integer(flags, "save-every"),
    maxShardSize: shard === undefined ? undefined : Math.round(shard * 1e6),
    tokenizer,
  };
  return { plan, out: flags.out ?? (code ? "checkpoints/finetune" : "checkpoints/pretrain") };
}

function dataArgument(text: string): DataArgument {
  const [, path, weight] = text.match(/^(.*?)(?:=([\d.]+))?$/)!;
  if (weight !== undefined && !(Number(weight) > 0)) {
    throw new UsageError(`The weight of ${path} is ${weight}, expected a number above 0.`);
  }
  return { path, weight: weight === undefined ? 1 : Number(weight) };
}

function number(flags: Flags, name: keyof Flags): number | undefined {
  const text = flags[name];
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!Number.isFinite(value)) throw new UsageError(`--${name} is ${text}, expected a number.`);
  return value;
}

function integer(flags: Flags, name: keyof Flags): number | undefined {
  const value = number(flags, name);
  if (value !== undefined && !(Number.isSafeInteger(value) && value >= 0)) {
    throw new UsageError(`--${name} is ${value}, expected a whole number.`);
  }
  return value;
}

function precision({ precision, backend }: Flags): Precision | undefined {
  if (precision === undefined || precision === "f32") return precision;
  if (precision !== "f16") {
    throw new UsageError(`--precision is ${precision}, expected f32 or f16.`);
  }
  if (backend === "wasm" || backend === "tfjs") {
    throw new UsageError(`--precision f16 cannot be had with ${backend}: use f32, or webgpu.`);
  }
  return precision;
}

/** Turns a wrong name on the command line into a usage error. */
function usage<T>(get: () => T): T {
  try {
    return get();
  } catch (error) {
    if (error instanceof RangeError) throw new UsageError(error.message);
    throw error;
  }
}
