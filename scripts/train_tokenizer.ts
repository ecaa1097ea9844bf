/**
 * Trains the tokenizer on files:
 *
 *     deno run --allow-read --allow-write scripts/train_tokenizer.ts \
 *       --data stories.txt.gz --data scripts.jsonl.gz:2 --vocab 8000 --transition 0.9 --out tokenizer.json
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { trainTokenizer, type WeightedText } from "../src/tokenizer/train.ts";

const USAGE = `Train a tokenizer.

Usage: deno run --allow-read --allow-write scripts/train_tokenizer.ts --data FILE… --out FILE

  --data FILE[:N]     text (.txt), one script (.sh), or lines of {"text"} or {"nl","cmd"} (.jsonl),
                      each also as .gz; or a folder of such files. Counts N times (1). Repeatable.
  --vocab N           number of tokens, <|endoftext|> included (8000)
  --transition X      share of them reached with merges inside words (0.9)
  --max-token N       longest token in bytes (32)
  --out FILE          where to write the tokenizer.json
`;

const EXTENSION = /\.(txt|sh|jsonl)(\.gz)?$/;

/** Files of a path: itself, or all files below it that can be read, sorted. */
async function* filesOf(path: string): AsyncGenerator<string> {
  if ((await Deno.stat(path)).isFile) return yield path;
  const entries = await Array.fromAsync(Deno.readDir(path));
  entries.sort((a, b) => a.name < b.name ? -1 : 1);
  for (const { name, isDirectory } of entries) {
    if (isDirectory || EXTENSION.test(name)) yield* filesOf(`${path}/${name}`);
  }
}

/** The text of a line of a `.jsonl` file, as the model reads it. */
function textOfRecord(line: string): string {
  const record: { text?: string; nl?: string; cmd?: string } = JSON.parse(line);
  return record.text ?? `#!/bin/bash\n# ${record.nl}\n${record.cmd}\n`;
}

/** Yields the documents of one `FILE[:N]`. */
export async function* readData(data: string): AsyncGenerator<WeightedText> {
  const [, path, times] = data.match(/^(.*?)(?::(\d+))?$/s)!;
  const weight = Number(times ?? 1);
  for await (const file of filesOf(path)) {
    const [, kind, gz] = file.match(EXTENSION) ?? [];
    if (kind === undefined) throw new RangeError(`Cannot read ${file}: not .txt, .sh or .jsonl.`);
    let stream: ReadableStream<Uint8Array<ArrayBuffer>> = (await Deno.open(file)).readable;
    if (gz) stream = stream.pipeThrough(new DecompressionStream("gzip"));
    const text = await new Response(stream).text();
    if (kind !== "jsonl") yield { text, weight };
    else for (const line of text.split("\n")) if (line) yield { text: textOfRecord(line), weight };
  }
}

async function* readAll(data: string[]): AsyncGenerator<WeightedText> {
  for (const item of data) yield* readData(item);
}

if (import.meta.main) {
  const args = parseArgs(Deno.args, {
    string: ["data", "vocab", "transition", "max-token", "out"],
    boolean: ["help"],
    collect: ["data"],
    default: { vocab: "8000", transition: "0.9", "max-token": "32" },
  });
  if (args.help) {
    console.log(USAGE);
    Deno.exit(0);
  }
  const data = [...args.data, ...args._.map(String)];
  if (data.length === 0 || !args.out) {
    console.error(USAGE);
    Deno.exit(2);
  }
  const started = performance.now();
  const seconds = () => ((performance.now() - started) / 1000).toFixed(1);
  let shown = 0;
  try {
    const tokenizer = await trainTokenizer({
      texts: readAll(data),
      vocabSize: Number(args.vocab),
      transition: Number(args.transition),
      maxTokenBytes: Number(args["max-token"]),
      onProgress: ({ stage, merges, total, bytes }) => {
        if (performance.now() - shown < 500) return;
        shown = performance.now();
        const line = stage === "read"
          ? `reading: ${(bytes / 1e6).toFixed(1)} MB`
          : `${stage}: ${merges} of ${total} merges`;
        console.error(`${line}, ${seconds()} s`);
      },
    });
    await Deno.writeTextFile(args.out, tokenizer.toJSON());
    console.error(`${args.out}: ${tokenizer.vocabSize} tokens, ${seconds()} s`);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    Deno.exit(1);
  }
}
