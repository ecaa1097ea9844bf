/**
 * `deno task bench gpu`: all that is to be known of a GPU, by one command. Each part is a process of
 * its own with its own time, so that a part that fails or hangs loses nothing of the others.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import { figures, goals, type PartReport } from "./figures.ts";
import { adapterKind, reason, type Result } from "./measure.ts";
import type { Options } from "./options.ts";

/** One part of the run. */
interface Part {
  name: string;
  /** Seconds after which it is stopped. */
  seconds: number;
  /** What it runs: tests, or arguments of this program. */
  work: { tests: readonly string[] } | { args: readonly string[] };
}

/** Tests that compare kernels and gradients of a GPU with the reference and with TensorFlow.js. */
export const GPU_TESTS: readonly string[] = [
  "ops_webgpu_test",
  "webgpu_backend_test",
  "autotune_test",
  "decode_test",
  "f16_test",
  "foretell_test",
  "look_ahead_test",
  "tfjs_test",
];

/** The parts in their order. With `--smoke` sizes are tiny and few tests run. */
function partsOf(folder: string, smoke: boolean): Part[] {
  const model = smoke
    ? ["--preset", "nano", "--batch-size", "2", "--length", "64"]
    : ["--preset", "small", "--batch-size", "16", "--length", "512"];
  const rounds = smoke ? ["--rounds", "1", "--steps", "1"] : ["--rounds", "3", "--steps", "5"];
  const race = (bench: string, peers: string, ...more: string[]) => {
    return { args: [bench, "--backend", "webgpu", "--vs", peers, ...model, ...rounds, ...more] };
  };
  const streams = smoke ? ["--streams", "1,4", "--tokens", "4"] : ["--streams", "1,64"];
  const grid = smoke ? ["--preset", "nano", "--batch-size", "1", "--length", "64"] : [];
  const cost = ["cost", "--backend", "webgpu", ...grid, "--svg", `${folder}/cost.svg`];
  return [
    {
      name: "tests",
      seconds: 140, // most of it compiles kernels
      work: { tests: smoke ? GPU_TESTS.slice(1, 2) : GPU_TESTS },
    },
    { name: "roofline", seconds: 30, work: { args: ["roofline"] } },
    { name: "train-tfjs", seconds: 90, work: race("train", "tfjs") },
    { name: "train-jax-js", seconds: 60, work: race("train", "jax-js") },
    { name: "train-pytorch", seconds: 60, work: race("train", "pytorch") },
    { name: "decode", seconds: 50, work: race("decode", "pytorch", ...streams) },
    { name: "matmul", seconds: 40, work: race("matmul", "tfjs,jax-js,pytorch") },
    { name: "profile", seconds: 40, work: race("profile", "none") },
    // The compiler may take a minute and longer, so it is among the last.
    { name: "train-pytorch-compiled", seconds: 120, work: race("train", "pytorch-compiled") },
    { name: "cost", seconds: 80, work: { args: [...cost, "--limit", "50"] } },
  ];
}

/** What a process said. */
interface Output {
  /** How it ended; undefined if it was stopped. */
  code?: number;
  stdout: string;
  stderr: string;
}

/** Runs Deno for `seconds` at most. */
async function runDeno(args: readonly string[], seconds: number): Promise<Output> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [...args],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    env: { NO_COLOR: "1" },
  }).spawn();
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    child.kill("SIGKILL");
  }, 1000 * seconds);
  const { code, stdout, stderr } = await child.output();
  clearTimeout(timer);
  const decoder = new TextDecoder();
  return {
    code: isLate ? undefined : code,
    stdout: decoder.decode(stdout),
    stderr: decoder.decode(stderr),
  };
}

/** The rows of the last whole JSON line: a process that is stopped may leave a part of one behind. */
export function lastRows(stdout: string): Result[] {
  for (const line of stdout.trim().split("\n").reverse()) {
    if (!line.startsWith("{")) continue;
    try {
      return (JSON.parse(line) as { results: Result[] }).results;
    } catch {
      // not whole
    }
  }
  return [];
}

/** Where this program is: main.ts, or the bundle made of it. */
const PROGRAM = Deno.mainModule;
const isBundle = PROGRAM.endsWith(".js");

/** Permissions, and in a bundle nothing but what lies there: it must do without a network. */
const FLAGS = isBundle
  ? ["--no-config", "--no-lock", "--allow-all", "--cached-only"]
  : ["--no-lock", "--allow-all"];

const stopped = (seconds: number): string => `stopped after ${Math.round(seconds)} s`;

/** Characters of what a failing process said that are kept: its end. */
const KEPT = 8000;

const lastWords = (...texts: string[]): string => texts.join("\n").trim().slice(-KEPT);

/** Runs one test file; its row has the number of tests that passed. */
async function runTest(
  test: string,
  smoke: boolean,
  seconds: number,
): Promise<{ row: Result; log?: string }> {
  const url = new URL(isBundle ? `./${test}.js` : `../../tests/device/${test}.ts`, PROGRAM);
  const filter = smoke ? ["--filter", "profile() gives"] : [];
  const row = { bench: "tests", contender: test, input: "", unit: "passed" };
  try {
    const args = ["test", "--quiet", "--no-check", ...FLAGS, ...filter, fileURLToPath(url)];
    const { code, stdout, stderr } = await runDeno(args, seconds);
    const log = code === 0 ? undefined : lastWords(stderr, stdout);
    if (code === undefined) return { row: { ...row, note: `failed: ${stopped(seconds)}` }, log };
    const [, passed, failed] = /(\d+) passed.*?(\d+) failed/.exec(stdout) ?? [];
    if (passed === undefined) {
      const why = /error: (.*)/.exec(stderr)?.[1] ?? "it said nothing";
      return { row: { ...row, note: `not run: ${why}` }, log };
    }
    const note = failed === "0" ? "" : `failed: ${failed} of its tests`;
    return { row: { ...row, value: Number(passed), note }, log };
  } catch (error) {
    return { row: { ...row, note: `failed: ${reason(error)}` } };
  }
}

