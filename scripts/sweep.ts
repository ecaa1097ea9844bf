/**
 * Short training runs over a grid of options, to choose a recipe by what it measures:
 *
 *     deno run --allow-all scripts/sweep.ts --out sweeps/lr --lr 3e-4,6e-4,1e-3 --batch-size 8,16 \
 *       -- pretrain --preset tiny --data stories.txt.gz --valid valid.txt.gz --steps 300
 *
 * Lists make the grid; what follows `--` is the command that all runs share. Each run has a folder
 * of its own below `--out`; runs that have ended are not run again, and one that was cut off goes
 * on, so the command may be given as often as it takes. A table with the best first comes at the end.
 *
 * @module
 */

import denoJson from "../deno.json" with { type: "json" };
import { UsageError } from "../src/cli/usage.ts";
import type { LogEntry } from "../src/trainer/report.ts";
import { exists } from "../src/trainer/run.ts";

/** One point of the grid: options by name. */
export type Point = Record<string, string>;

/** What a run of the grid has come to. */
export interface Outcome {
  point: Point;
  /** Bits per byte of each held-out corpus at the last validation. */
  scores: Record<string, number>;
  tokensPerSecond: number;
  /** Why there is no score. */
  failure?: string;
}

/** What {@linkcode parseSweep} finds in the arguments. */
export interface Sweep {
  out: string;
  points: Point[];
  task: "pretrain" | "finetune";
  shared: string[];
}

const USAGE =
  `Usage: deno run --allow-all scripts/sweep.ts --out DIR --OPTION V1,V2,… … -- TASK ARGS…

TASK is pretrain or finetune, OPTION any of its options; every combination of values is run.`;

/**
 * Reads the arguments.
 * @throws {UsageError} if they name no grid, no folder or no task.
 */
export function parseSweep(args: string[]): Sweep {
  const border = args.indexOf("--");
  if (border < 0) throw new UsageError("A sweep needs -- and then a task with its options.");
  const [own, [task, ...shared]] = [args.slice(0, border), args.slice(border + 1)];
  if (task !== "pretrain" && task !== "finetune") {
    throw new UsageError(`A sweep runs pretrain or finetune, not ${task ?? "nothing"}.`);
  }
  let out: string | undefined, points: Point[] = [{}];
  for (let i = 0; i < own.length; i += 2) {
    const name = /^--([a-z0-9-]+)$/.exec(own[i])?.[1], list = own[i + 1];
    if (name === undefined || list === undefined) {
      throw new UsageError(`${own[i]} needs a name that begins with -- and a list of values.`);
    }
    if (name === "out") out = list;
    else if (shared.includes(`--${name}`)) {
      throw new UsageError(`--${name} stands on both sides of --: leave one out.`);
    } else {
      points = points.flatMap((point) =>
        list.split(",").map((value) => ({ ...point, [name]: value }))
      );
    }
  }
  if (out === undefined) throw new UsageError("A sweep needs --out, a folder for its runs.");
  if (shared.includes("--out") || shared.includes("--resume")) {
    throw new UsageError("A sweep names the folders of its runs itself: leave --out out.");
  }
  if (points.length === 1) throw new UsageError("A sweep needs an option with two values or more.");
  return { out, points, task, shared };
}

/** A point as a folder's name: `lr=3e-4,batch-size=8`. */
export function nameOf(point: Point): string {
  return Object.entries(point).map(([name, value]) => `${name}=${value}`).join(",")
    .replaceAll("/", "_");
}

async function readLog(folder: string): Promise<LogEntry[]> {
  const text = await Deno.readTextFile(`${folder}/log.jsonl`).catch(() => "");
  return text.split("\n").filter(Boolean).map((line) => JSON.parse(line) as LogEntry);
}

/** Runs one point to its end, or reads what it came to when it was run before. */
async function runPoint({ out, task, shared }: Sweep, point: Point): Promise<Outcome> {
  const folder = `${out}/${nameOf(point)}`, done = `${folder}/sweep.json`;
  if (await exists(done)) return JSON.parse(await Deno.readTextFile(done)) as Outcome;
  const own = Object.entries(point).flatMap(([name, value]) => [`--${name}`, value]);
  const args = await exists(`${folder}/checkpoint`)
    ? ["--resume", folder, ...backendOf(shared)]
    : [...shared, ...own, "--out", folder];
  const [, ...command] = denoJson.tasks[task].command.split(" ");
  const { code, success } = await new Deno.Command(Deno.execPath(), {
    args: [...command, ...args],
    cwd: Deno.cwd(),
  }).output();
  if (code === 130) throw new Error("Interrupted: give the same command to go on.");
  const log = await readLog(folder);
  const last = log.findLast((entry) => entry.kind === "validation");
  const rates = log.flatMap((entry) => entry.kind === "train" ? [entry.tokensPerSecond] : []);
  const outcome: Outcome = {
    point,
    scores: Object.fromEntries(
      Object.entries(last?.scores ?? {}).map(([name, { bitsPerByte }]) => [name, bitsPerByte]),
    ),
    tokensPerSecond: rates.toSorted((a, b) => a - b)[rates.length >> 1] ?? 0,
    ...(success && last ? {} : { failure: `ended with code ${code}` }),
  };
  if (outcome.failure === undefined) await Deno.writeTextFile(done, JSON.stringify(outcome));
  return outcome;
}

/** What may be given beside `--resume`. */
function backendOf(shared: string[]): string[] {
  return shared.flatMap((arg, i) =>
    arg === "--backend" || arg === "--threads" ? [arg, shared[i + 1]] : []
  );
}

/** A Markdown table of outcomes, the least mean bits per byte first. */
export function sweepTable(outcomes: readonly Outcome[]): string {
  const mean = ({ scores }: Outcome) => {
    const values = Object.values(scores);
    return values.length === 0 ? Infinity : values.reduce((a, b) => a + b) / values.length;
  };
  const sorted = outcomes.toSorted((a, b) => mean(a) - mean(b));
  const options = Object.keys(outcomes[0].point);
  const corpora = [...new Set(outcomes.flatMap(({ scores }) => Object.keys(scores)))];
  const rows = [
    [...options, ...corpora, "tokens/s"],
    [...options, ...corpora, ""].map(() => "---"),
    ...sorted.map(({ point, scores, tokensPerSecond, failure }) => [
      ...options.map((name) => point[name]),
      ...corpora.map((name) => scores[name]?.toFixed(4) ?? failure ?? "–"),
      tokensPerSecond.toFixed(0),
    ]),
  ];
  return rows.map((row) => `| ${row.join(" | ")} |`).join("\n");
}

if (import.meta.main) {
  try {
    if (Deno.args.includes("--help")) console.log(USAGE);
    else {
      const sweep = parseSweep(Deno.args), outcomes: Outcome[] = [];
      for (const [i, point] of sweep.points.entries()) {
        console.error(`${i + 1}/${sweep.points.length} ${nameOf(point)}`);
        outcomes.push(await runPoint(sweep, point));
      }
      console.log(sweepTable(outcomes));
      if (outcomes.some(({ failure }) => failure)) Deno.exitCode = 1;
    }
  } catch (error) {
    console.error(`error: ${error instanceof Error ? error.message : error}`);
    Deno.exitCode = error instanceof UsageError ? 2 : 1;
  }
}
