import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { finish, type Outcome, startDeno } from "./process.ts";
import { writeRandomModel } from "./random_model.ts";

const train = (task: "pretrain" | "finetune", args: string[]): Promise<Outcome> =>
  finish(startDeno(["--allow-all", `scripts/${task}.ts`, ...args]));

Deno.test("pretrain and finetune refuse wrong input with one sentence, and write nothing", async () => {
  const folder = await Deno.makeTempDir();
  const model = await writeRandomModel();
  try {
    await Deno.mkdir(`${folder}/no-scripts`);
    await Deno.writeTextFile(`${folder}/empty.txt`, "\n <|endoftext|> \n");
    await Deno.writeTextFile(`${folder}/stories.txt`, "Once there was a cat.<|endoftext|>");
    await Deno.writeTextFile(
      `${folder}/broken.jsonl`,
      '{"nl": "List files", "cmd": "ls"}\n{"nl"\n',
    );
    const damaged = await writeRandomModel(2);
    const bytes = await Deno.readFile(`${damaged}/model.safetensors`);
    bytes[bytes.length - 100] ^= 4;
    await Deno.writeFile(`${damaged}/model.safetensors`, bytes);

    const stories = ["--data", `${folder}/stories.txt`];
    const tune = ["--from", model, "--no-own-scripts"];
    const out = ["--out", `${folder}/run`];
    const cases: ["pretrain" | "finetune", string[], number, string][] = [
      ["pretrain", ["--data", `${folder}/empty.txt`], 1, "holds no story"],
      ["pretrain", ["--data", `${folder}/missing.txt`], 1, "There is no file"],
      ["pretrain", [...stories, "--preset", "huge"], 2, 'No preset is called "huge"'],
      ["pretrain", [...stories, "--sequence-length", "513"], 1, "from 1 to 512"],
      ["pretrain", [...stories, "--steps", "2.5"], 2, "--steps is 2.5, expected a whole number"],
      ["pretrain", [...stories, "--steps", "9", "--epochs", "1"], 2, "exclude each other"],
      ["pretrain", [...stories, "--learning-rate", "1"], 2, "--learning-rate"],
      ["pretrain", [...stories, "--backend", "cuda"], 2, "--backend is cuda"],
      ["pretrain", ["--resume", `${folder}/nothing`], 1, "holds no run to resume"],
      ["pretrain", ["--resume", `${folder}/x`, "--lr", "1"], 2, "--lr cannot change"],
      ["finetune", [...tune, "--data", `${folder}/no-scripts`], 1, "holds no script"],
      ["finetune", [...tune, "--data", `${folder}/broken.jsonl`], 1, "Line 2 of"],
      ["finetune", [...tune, ...stories, "--preset", "tiny"], 2, "--preset cannot be given"],
      ["finetune", ["--from", damaged, ...stories], 1, "its data has changed"],
      ["finetune", ["--from", `${folder}/no-weights`, ...stories], 1, "no-weights"],
    ];
    const outcomes = await Promise.all(
      cases.map(([task, args]) =>
        train(task, args.includes("--resume") ? args : [...args, ...out])
      ),
    );
    for (const [i, { code, stdout, stderr }] of outcomes.entries()) {
      const [, args, expected, message] = cases[i];
      assertEquals(code, expected, `${args.join(" ")}\n${stderr}`);
      assertEquals(stdout, "");
      const errors = stderr.split("\n").filter((line) => line.startsWith("error: "));
      assertEquals(errors.length, 1, stderr);
      assertStringIncludes(errors[0], message);
      assertMatch(errors[0], /[.:] ?[^.]*\.$/);
      assert(!stderr.includes("    at "), stderr);
    }
    assertEquals(await Deno.stat(`${folder}/run/checkpoint`).catch(() => undefined), undefined);
    await Deno.remove(damaged, { recursive: true });
  } finally {
    await Deno.remove(model, { recursive: true });
    await Deno.remove(folder, { recursive: true });
  }
});
