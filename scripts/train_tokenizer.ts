/**
 * Trains the tokenizer on files:
 *
 *     deno run --allow-read --allow-write scripts/train_tokenizer.ts \
 *       --data stories.txt.gz --data scripts.jsonl.gz=2 --data src/tokenizer/idioms.txt=1000 \
 *       --transition 0.8 --out weights/tokenizer.json
 *
 * With `--measure FILE` it also prints bytes per token on held-out files.
 *
 * @module
 */

import { parseArgs } from "@std/cli";
import { readDocuments } from "../src/corpus/documents.ts";
import type { Tokenizer } from "../src/tokenizer/tokenizer.ts";
import { UsageError } from "../src/cli/usage.ts";
import { trainTokenizer, type WeightedText } from "../src/tokenizer/train.ts";

const USAGE = `Train a tokenizer.

Usage: deno run --allow-read --allow-write scripts/train_tokenizer.ts --data PATH… --out FILE

  --data PATH[=N]     text: .txt[.gz] stories or prose, .jsonl[.gz] pairs or scripts, a folder of
                      *.sh; counts N times, a whole number (1); repeatable
  --vocab N           tokens, <|endoftext|> included (8000)
  --transition X      share of them reached with merges inside words, 0 to 1 (0.8)
  --max-token N       longest token in bytes (32)
  --measure PATH      print bytes per token on these files afterwards; repeatable
  --out FILE          where to write the tokenizer.json`;

const TEXT_FLAGS = ["vocab", "transition", "max-token", "out"] as const;
const LIST_FLAGS = ["data", "measure"] as const;

/** The documents of all `PATH[=N]`. */
async function* readData(data: string[]): AsyncGenerator<WeightedText, void, unknown> {
  for (const argument of data) {
    const [, path, times] = /^(.*?)(?:=(\d+))?$/s.exec(argument)!;
    for await (const text of readDocuments(path)) yield { text, weight: Number(times ?? 1) };
  }
}

/** Bytes of text for each token of it, over all documents of a path. */
async function bytesPerToken(tokenizer: Tokenizer, path: string): Promise<number> {
  let bytes = 0, tokens = 0;
  for await (const text of readDocuments(path)) {
    const ids = tokenizer.encode(text);
    tokens += ids.length;
    for (const id of ids) bytes += tokenizer.byteLength(id);
  }
  return bytes / tokens;
}

async function main(args: string[]): Promise<void> {
  const flags = parseArgs(args, {
    string: [...TEXT_FLAGS, ...LIST_FLAGS],
    boolean: ["help"],
    collect: LIST_FLAGS,
    default: { vocab: "8000", transition: "0.8", "max-token": "32" },
    unknown: (argument) => {
      throw new UsageError(`There is no ${argument}: see --help.`);
    },
  });
  if (flags.help) return console.log(USAGE);
  if (flags.data.length === 0) throw new UsageError("No text: give at least one --data PATH.");
  if (!flags.out) throw new UsageError("No place for the result: give --out FILE.");

  const started = performance.now();
  let reported = -Infinity;
  const report = (line: string) => {
    const seconds = (performance.now() - started) / 1000;
    console.error(`${seconds.toFixed(1).padStart(6)} s  ${line}`);
    reported = performance.now();
  };
  const tokenizer = await trainTokenizer({
    texts: readData(flags.data),
    vocabSize: Number(flags.vocab),
    transition: Number(flags.transition),
    maxTokenBytes: Number(flags["max-token"]),
    onProgress: ({ stage, merges, total, bytes }) => {
      if (performance.now() - reported < 500) return;
      report(
        stage === "read"
          ? `read ${(bytes / 1e6).toFixed(1)} MB`
          : `${stage}: ${merges} of ${total} merges`,
      );
    },
  });
  await Deno.writeTextFile(flags.out, tokenizer.toJSON());
  report(`${flags.out}: ${tokenizer.vocabSize} tokens, ${await tokenizer.fingerprint()}`);
  for (const path of flags.measure) {
    console.log(`${path}: ${(await bytesPerToken(tokenizer, path)).toFixed(3)} bytes per token`);
  }
}

if (import.meta.main) {
  try {
    await main(Deno.args);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    Deno.exit(error instanceof UsageError ? 2 : 1);
  }
}
