/**
 * Cold start: from the start of a process to the first text that `bashling generate` has drawn,
 * beside what Deno itself takes, and llama.cpp with the same weights.
 *
 * @module
 */

import { scriptBeginning } from "../../src/generator/prompt.ts";
import { SHIPPED_WEIGHTS } from "../../src/model/shipped.ts";
import { loadWeights } from "../../src/model/weights.ts";
import { Tokenizer } from "../../src/tokenizer/tokenizer.ts";
import { median, reason, type Result } from "./measure.ts";
import { withGguf } from "./peers/llama_decode.ts";

/** Options of {@linkcode benchCold}. */
export interface ColdBenchOptions {
  /** Timed starts of each contender. */
  rounds: number;
  /** Start llama.cpp too. */
  llama: boolean;
  /** Folder of the weights; the shipped ones if absent. */
  weights?: string;
  /** Threads; all cores if absent. */
  threads?: number;
}

const PROMPT = "Create a backup script";

/** Milliseconds after the start of a process. */
interface Times {
  /** First byte on stdout. */
  first: number;
  /** First byte after those that were expected. */
  fresh: number;
  exit: number;
}

interface Start {
  args: string[];
  /** Bytes on stdout that are known beforehand. */
  known?: number;
  env?: Record<string, string>;
}

/** Starts Deno, and watches its stdout to the end. */
async function watch({ args, known = 0, env }: Start): Promise<Times> {
  const command = new Deno.Command(Deno.execPath(), {
    args,
    env,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
  const start = performance.now(), now = () => performance.now() - start;
  await using child = command.spawn();
  const complaints = new Response(child.stderr).text();
  const times: Times = { first: NaN, fresh: NaN, exit: NaN };
  let bytes = 0;
  for await (const chunk of child.stdout) {
    if (bytes === 0) times.first = now();
    bytes += chunk.length;
    if (bytes > known && Number.isNaN(times.fresh)) times.fresh = now();
  }
  const { success } = await child.status;
  times.exit = now();
  if (!success) throw new Error((await complaints).trim());
  await complaints;
  return times;
}

/** Watches a start again and again, after one that fills caches. */
async function watchAll(start: Start, rounds: number): Promise<Times> {
  await watch(start);
  const all: Times[] = [];
  for (let round = 0; round < rounds; round++) all.push(await watch(start));
  const middle = (key: keyof Times): number => median(all.map((times) => times[key]));
  return { first: middle("first"), fresh: middle("fresh"), exit: middle("exit") };
}

/** Deno's folder of caches. */
async function denoDir(): Promise<string> {
  const { stdout } = await new Deno.Command(Deno.execPath(), { args: ["info", "--json"] }).output();
  return (JSON.parse(new TextDecoder().decode(stdout)) as { denoDir: string }).denoDir;
}

/** Starts with empty caches but for npm packages, which would have to be downloaded. */
async function watchFirst(start: Start): Promise<Times> {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.symlink(`${await denoDir()}/npm`, `${folder}/npm`);
    return await watch({ ...start, env: { DENO_DIR: folder } });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Starts llama.cpp from Deno; returns the times to its first token. */
async function watchLlama(source: string | URL, rounds: number): Promise<Times> {
  const weights = await loadWeights(source);
  const ids = Tokenizer.fromJSON(weights.tokenizerJson).encode(scriptBeginning(PROMPT).trimEnd());
  const script = new URL("./cold_probe.ts", import.meta.url);
  const { contextLength } = weights.config;
  return await withGguf(
    weights,
    "Q8_0",
    (path) =>
      watchAll({
        args: [
          "run",
          "--no-lock",
          "--quiet",
          "--allow-all",
          script.href,
          path,
          `${contextLength}`,
          ids.join(),
        ],
      }, rounds),
  );
}

/** Measures starts one after another; a first run fills Deno's caches and is told separately. */
export async function benchCold(options: ColdBenchOptions): Promise<Result[]> {
  const { rounds, weights, threads } = options;
  const main = new URL("../../src/cli/main.ts", import.meta.url);
  const generate: Start = {
    args: [
      "run",
      "--quiet",
      "--allow-read",
      "--no-prompt",
      main.href,
      "generate",
      PROMPT,
      "--seed",
      "1",
      ...(weights === undefined ? [] : ["--weights", weights]),
      ...(threads === undefined ? [] : ["--threads", `${threads}`]),
    ],
    known: new TextEncoder().encode(scriptBeginning(PROMPT)).length,
  };
  const results: Result[] = [];
  const tell = async (
    contender: string,
    start: Promise<Times>,
    rows: Partial<Record<keyof Times, string>>,
    note: string,
  ): Promise<void> => {
    const row = { bench: "cold", contender, unit: "ms" };
    try {
      const times = await start;
      for (const [key, input] of Object.entries(rows) as [keyof Times, string][]) {
        results.push({ ...row, input, value: times[key], note });
      }
    } catch (error) {
      results.push({ ...row, input: "start", note: `not run: ${reason(error)}` });
    }
  };
  const empty = await Deno.makeTempFile({ suffix: ".js" });
  try {
    const start: Start = { args: ["run", "--quiet", "--no-config", empty] };
    await tell("deno", watchAll(start, rounds), { exit: "an empty file, to its end" }, "");
  } finally {
    await Deno.remove(empty);
  }
  await tell("bashling", watchFirst(generate), {
    fresh: "first start, to drawn text",
  }, "Deno's caches empty but for npm packages");
  await tell("bashling", watchAll(generate, rounds), {
    first: "to the first byte",
    fresh: "to drawn text",
    exit: "to its end",
  }, "deno run src/cli/main.ts generate");
  if (options.llama) {
    await tell(
      "llama.cpp",
      watchLlama(weights ?? SHIPPED_WEIGHTS, rounds),
      { fresh: "to drawn text" },
      "Q8_0, from Deno, prompt given as ids",
    );
  }
  return results;
}
