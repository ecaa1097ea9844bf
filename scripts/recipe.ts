/**
 * All stages of a model in a given time: measures the speed of each stage, gives it the steps that
 * its share of the time allows, and runs one after the other.
 *
 *     deno run --allow-all scripts/recipe.ts scripts/recipes/small.json --minutes 9 --out runs/small
 *
 * A recipe names the stages and their options; `{out}` stands for the run's folder, `{data}` for
 * `--data`. Given again after an interruption, the command goes on where it stopped.
 *
 * @module
 */

import { parseArgs } from "@std/cli";
import denoJson from "../deno.json" with { type: "json" };
import { UsageError } from "../src/cli/usage.ts";
import type { LogEntry } from "../src/trainer/report.ts";
import { exists } from "../src/trainer/run.ts";

/** One stage of a recipe. */
export interface Stage {
  /** Its folder below the run's, `1` for example. */
  name: string;
  task: "pretrain" | "finetune";
  /** Its part of the time; the parts of all stages count together. */
  share: number;
  /** Options of the task but `--steps` and `--out`. */
  args: string[];
}

const USAGE = `Usage: deno run --allow-all scripts/recipe.ts RECIPE.json --minutes N --out DIR
       [--data DIR] [--backend NAME] [--threads N]`;

/** Steps that measure a stage's speed; the first ones, which warm up, do not count. */
const TRIAL_STEPS = 30;

/** What of a stage's time is left for checkpoints. */
const OVERHEAD = 0.06;

/** Seconds between checkpoints at least: on a GPU 200 steps may take less than saving them. */
const SAVE_SECONDS = 30;

/** Validations of a stage that does not say otherwise. */
const VALIDATIONS = 10;

/** What a short run of a stage has shown. */
export interface Pace {
  /** Tokens of training in a second. */
  tokensPerSecond: number;
  tokensPerStep: number;
  /** Seconds that one validation takes. */
  validation: number;
  /** Seconds that reading the data and starting the backend take. */
  start: number;
}

/**
 * Reads a recipe's stages.
 * @throws {SyntaxError} if it is not as {@linkcode Stage} says.
 */
export function parseRecipe(text: string, places: { out: string; data: string }): Stage[] {
  const { stages } = JSON.parse(text) as { stages?: Stage[] };
  if (!Array.isArray(stages) || stages.length === 0) {
    throw new SyntaxError("A recipe needs stages: a list of name, task, share and args.");
  }
  return stages.map(({ name, task, share, args }, i) => {
    const isRight = typeof name === "string" && (task === "pretrain" || task === "finetune") &&
      share > 0 && Array.isArray(args) && args.every((arg) => typeof arg === "string");
    if (!isRight) {
      throw new SyntaxError(
        `Stage ${i + 1} of the recipe needs name, task, share above 0 and args.`,
      );
    }
    const taken = args.find((arg) => arg === "--steps" || arg === "--epochs" || arg === "--out");
    if (taken) throw new SyntaxError(`Stage ${i + 1} gives ${taken}, which the recipe decides.`);
    const filled = args.map((arg) =>
      arg.replaceAll("{out}", places.out).replaceAll("{data}", places.data)
    );
    return { name, task, share, args: filled };
  });
}

/** Steps of a stage that has `seconds`; at least 1. */
export function stepsFor(
  seconds: number,
  { tokensPerSecond, tokensPerStep, validation, start }: Pace,
): number {
  const left = (seconds - start) * (1 - OVERHEAD) - VALIDATIONS * validation;
  return Math.max(1, Math.floor(left * tokensPerSecond / tokensPerStep));
}

/** Steps between checkpoints: a tenth of the run, or fewer where 200 take long enough. */
export function savesEvery(steps: number, { tokensPerSecond, tokensPerStep }: Pace): number {
  const slow = Math.ceil(SAVE_SECONDS * tokensPerSecond / tokensPerStep);
  return Math.min(Math.ceil(steps / 10), Math.max(200, slow));
}

async function run(task: Stage["task"], args: string[], quiet: boolean): Promise<void> {
  const [, ...command] = denoJson.tasks[task].command.split(" ");
  const { code } = await new Deno.Command(Deno.execPath(), {
    args: [...command, ...args],
    stdout: "inherit",
    stderr: quiet ? "null" : "inherit",
  }).spawn().status;
  if (code === 0) return;
  throw new Error(
    code === 130
      ? "Interrupted: give the same command to go on."
      : `deno task ${task} ${args.join(" ")} ended with code ${code}: run it by hand to see why.`,
  );
}

