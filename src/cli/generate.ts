/**
 * `bashling generate`.
 *
 * @module
 */

import type { Explanation, GenerationResult, Piece } from "../generator/generation.ts";
import { Bashling } from "../generator/generator.ts";
import { checkCompleteOptions, checkOptions, type CompleteOptions } from "../generator/options.ts";
import type { Verdict } from "../safety/verdict.ts";
import { engineFlags } from "./engine_flags.ts";
import { COMMON_FLAGS, Flags, usage } from "./flags.ts";
import { readStdin, writeError, writeNote, writeOut } from "./output.ts";
import { UsageError } from "./usage.ts";

/** Text of `bashling generate --help`. */
export const GENERATE_HELP =
  `Write a script from an English sentence. The script alone goes to stdout.

Usage: bashling generate [options] PROMPT...
       bashling generate [options] -          the prompt comes from stdin
       bashling generate [options] --interactive

A prompt that starts with # is the beginning of a script, which is continued. What the script may do
is told on stderr: safe, caution or destructive, with lines and reasons. Nothing is ever run.

Sampling
  --max-tokens N             most tokens to generate (200)
  --temperature X            0 the likeliest, 0.2 focused, 1.5 wild (0.8)
  --top-k K                  draw from the K likeliest tokens, 0 for all (50)
  --top-p P                  draw from the likeliest tokens that reach this probability (0.9)
  --min-p P                  draw from tokens this many times as likely as the likeliest (0)
  --repetition-penalty X     above 1 makes tokens that are there already less likely (1)
  --frequency-penalty X      taken from a token's logit each time it was drawn, -2 to 2 (0)
  --presence-penalty X       taken from a token's logit once it was drawn, -2 to 2 (0)
  --stop TEXT                end before this text; repeatable
  --seed N                   repeats a generation (a new one each time)
  --truncate                 cut a prompt that is too long instead of refusing it
Valid and safe
  --syntax MODE              enforce: only valid bash is written; check: tell; off (enforce)
  --refuse LEVEL             write anew what is caution or destructive; none (none)
  --no-verdict               do not judge what the script may do
  --best-of N                write N scripts, print the one the model is surest of (1)
Input and output
  --explain                  each token's probability and its five rivals, on stderr
  --interactive              one prompt a line, until the input ends
  --json                     one line of JSON: text, tokens, logprob, reason, seed, verdict, speed
Model
  --weights DIR              folder or URL of the weights (the shipped ones)
  --backend NAME             auto, wasm, webgpu, reference, tfjs (auto)
  --precision BITS           of the weights: auto, int8, f32 (auto)
  --threads N                of the wasm backend (all cores)
${COMMON_FLAGS}`;

/** Runs `bashling generate`. */
export async function generate(args: string[]): Promise<number> {
  const flags = new Flags("generate", GENERATE_HELP, args);
  const options: CompleteOptions = {
    maxTokens: flags.whole("max-tokens"),
    temperature: flags.number("temperature"),
    topK: flags.whole("top-k"),
    topP: flags.number("top-p"),
    minP: flags.number("min-p"),
    repetitionPenalty: flags.number("repetition-penalty"),
    frequencyPenalty: flags.number("frequency-penalty"),
    presencePenalty: flags.number("presence-penalty"),
    stop: flags.list("stop"),
    seed: flags.whole("seed"),
    truncate: flags.has("truncate"),
    syntax: flags.text("syntax") as CompleteOptions["syntax"],
    verdict: !flags.has("no-verdict"),
    explain: flags.has("explain"),
  };
  const choice: Pick<CompleteOptions, "bestOf" | "refuse"> = {
    bestOf: flags.whole("best-of"),
    refuse: flags.text("refuse") as CompleteOptions["refuse"],
  };
  usage(() => {
    checkOptions(options);
    checkCompleteOptions({ ...options, ...choice });
  });
  const engine = engineFlags(flags);
  const chooses = choice.bestOf !== undefined || choice.refuse !== undefined;
  if (chooses && options.explain) {
    throw new UsageError("--explain tells of one script: leave --best-of and --refuse out.");
  }
  const json = flags.has("json");
  const interactive = flags.has("interactive");
  const words = flags.positional;
  if (interactive && words.length > 0) {
    throw new UsageError("--interactive reads its prompts from stdin: leave the prompt out.");
  }
  if (!interactive && words.length === 0) {
    throw new UsageError(
      'No prompt was given: say what the script should do, as in generate "Create a backup script".',
    );
  }
  const interrupt = new Interrupt();
  const loading = Bashling.load({
    weights: flags.text("weights"),
    ...engine,
    streams: choice.bestOf,
  });
  const reading = interactive ? "" : words.join(" ") === "-" ? readStdin() : words.join(" ");
  const [loaded, read] = await Promise.allSettled([loading, reading]);
  if (loaded.status === "rejected") throw loaded.reason;
  using model = loaded.value;
  if (read.status === "rejected") throw read.reason;
  const printer = new Printer(model, chooses ? { ...options, ...choice } : options, {
    json,
    chooses,
    interrupt,
  });
  if (!interactive) {
    const result = await printer.print(read.value);
    return result.reason === "abort" ? 130 : 0;
  }
  for await (const prompt of prompts()) {
    try {
      await printer.print(prompt);
    } catch (error) {
      if (!(error instanceof RangeError || error instanceof SyntaxError)) throw error;
      writeError(error.message);
    }
  }
  return 0;
}

