/**
 * `bashling eval`, also behind `deno task evaluate`.
 *
 * @module
 */

import {
  type EvaluationOptions,
  type FileScore,
  type PromptsEvaluation,
  type PromptsScore,
  scorePrompts,
  scoreScripts,
  scoreStories,
  SCORING_RULE,
} from "../evaluate.ts";
import {
  COMMAND_RULE,
  COMMAND_STREAMS,
  type CommandsScore,
  scoreCommands,
} from "../evaluate_commands.ts";
import { Bashling } from "../generator/generator.ts";
import { checkOptions, type GenerateOptions } from "../generator/options.ts";
import { engineFlags } from "./engine_flags.ts";
import { COMMON_FLAGS, Flags, usage } from "./flags.ts";
import { grouped, table, writeNote, writeOut } from "./output.ts";
import { UsageError } from "./usage.ts";

/** Text of `bashling eval --help`. */
export const EVAL_HELP = `Measure a model on files that it has never seen.

Usage: bashling eval [options] --stories FILE | --pairs FILE | --scripts PATH | --commands FILE
                      | --prompts FILE ...

What to measure
  --stories FILE             bits per byte of stories: .txt[.gz], <|endoftext|> between them
  --pairs FILE               bits per byte of English-command pairs, .jsonl[.gz], in the prompt form
  --scripts PATH             bits per byte of bash in the prompt form: a folder of *.sh, or a
                             .jsonl[.gz] file
  --commands FILE            English-command pairs: guess each command, five times, and compare
  --prompts FILE             generate a script for each line; how many end, and pass bash -n
  --shellcheck               ask shellcheck too, for errors, about the generated scripts
  --limit N                  only the first N documents, pairs and prompts (all)
How
  --max-tokens N             of each generated script (200)
  --temperature X            of generated scripts; repeatable, each prompt at each (0.8)
  --repeat N                 scripts for each prompt and temperature (1)
  --syntax MODE              of generated scripts: enforce, check, off (enforce)
  --seed N                   of the first generated script; each next has one more (0)
  --weights DIR              folder or URL of the weights (the shipped ones)
  --backend NAME             auto, wasm, webgpu, reference, tfjs (auto)
  --precision BITS           of the weights: auto, int8, f32 (auto)
  --threads N                of the wasm backend (all cores)
  --json                     one line of JSON
${COMMON_FLAGS}

${SCORING_RULE.replace(/(.{60,95}) /g, "$1\n")}`;

/** What was measured, by kind. */
interface Evaluation {
  stories?: FileScore;
  pairs?: FileScore;
  scripts?: FileScore;
  commands?: CommandsScore;
  prompts?: PromptsEvaluation;
}