/** Pace of a stage, from a short run of it that leaves nothing behind. */
async function measure(stage: Stage, place: string[]): Promise<Pace> {
  const folder = await Deno.makeTempDir(), started = performance.now();
  try {
    const short = ["--steps", `${TRIAL_STEPS}`, "--save-every", "0", "--eval-every", "0"];
    const args = withoutOptions(stage.args, ["--eval-every", "--save-every", "--warmup"]);
    await run(stage.task, [...args, ...place, ...short, "--out", `${folder}/run`], true);
    const seconds = (performance.now() - started) / 1000;
    const lines = (await Deno.readTextFile(`${folder}/run/log.jsonl`)).split("\n");
    return paceOf(lines.filter(Boolean).map((line) => JSON.parse(line) as LogEntry), seconds);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Pace from the log of a run that took `seconds` in all and was validated once, at its end. */
export function paceOf(log: LogEntry[], seconds: number): Pace {
  const reports = log.filter((entry) => entry.kind === "train");
  const last = reports.at(-1)!;
  const rates = reports.slice(Math.floor(reports.length / 3))
    .map(({ tokensPerSecond }) => tokensPerSecond).sort((a, b) => a - b);
  const tokensPerSecond = rates[(rates.length - 1) >> 1]; // a GPU gives two: rather too few steps
  const validation = log.at(-1)!.seconds - last.seconds;
  return {
    tokensPerSecond,
    tokensPerStep: last.tokens / last.step,
    validation,
    start: Math.max(0, seconds - last.tokens / tokensPerSecond - validation),
  };
}

function withoutOptions(args: string[], names: string[]): string[] {
  return args.filter((arg, i) => !names.includes(arg) && !names.includes(args[i - 1]));
}

async function main(): Promise<void> {
  const flags = parseArgs(Deno.args, {
    string: ["minutes", "out", "data", "backend", "threads"],
    boolean: ["help"],
    unknown: (arg, key) => {
      if (key !== undefined) throw new UsageError(`There is no option ${arg}.\n${USAGE}`);
    },
  });
  if (flags.help) return console.log(USAGE);
  const [path] = flags._.map(String), { out, data = "." } = flags;
  const minutes = Number(flags.minutes);
  if (path === undefined || out === undefined || !(minutes > 0)) {
    throw new UsageError(`A recipe, --minutes above 0 and --out are needed.\n${USAGE}`);
  }
  const place = (["backend", "threads"] as const).flatMap((name) =>
    flags[name] === undefined ? [] : [`--${name}`, flags[name]]
  );
  const stages = parseRecipe(await Deno.readTextFile(path), { out, data });
  const end = performance.now() + minutes * 60_000;
  for (const [i, stage] of stages.entries()) {
    const folder = `${out}/${stage.name}`, done = `${folder}/finished`;
    if (await exists(done)) continue;
    if (await exists(`${folder}/checkpoint`)) {
      await run(stage.task, ["--resume", folder, ...place], false);
    } else {
      const pace = await measure(stage, place);
      const rest = stages.slice(i).reduce((sum, { share }) => sum + share, 0);
      const seconds = (end - performance.now()) / 1000 * stage.share / rest;
      const steps = stepsFor(seconds, pace);
      console.error(
        `${stage.name}: ${Math.round(pace.tokensPerSecond)} tokens/s, ${steps} steps in ` +
          `${Math.round(seconds)} s`,
      );
      const saves = stage.args.includes("--save-every")
        ? []
        : ["--save-every", `${savesEvery(steps, pace)}`];
      const args = [...stage.args, ...place, ...saves, "--steps", `${steps}`, "--out", folder];
      await run(stage.task, args, false);
    }
    await Deno.writeTextFile(done, "");
  }
  const last = `${out}/${stages.at(-1)!.name}/best`;
  console.error(`Finished. Make weights of it: deno task export ${last} ${out}/weights`);
}

if (import.meta.main) {
  try {
    await main();
  } catch (error) {
    console.error(`error: ${error instanceof Error ? error.message : error}`);
    Deno.exitCode = error instanceof UsageError ? 2 : 1;
  }
}
