import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { nameOf, parseSweep, sweepTable } from "../scripts/sweep.ts";
import { UsageError } from "../src/cli/usage.ts";
import { initialParameters } from "../src/model/parameters.ts";
import { saveWeights } from "../src/model/weights.ts";
import { trainTokenizer } from "../src/tokenizer/train.ts";
import { finish, startDeno } from "./process.ts";

Deno.test("parseSweep() makes every combination of the lists", () => {
  const args = ["--out", "x", "--lr", "1,2", "--seed", "3,4", "--", "pretrain", "--data", "d"];
  const { points, shared, task, out } = parseSweep(args);
  assertEquals(points.map(nameOf), ["lr=1,seed=3", "lr=1,seed=4", "lr=2,seed=3", "lr=2,seed=4"]);
  assertEquals({ shared, task, out }, { shared: ["--data", "d"], task: "pretrain", out: "x" });
});

Deno.test("parseSweep() throws when there is no grid, folder or task", () => {
  for (
    const [args, message] of [
      ["--out x --lr 1,2", "needs --"],
      ["--out x --lr 1,2 -- serve", "not serve"],
      ["--lr 1,2 -- pretrain", "needs --out"],
      ["--out x --lr 1 -- pretrain", "two values"],
      ["--out x --lr -- pretrain", "list of values"],
      ["--out x --lr 1,2 -- pretrain --lr 3", "both sides"],
      ["--out x --lr 1,2 -- pretrain --out y", "leave --out out"],
    ]
  ) assertThrows(() => parseSweep(args.split(" ")), UsageError, message);
});

Deno.test("sweepTable() puts the best first and says what failed", () => {
  const table = sweepTable([
    { point: { lr: "1" }, scores: {}, tokensPerSecond: 0, failure: "ended with code 1" },
    { point: { lr: "2" }, scores: { a: 2 }, tokensPerSecond: 10 },
    { point: { lr: "3" }, scores: { a: 1.5 }, tokensPerSecond: 20 },
  ]);
  const [, , ...rows] = table.split("\n");
  assertEquals(rows.map((row) => row.split("|")[1].trim()), ["3", "2", "1"]);
  assertStringIncludes(rows[2], "ended with code 1");
});

Deno.test("a sweep runs each point once, and the second time only reads", async () => {
  const folder = await Deno.makeTempDir();
  const config = { vocabSize: 300, contextLength: 64, layers: 1, width: 32, heads: 2 };
  try {
    const texts = Array.from(
      { length: 60 },
      (_, i) => `#!/bin/bash\n# Count file ${i}\nset -euo pipefail\nwc -l "file${i}.txt"\n`,
    );
    const tokenizer = await trainTokenizer({ texts, vocabSize: 300, transition: 0.9 });
    const parameters = initialParameters(config, 5);
    await saveWeights(`${folder}/weights`, {
      config,
      parameters,
      tokenizerJson: tokenizer.toJSON(),
    });
    await Deno.mkdir(`${folder}/scripts`);
    for (const [i, text] of texts.entries()) {
      await Deno.writeTextFile(`${folder}/scripts/${i}.sh`, text);
    }
    const sweep = () =>
      finish(startDeno([
        ...[
          "--allow-all",
          "scripts/sweep.ts",
          "--out",
          `${folder}/sweep`,
          "--lr",
          "1e-5,1e-2",
          "--",
        ],
        ...["finetune", "--from", `${folder}/weights`, "--data", `${folder}/scripts`],
        ...["--no-own-scripts", "--stories-share", "0", "--steps", "20", "--backend", "wasm"],
        ...["--threads", "1", "--batch-size", "2"],
      ]));
    const first = await sweep();
    assertEquals(first.code, 0, first.stderr);
    const rows = first.stdout.trim().split("\n");
    assertEquals(rows.length, 4);
    assert(rows[2].startsWith("| 1e-2 |"), first.stdout); // 1e-5 hardly learns in 20 steps
    const second = await sweep();
    assertEquals(second.stdout, first.stdout);
    assert(!second.stderr.includes("Training"), second.stderr);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
