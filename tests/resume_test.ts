import { assertEquals, assertMatch, assertNotEquals, assertStringIncludes } from "@std/assert";
import { initialParameters } from "../src/model/parameters.ts";
import { saveWeights } from "../src/model/weights.ts";
import { trainTokenizer } from "../src/tokenizer/train.ts";
import { finish, startDeno } from "./process.ts";

const CONFIG = { vocabSize: 300, contextLength: 64, layers: 2, width: 32, heads: 2 };
const STEPS = 60;

/** Weights to start from and scripts to train on, in a new folder. */
async function prepare(): Promise<string> {
  const folder = await Deno.makeTempDir();
  await Deno.mkdir(`${folder}/scripts`);
  const texts = Array.from(
    { length: 40 },
    (_, i) => `#!/bin/bash\n# Count file ${i}\nset -euo pipefail\nwc -l "file${i}.txt"\n`,
  );
  for (const [i, text] of texts.entries()) {
    await Deno.writeTextFile(`${folder}/scripts/${i}.sh`, text);
  }
  const tokenizer = await trainTokenizer({ texts, vocabSize: CONFIG.vocabSize, transition: 0.9 });
  await saveWeights(`${folder}/weights`, {
    config: CONFIG,
    parameters: initialParameters(CONFIG, 5),
    tokenizerJson: tokenizer.toJSON(),
  });
  return folder;
}

const finetune = (args: string[]): Deno.ChildProcess =>
  startDeno(["--allow-all", "scripts/finetune.ts", "--backend", "wasm", ...args]);

const start = (folder: string, out: string): string[] => [
  ...["--from", `${folder}/weights`, "--data", `${folder}/scripts`, "--no-own-scripts"],
  ...["--stories-share", "0", "--steps", `${STEPS}`, "--save-every", "7", "--eval-every", "0"],
  ...["--batch-size", "2", "--lr", "1e-3", "--dropout", "0.1", "--out", out],
];

/** Sends `signal` once the log shows `step`. */
async function interruptAt(
  child: Deno.ChildProcess,
  log: string,
  step: number,
  signal: Deno.Signal,
): Promise<void> {
  while (true) {
    const text = await Deno.readTextFile(log).catch(() => "");
    if (text.includes(`"step":${step},`)) break;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  child.kill(signal);
}

Deno.test("finetune resumes to the same weights, bit for bit, after SIGKILL and after Ctrl-C", async () => {
  const folder = await prepare();
  try {
    const whole = await finish(finetune(start(folder, `${folder}/whole`)));
    assertEquals(whole.code, 0, whole.stderr);

    const out = `${folder}/killed`;
    const killed = finetune(start(folder, out));
    const step = 8 + crypto.getRandomValues(new Uint8Array(1))[0] % 20;
    await interruptAt(killed, `${out}/log.jsonl`, step, "SIGKILL");
    assertNotEquals((await finish(killed)).code, 0);

    const interrupted = finetune(["--resume", out]);
    await interruptAt(interrupted, `${out}/log.jsonl`, step + 20, "SIGINT");
    const { code, stderr } = await finish(interrupted);
    assertEquals(code, 130);
    assertMatch(stderr, /Saved step \d+\. Go on with: .* --resume /);

    const rest = await finish(finetune(["--resume", out]));
    assertEquals(rest.code, 0, rest.stderr);
    assertEquals(
      await Deno.readFile(`${out}/checkpoint/model.safetensors`),
      await Deno.readFile(`${folder}/whole/checkpoint/model.safetensors`),
      `killed at step ${step}`,
    );
    const steps = (await Deno.readTextFile(`${out}/log.jsonl`)).trim().split("\n")
      .map((line) => JSON.parse(line)).filter(({ kind }) => kind === "train")
      .map(({ step }) => step);
    assertEquals(steps, Array.from({ length: STEPS }, (_, i) => i + 1));
    assertStringIncludes(await Deno.readTextFile(`${out}/loss.svg`), "<polyline");

    const again = await finish(finetune(start(folder, out)));
    assertEquals(again.code, 1);
    assertStringIncludes(again.stderr, "holds a run already");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
