/**
 * `bashling generate`.
 *
 * @module
 */

import type { InferenceChoice } from "../generator/engine.ts";
import { Bashling, type GenerationResult, type Piece } from "../generator/generator.ts";
import { checkOptions, type GenerateOptions } from "../generator/options.ts";
import { COMMON_FLAGS, Flags, usage } from "./flags.ts";
import { readStdin, writeError, writeNote, writeOut } from "./output.ts";
import { UsageError } from "./usage.ts";

/** Text of `bashling generate --help`. */
export const GENERATE_HELP =
  `Write a script from an English sentence. The script alone goes to stdout.

Usage: bashling generate [options] PROMPT...
       bashling generate [options] -          the prompt comes from stdin
       bashling generate [options] --interactive

A prompt that starts with # is the beginning of a script, which is continued.

Sampling
  --max-tokens N             most tokens to generate (200)
  --temperature X            0 the likeliest, 0.2 focused, 1.5 wild (0.8)
  --top-k K                  draw from the K likeliest tokens, 0 for all (50)
  --top-p P                  draw from the likeliest tokens that reach this probability (0.9)
  --min-p P                  draw from tokens this many times as likely as the likeliest (0)
  --repetition-penalty X     above 1 makes tokens that are there already less likely (1)
  --stop TEXT                end before this text; repeatable
  --seed N                   repeats a generation (a new one each time)
  --truncate                 cut a prompt that is too long instead of refusing it
Input and output
  --interactive              one prompt a line, until the input ends
  --json                     one line of JSON: text, tokens, logprob, reason, seed, speed
Model
  --weights DIR              folder or URL of the weights (the shipped ones)
  --backend NAME             auto, wasm, webgpu, reference, tfjs (auto)
  --threads N                of the wasm backend (all cores)
${COMMON_FLAGS}`;

/** Runs `bashling generate`. */
export async function generate(args: string[]): Promise<number> {
  const flags = new Flags("generate", GENERATE_HELP, args);
  const options: GenerateOptions = {
    maxTokens: flags.whole("max-tokens"),
    temperature: flags.number("temperature"),
    topK: flags.whole("top-k"),
    topP: flags.number("top-p"),
    minP: flags.number("min-p"),
    repetitionPenalty: flags.number("repetition-penalty"),
    stop: flags.list("stop"),
    seed: flags.whole("seed"),
    truncate: flags.has("truncate"),
  };
  usage(() => checkOptions(options));
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
    backend: flags.text("backend") as InferenceChoice | undefined,
    threads: flags.whole("threads"),
  });
  const reading = interactive ? "" : words.join(" ") === "-" ? readStdin() : words.join(" ");
  const [loaded, read] = await Promise.allSettled([loading, reading]);
  if (loaded.status === "rejected") throw loaded.reason;
  using model = loaded.value;
  if (read.status === "rejected") throw read.reason;
  if (!interactive) {
    const result = await print(model, read.value, options, json, interrupt);
    return result.reason === "abort" ? 130 : 0;
  }
  for await (const prompt of prompts()) {
    try {
      await print(model, prompt, options, json, interrupt);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
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

/** Generates once and prints what comes. */
async function print(
  model: Bashling,
  prompt: string,
  options: GenerateOptions,
  json: boolean,
  interrupt: Interrupt,
): Promise<GenerationResult> {
  const started = performance.now();
  const pieces: Piece[] = [];
  let result: GenerationResult;
  try {
    const generation = model.generate(prompt, { ...options, signal: interrupt.begin() });
    let next = await generation.next();
    for (; !next.done; next = await generation.next()) {
      pieces.push(next.value);
      if (!json) writeOut(next.value.text);
    }
    result = next.value;
  } finally {
    interrupt.end();
  }
  const seconds = (performance.now() - started) / 1000;
  const text = pieces.map((piece) => piece.text).join("");
  if (json) {
    const [, ...drawn] = pieces;
    writeOut(
      JSON.stringify({
        prompt,
        text,
        ...result,
        tokens: drawn.flatMap(({ tokens }) => tokens),
        seconds,
        tokensPerSecond: result.completionTokens / seconds,
        backend: model.backend.name,
      }) + "\n",
    );
  } else if (!text.endsWith("\n")) writeOut("\n");
  if (Deno.stderr.isTerminal() && !json) {
    const speed = Math.round(result.completionTokens / seconds);
    const why = { stop: "finished", length: "cut at the limit", abort: "interrupted" };
    const note = `${why[result.reason]}, ${result.completionTokens} tokens, ${speed} tokens/s ` +
      `on ${model.backend.name}, seed ${result.seed}`;
    writeNote(Deno.noColor ? `${note}\n` : `\x1b[2m${note}\x1b[0m\n`);
  }
  return result;
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