/** Turns Ctrl-C into the end of a generation, or of the program where none is under way. */
class Interrupt {
  #controller?: AbortController;

  constructor() {
    Deno.addSignalListener("SIGINT", () => {
      if (!this.#controller || this.#controller.signal.aborted) Deno.exit(130);
      this.#controller.abort();
    });
  }

  /** The signal of a generation that begins. */
  begin(): AbortSignal {
    this.#controller = new AbortController();
    return this.#controller.signal;
  }

  /** The generation is over. */
  end(): void {
    this.#controller = undefined;
  }
}

/** Generates and prints what comes. */
class Printer {
  readonly #model: Bashling;
  readonly #options: CompleteOptions;
  readonly #how: { json: boolean; chooses: boolean; interrupt: Interrupt };

  constructor(
    model: Bashling,
    options: CompleteOptions,
    how: { json: boolean; chooses: boolean; interrupt: Interrupt },
  ) {
    this.#model = model;
    this.#options = options;
    this.#how = how;
  }

  /** Generates once. */
  async print(prompt: string): Promise<GenerationResult> {
    const { json, chooses, interrupt } = this.#how;
    const started = performance.now();
    const options = { ...this.#options, signal: interrupt.begin() };
    let made: { text: string; result: GenerationResult; pieces: Piece[] };
    try {
      made = chooses ? await this.#choose(prompt, options) : await this.#stream(prompt, options);
    } finally {
      interrupt.end();
    }
    const seconds = (performance.now() - started) / 1000;
    const { text, result, pieces } = made;
    if (json) {
      const [, ...drawn] = pieces;
      writeOut(
        JSON.stringify({
          prompt,
          text,
          ...result,
          ...(chooses ? {} : { tokens: drawn.flatMap(({ tokens }) => tokens) }),
          ...(options.explain
            ? { explanations: pieces.flatMap(({ explanations }) => explanations ?? []) }
            : {}),
          seconds,
          tokensPerSecond: result.completionTokens / seconds,
          backend: this.#model.backend.name,
        }) + "\n",
      );
      return result;
    }
    if (!text.endsWith("\n")) writeOut("\n");
    if (options.explain) writeNote(explanationText(pieces));
    if (result.syntax?.valid === false) {
      const { line, message } = result.syntax;
      writeNote(dimmed(`not valid bash: line ${line}: ${message}`));
    }
    if (result.verdict) writeNote(verdictText(result.verdict));
    if (Deno.stderr.isTerminal()) {
      const speed = Math.round(result.completionTokens / seconds);
      const why = { stop: "finished", length: "cut at the limit", abort: "interrupted" };
      writeNote(dimmed(
        `${why[result.reason]}, ${result.completionTokens} tokens, ${speed} tokens/s ` +
          `on ${this.#model.backend.name}, seed ${result.seed}`,
      ));
    }
    return result;
  }

  /** Prints a script as it comes. */
  async #stream(prompt: string, options: CompleteOptions) {
    const pieces: Piece[] = [];
    const generation = this.#model.generate(prompt, options);
    let next = await generation.next();
    for (; !next.done; next = await generation.next()) {
      pieces.push(next.value);
      if (!this.#how.json) writeOut(next.value.text);
    }
    return { text: pieces.map(({ text }) => text).join(""), result: next.value, pieces };
  }

  /** Prints a script that was chosen among several. */
  async #choose(prompt: string, options: CompleteOptions) {
    const { text, ...result } = await this.#model.choose(prompt, options);
    if (!this.#how.json) writeOut(text);
    return { text, result, pieces: [] };
  }
}

/** A line in a colour, where there is a terminal that wants any. */
const colored = (color: number, text: string): string =>
  Deno.noColor || !Deno.stderr.isTerminal() ? text : `\x1b[${color}m${text}\x1b[0m`;

const dimmed = (line: string): string => `${colored(2, line)}\n`;

const COLORS = { safe: 32, caution: 33, destructive: 31 };

/** The verdict as lines for a person. */
function verdictText({ level, findings }: Verdict): string {
  const lines = findings.map(({ level, line, reason, text }) =>
    `  line ${line}, ${level}: ${reason}\n    ${text}\n`
  );
  return `verdict: ${colored(COLORS[level], level)}\n${lines.join("")}`;
}

/** A line for each token: its probability, its text, and its rivals. */
function explanationText(pieces: Piece[]): string {
  const percent = (probability: number) => `${(100 * probability).toFixed(1)} %`.padStart(7);
  const line = ({ text, probability, rivals }: Explanation) =>
    `${percent(probability)} ${JSON.stringify(text).padEnd(16)} ` +
    rivals.map((rival) => `${JSON.stringify(rival.text)}${percent(rival.probability)}`).join("  ") +
    "\n";
  return pieces.flatMap(({ explanations }) => explanations ?? []).map(line).join("");
}

/** Lines from stdin that are not empty, after a prompt sign on a terminal. */
async function* prompts(): AsyncGenerator<string, void, unknown> {
  const ask = () => Deno.stdin.isTerminal() && writeNote("> ");
  let rest = "";
  ask();
  for await (const chunk of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop()!;
    for (const line of lines) if (line.trim()) yield line.trim();
    ask();
  }
  if (rest.trim()) yield rest.trim();
  if (Deno.stdin.isTerminal()) writeNote("\n");
}