/** Runs one part. */
async function runPart({ name, work }: Part, smoke: boolean, seconds: number): Promise<PartReport> {
  const start = performance.now();
  const since = () => (performance.now() - start) / 1000;
  const results: Result[] = [];
  if ("tests" in work) {
    const logs: string[] = [];
    for (const test of work.tests) {
      const { row, log } = await runTest(test, smoke, Math.max(1, seconds - since()));
      results.push(row);
      if (log) logs.push(`${test}\n${log}`);
    }
    return {
      name,
      command: `deno test tests/device/{${work.tests.join(",")}}`,
      seconds: since(),
      results,
      log: logs.join("\n\n") || undefined,
    };
  }
  const command = `deno task bench ${work.args.join(" ")}`;
  try {
    const args = ["run", "--quiet", ...FLAGS, PROGRAM, ...work.args, "--json"];
    const { code, stdout, stderr } = await runDeno(args, seconds);
    results.push(...lastRows(stdout));
    const failure = code === undefined
      ? stopped(seconds)
      : code === 0
      ? undefined
      : stderr.trim().split("\n").at(-1) || `exit code ${code}`;
    const log = code === 0 ? undefined : lastWords(stderr);
    return { name, command, seconds: since(), results, failure, log };
  } catch (error) {
    return { name, command, seconds: since(), results, failure: reason(error) };
  }
}

/** The adapter and its driver in words. */
async function describeMachine(): Promise<string> {
  const adapter = await navigator.gpu?.requestAdapter({ powerPreference: "high-performance" });
  const { description = "", vendor = "", architecture = "" } = adapter?.info ?? {};
  let driver = "";
  try {
    const { stdout } = await new Deno.Command("nvidia-smi", {
      args: ["--query-gpu=name,driver_version", "--format=csv,noheader"],
      stderr: "null",
    }).output();
    driver = new TextDecoder().decode(stdout).trim().replaceAll("\n", "; ");
  } catch {
    // no such tool: the adapter's own words must do
  }
  const name = description || `${vendor} ${architecture}`.trim();
  return [name, driver && `NVIDIA driver: ${driver}`, `Deno ${Deno.version.deno}`]
    .concat([Deno.build.target, `${navigator.hardwareConcurrency} cores`])
    .filter(Boolean).join(", ");
}

/** Reads the reports that a folder has, in the order of the parts. */
async function readReports(folder: string, names: readonly string[]): Promise<PartReport[]> {
  const reports: PartReport[] = [];
  for (const name of names) {
    try {
      reports.push(JSON.parse(await Deno.readTextFile(`${folder}/${name}.json`)));
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return reports;
}

/** Seconds for all parts together, unless the user gives others. */
const LIMIT = 570;

/**
 * Runs the parts and writes a report of each, and figures.md of all, as soon as each has ended.
 * Reports of parts that were not asked for stay as they are and count.
 * @returns A row for each goal.
 * @throws {RangeError} if there is no part of a name asked for.
 * @throws {Error} if there is no GPU, and no smoke test is asked for; or if a part failed.
 */
export async function benchGpu(options: Options): Promise<Result[]> {
  const { output: folder, only, smoke, limit = LIMIT, python } = options;
  const adapter = await adapterKind();
  if (adapter === "none") throw new Error("there is no WebGPU adapter: install a GPU driver");
  if (adapter === "software" && !smoke) {
    throw new Error("there is no GPU: --smoke tries all parts on the software adapter");
  }
  const parts = partsOf(folder, smoke), names = parts.map(({ name }) => name);
  const wrong = only?.find((name) => !names.includes(name));
  if (wrong !== undefined) {
    throw new RangeError(`There is no part "${wrong}". Choose from ${names.join(", ")}.`);
  }
  await Deno.mkdir(folder, { recursive: true });
  const machine = await describeMachine();
  const start = performance.now();
  const failed: string[] = [];
  for (const part of parts.filter(({ name }) => only?.includes(name) ?? true)) {
    const left = limit - (performance.now() - start) / 1000;
    const seconds = Math.min(part.seconds, left);
    if (python !== undefined && "args" in part.work) {
      part.work = { args: [...part.work.args, "--python", python] };
    }
    console.error(`${part.name}, up to ${Math.max(0, Math.round(seconds))} s …`);
    const report: PartReport = seconds > 1
      ? await runPart(part, smoke, seconds)
      : { name: part.name, command: "", seconds: 0, results: [], failure: "no time was left" };
    if (report.failure !== undefined) console.error(`${part.name}: ${report.failure}`);
    const hasFailed = ({ note }: Result) => note.startsWith("failed");
    if (report.failure !== undefined || report.results.some(hasFailed)) failed.push(part.name);
    const text = JSON.stringify({ ...report, machine }, null, 1);
    await Deno.writeTextFile(`${folder}/${part.name}.json`, `${text}\n`);
    const all = await readReports(folder, names);
    await Deno.writeTextFile(`${folder}/figures.md`, figures(machine, all));
  }
  const reached = goals(await readReports(folder, names));
  if (failed.length > 0) {
    for (const { contender, note } of reached) console.error(`${contender}: ${note}`);
    throw new Error(`${failed.join(", ")} failed: see ${folder}/figures.md`);
  }
  return reached;
}
