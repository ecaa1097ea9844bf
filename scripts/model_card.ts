/**
 * Writes the model card of a weights folder: how the model was trained, by the runs' own logs, how
 * good it is on held-out files, and ten samples that nobody picked.
 *
 * Usage: deno run --allow-all scripts/model_card.ts --weights DIR --runs DIR,DIR
 *          --stories FILE --pairs FILE --scripts FILE [--notes FILE] [--before FILE]
 *
 * `--before` holds the card's sections on runs whose logs are no longer at hand.
 *
 * @module
 */

import { parseArgs } from "@std/cli";
import { bashChecker, scoreScripts, scoreStories, SCORING_RULE } from "../src/evaluate.ts";
import { COMMAND_RULE, COMMAND_STREAMS, scoreCommands } from "../src/evaluate_commands.ts";
import { Bashling } from "../src/generator/generator.ts";
import { type ModelConfig, PRESETS } from "../src/model/config.ts";
import { parameterLayout } from "../src/model/parameters.ts";
import { duration, type LogEntry, lossCurves } from "../src/trainer/report.ts";
import type { RunPlan } from "../src/trainer/run.ts";

/** The prompts of the samples; their seeds are 1 to 10. */
const PROMPTS = [
  "Create a backup script",
  "List the ten largest files in a directory",
  "Check disk usage and warn when it is above 90 percent",
  "Find all log files older than 7 days and delete them",
  "Restart nginx if it is not running",
  "Count the lines in every text file",
  "Deploy a docker container",
  "Dump a PostgreSQL database and compress it",
  "Check whether a host answers on a port",
  "Create a new user and add it to a group",
];

const flags = parseArgs(Deno.args, {
  string: ["weights", "runs", "stories", "pairs", "scripts", "notes", "before"],
});
const { weights, runs, stories, pairs, scripts } = flags;
if (!weights || !runs || !stories || !pairs || !scripts) {
  console.error(
    "Usage: model_card.ts --weights DIR --runs DIR,DIR --stories FILE --pairs FILE --scripts FILE [--notes FILE] [--before FILE]",
  );
  Deno.exit(2);
}

const baseName = (path: string): string => path.split("/").slice(-2).join("/");

/** The command line of a plan; data files by their last folder and name. */
function commandOf(plan: RunPlan): string {
  const paths = (flag: string, list: RunPlan["data"]) =>
    list.map(({ path, weight }) => ` ${flag} ${baseName(path)}${weight === 1 ? "" : `=${weight}`}`);
  const settings = Object.entries(plan.settings).filter(([, value]) => value !== undefined)
    .map(([name, value]) => ` --${name.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)} ${value}`);
  return [
    plan.stage === "language" ? "deno task pretrain" : "deno task finetune --no-own-scripts",
    plan.from === undefined ? presetFlag(plan.config) : ` --from ${baseName(plan.from)}`,
    ...paths("--data", plan.data),
    ...paths("--stories", plan.stories),
    plan.stories.length > 0 ? ` --stories-share ${plan.storiesShare}` : "",
    ...paths("--valid", plan.valid),
    ...settings,
  ].join("");
}

/** The flag of the preset that has this shape; none if it is nobody's. */
function presetFlag(config: ModelConfig): string {
  const same = (shape: ModelConfig) =>
    shape.layers === config.layers && shape.width === config.width && shape.heads === config.heads;
  const found = Object.entries(PRESETS).find(([, shape]) => same(shape));
  return found ? ` --preset ${found[0]}` : "";
}

/** A run's row of the recipe, and its curve as a file beside the card. */
async function describeRun(folder: string): Promise<string[]> {
  const plan = JSON.parse(await Deno.readTextFile(`${folder}/run.json`)) as RunPlan;
  const log = (await Deno.readTextFile(`${folder}/log.jsonl`)).trim().split("\n")
    .map((line) => JSON.parse(line) as LogEntry);
  const last = log.findLast((entry) => entry.kind === "train");
  if (!last || last.kind !== "train") throw new RangeError(`${folder} holds no finished step.`);
  const stage = plan.stage === "language" ? "1, language" : "2, code";
  const figure = `loss-${plan.stage}-${folder.split("/").at(-1)}.svg`;
  await Deno.writeTextFile(`${weights}/${figure}`, lossCurves(log, `Stage ${stage}`));
  const data = [...plan.data, ...plan.stories]
    .map(({ path, weight }) => `${baseName(path)}${weight === 1 ? "" : ` × ${weight}`}`);
  const scores = log.filter((entry) => entry.kind === "validation");
  const score = (entry: LogEntry | undefined) =>
    entry?.kind === "validation"
      ? Object.entries(entry.scores).map(([name, { loss, bitsPerByte }]) =>
        `${name}: ${loss.toFixed(3)} nats per token, ${bitsPerByte.toFixed(3)} bits per byte`
      ).join("; ")
      : "none";
  return [
    `### Stage ${stage}${plan.from === undefined ? "" : `, from ${baseName(plan.from)}`}`,
    "",
    `- Data: ${data.join(", ")}${
      plan.stories.length > 0 ? ` (stories: ${plan.storiesShare} of the tokens)` : ""
    }`,
    `- Steps ${last.step}, tokens seen ${last.tokens.toLocaleString("en")}, wall-clock ${
      duration(last.seconds)
    }`,
    `- Training loss at the end ${last.loss.toFixed(3)}; first validation ${
      score(scores[0])
    }; last validation ${score(scores.at(-1))}`,
    `- Command: \`${commandOf(plan)}\``,
    "",
    `![Loss of stage ${stage}](${figure})`,
    "",
  ];
}