/** Runs `bashling eval`. */
export async function evaluateFiles(args: string[]): Promise<number> {
  const flags = new Flags("eval", EVAL_HELP, args);
  if (flags.positional.length > 0) {
    throw new UsageError(
      `eval knows no ${
        flags.positional[0]
      }: name files with --stories, --pairs, --scripts, --commands or --prompts.`,
    );
  }
  const [stories, pairs, scripts, commands, prompts] = [
    "stories",
    "pairs",
    "scripts",
    "commands",
    "prompts",
  ].map((name) => flags.text(name));
  if (!stories && !pairs && !scripts && !commands && !prompts) {
    throw new UsageError(
      "Nothing to measure was given: give --stories, --pairs, --scripts, --commands or --prompts.",
    );
  }
  const limit = flags.whole("limit");
  if (limit === 0) throw new UsageError("--limit is 0, expected a whole number from 1 up.");
  const generate: GenerateOptions = {
    maxTokens: flags.whole("max-tokens"),
    syntax: flags.text("syntax") as GenerateOptions["syntax"],
    seed: flags.whole("seed") ?? 0,
  };
  const temperatures = flags.numbers("temperature");
  const repeat = flags.whole("repeat");
  if (repeat === 0) throw new UsageError("--repeat is 0, expected a whole number from 1 up.");
  usage(() => temperatures.forEach((temperature) => checkOptions({ ...generate, temperature })));
  usage(() => checkOptions(generate));
  if (!prompts) {
    const names = ["max-tokens", "temperature", "repeat", "syntax", "seed", "shellcheck"];
    for (const name of names) {
      if (flags.has(name) || flags.text(name) !== undefined) {
        throw new UsageError(`--${name} is for generated scripts: give --prompts with it.`);
      }
    }
  }
  const engine = engineFlags(flags);
  const abort = new AbortController();
  const interrupt = () => abort.abort();
  Deno.addSignalListener("SIGINT", interrupt);
  try {
    using model = await Bashling.load({
      weights: flags.text("weights"),
      ...engine,
      streams: commands ? COMMAND_STREAMS : 1,
    });
    const options = (what: string): EvaluationOptions => ({
      limit,
      signal: abort.signal,
      onProgress: progress(what),
    });
    const result: Evaluation = {};
    if (stories) result.stories = await scoreStories(model, stories, options("stories"));
    if (pairs) result.pairs = await scoreScripts(model, pairs, options("pairs"));
    if (scripts) result.scripts = await scoreScripts(model, scripts, options("scripts"));
    if (commands) result.commands = await scoreCommands(model, commands, options("commands"));
    if (prompts) {
      result.prompts = await scorePrompts(model, prompts, {
        ...options("prompts"),
        generate,
        temperatures: temperatures.length > 0 ? temperatures : undefined,
        repeat,
        shellcheck: flags.has("shellcheck"),
      });
    }
    if (flags.has("json")) {
      const { backend, config } = model;
      writeOut(
        JSON.stringify({ ...result, rule: SCORING_RULE, config, backend: backend.name }) + "\n",
      );
    } else show(result);
    return 0;
  } catch (error) {
    if (abort.signal.aborted && error === abort.signal.reason) return 130;
    throw error;
  } finally {
    Deno.removeSignalListener("SIGINT", interrupt);
  }
}

/** Shows progress on stderr, one line that is rewritten on a terminal. */
function progress(what: string): EvaluationOptions["onProgress"] {
  if (!Deno.stderr.isTerminal()) return undefined;
  return ({ done, total }) =>
    writeNote(`\r\x1b[2K${done < total ? `${what} ${grouped(done)} of ${grouped(total)}` : ""}`);
}

function show({ commands, prompts, ...files }: Evaluation): void {
  const scored = Object.entries(files).filter(([, score]) => score !== undefined);
  if (scored.length > 0) {
    writeOut(table([
      ["", "bits per byte", "nats per token", "documents", "tokens", "bytes"],
      ...scored.map(([name, score]) => [
        name,
        score!.bitsPerByte.toFixed(4),
        score!.natsPerToken.toFixed(4),
        grouped(score!.documents),
        grouped(score!.tokens),
        grouped(score!.bytes),
      ]),
    ]));
    writeOut(`\n${SCORING_RULE}\n`);
  }
  if (commands) {
    const share = (value: number) => `${(100 * value).toFixed(1)} %`;
    writeOut(
      (scored.length > 0 ? "\n" : "") + table([
        ["", "pairs", "template", "template of five", "NLC2CMD of five", "first utility"],
        [
          "commands",
          grouped(commands.pairs),
          share(commands.template),
          share(commands.templateOfFive),
          commands.nlc2cmd.toFixed(3),
          share(commands.firstUtility),
        ],
      ]) + `\n${COMMAND_RULE}\n`,
    );
  }
  if (prompts) {
    const all = { name: "all", ...prompts };
    const rows = prompts.byTemperature?.map((score) => ({
      name: `temperature ${score.temperature}`,
      ...score,
    }));
    const of = (count: number | undefined, { scripts }: PromptsScore, otherwise = "") =>
      count === undefined
        ? otherwise
        : `${grouped(count)} (${(100 * count / scripts).toFixed(1)} %)`;
    writeOut(
      (scored.length > 0 || commands ? "\n" : "") + table([
        ["", "scripts", "ended by the model", "pass bash -n", "no shellcheck error", "mean tokens"],
        ...[...rows ?? [], all].map((score) => [
          score.name,
          grouped(score.scripts),
          of(score.finished, score),
          of(score.valid, score, "bash cannot be run"),
          of(score.shellcheck, score, "not asked"),
          score.meanTokens.toFixed(1),
        ]),
      ]),
    );
  }
}
