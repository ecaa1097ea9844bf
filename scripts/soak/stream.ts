/**
 * `deno task pretrain` on long files: whether the memory of a run depends on how much text there is.
 * Each file is ten times as long as the one before; a run tokenizes it and trains a few steps.
 *
 * What may grow: 40 bytes for a document, its place in the file and in the order of an epoch.
 *
 * Usage: deno run --allow-all scripts/soak/stream.ts [MEGABYTES]
 *
 * @module
 */

import denoJson from "../../deno.json" with { type: "json" };
import { Random } from "../../src/random.ts";

/** What one run took. */
export interface StreamReport {
  /** Millions of bytes of text. */
  megabytes: number;
  documents: number;
  seconds: number;
  /** Most resident megabytes while the text was tokenized, and while steps were trained. */
  tokenizing: number;
  training: number;
}

const WHO = ["The cat", "A small girl", "Her brother", "The old man", "One bird", "Tom's dog"];
const DID = ["saw", "found", "wanted", "carried", "lost", "painted", "gave away", "asked for"];
const WHAT = ["a red ball", "two apples", "the moon", "a key", "some bread", "a long rope", "it"];
const WHEN = ["in the morning", "after the rain", "at home", "near the river", "again", "with joy"];

/** Writes stories of about 800 bytes, at least `megabytes` of them; returns how many. */
async function writeStories(path: string, megabytes: number): Promise<number> {
  const random = new Random(megabytes);
  const one = (parts: string[]) => parts[random.below(parts.length)];
  using file = await Deno.open(path, { create: true, write: true, truncate: true });
  const writer = file.writable.getWriter();
  let written = 0, documents = 0;
  while (written < megabytes * 1e6) {
    let chunk = "";
    while (chunk.length < Math.min(1e6, megabytes * 1e6)) {
      for (let i = 12 + random.below(12); i > 0; i--) {
        chunk += `${one(WHO)} ${one(DID)} ${one(WHAT)} ${one(WHEN)}. `;
      }
      chunk += "\n<|endoftext|>\n";
      documents++;
    }
    await writer.write(new TextEncoder().encode(chunk));
    written += chunk.length;
  }
  await writer.close();
  return documents;
}

/** Resident megabytes of a process; 0 if it has ended. */
async function resident(pid: number): Promise<number> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`).catch(() => "");
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024 / 1e6;
}

/** Trains a few steps of `tiny` on `megabytes` of text in a process of its own. */
export async function measure(folder: string, megabytes: number): Promise<StreamReport> {
  const data = `${folder}/stories.txt`;
  const documents = await writeStories(data, megabytes);
  const [, ...task] = denoJson.tasks.pretrain.command.split(" ");
  const started = performance.now();
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      ...task,
      ...["--preset", "tiny", "--data", data, "--out", `${folder}/run${megabytes}`],
      ...["--steps", "40", "--batch-size", "4", "--sequence-length", "128", "--save-every", "0"],
      ...["--valid", `${folder}/valid.txt`, "--eval-every", "0"],
      ...["--backend", "wasm", "--threads", "1"],
    ],
    env: { XDG_CACHE_HOME: `${folder}/cache` },
    stdout: "null",
    stderr: "piped",
  }).spawn();
  let ended = false, printed = "";
  const reading = child.stderr.pipeThrough(new TextDecoderStream()).pipeTo(
    new WritableStream({ write: (text) => void (printed += text) }),
  );
  const status = child.status.finally(() => ended = true);
  const report = { megabytes, documents, seconds: 0, tokenizing: 0, training: 0 };
  while (!ended) {
    const phase = printed.includes("Training 4 layers") ? "training" : "tokenizing";
    report[phase] = Math.max(report[phase], Math.round(await resident(child.pid)));
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  await reading;
  if (!(await status).success) throw new Error(`The run failed: ${printed}`);
  report.seconds = Math.round((performance.now() - started) / 1000);
  return report;
}

/**
 * Megabytes that two runs of one kind differ by: V8 collects what was read when it likes. Text that was
 * kept would cost as much as it is long.
 */
const NOISE = 80;

if (import.meta.main) {
  if (Deno.build.os !== "linux") throw new Error("Resident memory is read from /proc: use Linux.");
  const most = Number(Deno.args[0] ?? 100);
  const folder = await Deno.makeTempDir();
  try {
    await writeStories(`${folder}/valid.txt`, 0.01);
    const short = await measure(folder, most / 10);
    console.log(JSON.stringify(short));
    const long = await measure(folder, most);
    console.log(JSON.stringify(long));
    const allowed = NOISE + 40 * (long.documents - short.documents) / 1e6;
    const grown = Math.max(long.tokenizing - short.tokenizing, long.training - short.training);
    if (grown > allowed) {
      console.error(`Memory grew by ${grown} MB, allowed are ${allowed.toFixed(0)}.`);
      Deno.exitCode = 1;
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