using model = await Bashling.load({ weights, streams: COMMAND_STREAMS });
const { config } = model;
const check = await bashChecker();
const rows: string[] = [];
for (
  const [name, path, score] of [
    ["stories", stories, scoreStories],
    ["English–bash pairs", pairs, scoreScripts],
    ["bash scripts", scripts, scoreScripts],
  ] as const
) {
  const { documents, tokens, natsPerToken, bitsPerByte } = await score(model, path);
  rows.push(
    `| ${name} (${baseName(path)}) | ${documents} | ${tokens} | ${natsPerToken.toFixed(4)} | ${
      bitsPerByte.toFixed(4)
    } |`,
  );
}
const commands = await scoreCommands(model, pairs);
const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
const samples: string[] = [];
let valid = 0, validFree = 0;
for (const [i, prompt] of PROMPTS.entries()) {
  const script = await model.complete(prompt, { seed: i + 1 });
  const passes = await check?.(script);
  if (passes) valid++;
  const parses = passes === undefined ? "" : passes ? ", passes `bash -n`" : ", fails `bash -n`";
  const free = await model.complete(prompt, { seed: i + 1, syntax: "off", verdict: false });
  if (await check?.(free)) validFree++;
  samples.push(`Seed ${i + 1}${parses}:`, "", "````bash", script.trimEnd(), "````", "");
}
const described = (await Promise.all(runs.split(",").map(describeRun))).flat();
const before = flags.before ? [(await Deno.readTextFile(flags.before)).trim(), ""] : [];
const notes = flags.notes ? [(await Deno.readTextFile(flags.notes)).trim(), ""] : [];

const card = [
  "---",
  "license: mit",
  "language: [en]",
  "library_name: transformers",
  "pipeline_tag: text-generation",
  "tags: [bash, shell, gpt2, code]",
  "---",
  "",
  "# Bashling",
  "",
  `A GPT-2 model of ${
    (parameterLayout(config).count / 1e6).toFixed(1)
  } million parameters (${config.layers} layers, ${config.width} wide, ${config.heads} heads, ` +
  `vocabulary ${config.vocabSize}, context ${config.contextLength}) that continues ` +
  "`#!/bin/bash`, a comment in English and a line break with a script. It was trained from random " +
  "values by this project's own trainer.",
  "",
  "Its scripts are guesses of a very small model: read them before you run them.",
  "",
  ...notes,
  "`model.safetensors` holds the parameters as `transformers` reads them. `model.q8.safetensors` holds " +
  "the same in 8 bits: linear weights as (out, in) and the token embedding, element (j, l) being " +
  "`scales[j]` · q, with q at [j / 16][l / 4][j % 16][l % 4]; `sums[j]` is the sum of row j. " +
  "This module generates from it on CPUs; the figures and samples below are its.",
  "",
  "## Training",
  "",
  ...before,
  ...described,
  "## Held-out files",
  "",
  "| file | documents | tokens scored | nats per token | bits per byte |",
  "| --- | --- | --- | --- | --- |",
  ...rows,
  "",
  `${SCORING_RULE} Measured by \`deno task evaluate\`.`,
  "",
  "## Commands",
  "",
  `Five guesses for each sentence of ${
    baseName(pairs)
  }, none of whose templates stood in training. ` +
  `The first has the right template in ${percent(commands.template)}, one of the five in ${
    percent(commands.templateOfFive)
  }; the first utility is right in ${percent(commands.firstUtility)}; NLC2CMD score of five ${
    commands.nlc2cmd.toFixed(3)
  }. ${COMMAND_RULE} Measured by \`deno task evaluate --commands\`; \`scripts/retrieval.ts\` measures ` +
  "what the most similar training sentences give.",
  "",
  "## Ten samples, unpicked",
  "",
  `Default settings (200 tokens, temperature 0.8, top-k 50, top-p 0.9), seeds 1 to 10${
    check ? `; ${valid} of 10 pass \`bash -n\`, and ${validFree} of 10 with \`--syntax off\`` : ""
  }. \`deno task generate --seed N "…"\` gives them again.`,
  "",
  ...samples,
];
await Deno.writeTextFile(`${weights}/README.md`, card.join("\n").trimEnd() + "\n");
console.error(`Wrote ${weights}/README.md.`);
