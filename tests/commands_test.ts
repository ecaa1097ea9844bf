import { assert, assertEquals, assertRejects } from "@std/assert";
import { Retrieval } from "../scripts/retrieval.ts";
import { commandScore, firstCommand, templateOf, utilitiesOf } from "../src/command_form.ts";
import { compareCommands, readPairs, scoreCommands } from "../src/evaluate_commands.ts";
import { Bashling } from "../src/generator/generator.ts";
import { writeRandomModel } from "./random_model.ts";

Deno.test("utilitiesOf() finds the utilities of pipelines, wrappers and substitutions in order", () => {
  const cases: [command: string, utilities: string][] = [
    ["ls -l /tmp", "ls(-l)"],
    [
      "find . -name '*.txt' -exec grep -l x {} \\; | sort -u",
      "find(-name,-exec) grep(-l) sort(-u)",
    ],
    ["sudo -u root /bin/rm -r x", "sudo(-u) rm(-r)"],
    ["find . | xargs -n 1 -I {} cp {} /a", "find() xargs(-n,-I) cp()"],
    ['echo "$(date +%F) `id -u`"', "echo() date()"],
    ["diff <(sort a) <(sort -r b)", "diff() sort() sort(-r)"],
    ["tar --file=a.tar -x && nohup time make", "tar(--file,-x) nohup() time() make()"],
    ["head -5 x", "head()"],
  ];
  for (const [command, wanted] of cases) {
    const found = utilitiesOf(command).map(({ name, flags }) => `${name}(${[...flags].join()})`);
    assertEquals(found.join(" "), wanted, command);
  }
});

Deno.test("templateOf() is the same where only strings, numbers, paths and patterns differ", () => {
  assertEquals(
    templateOf("find /var -name '*.log' -mtime +7 | xargs rm -f"),
    templateOf('find . -name "x y" -mtime 30 | xargs rm -f'),
  );
  assertEquals(templateOf("git commit -m 'a' > b.txt"), "git commit -m _ >_");
  assert(templateOf("git commit -m a") !== templateOf("git push -m a"));
  assert(templateOf("sort a.txt | uniq") !== templateOf("sort a.txt && uniq"));
});

Deno.test("commandScore() runs from -1 to 1", () => {
  assertEquals(commandScore("ls -l a", "ls -l b"), 1);
  assertEquals(commandScore("ls", "cat"), -1);
  assertEquals(commandScore("ls -a", "ls -l"), -0.5); // F = (2 · 0 − 2) / 1
  assertEquals(commandScore("ls -l -a", "ls -l"), 0.5); // F = (2 · 1 − 2) / 2
  assertEquals(commandScore("ls | wc", "ls"), 0); // one place right, one too many
});

Deno.test("firstCommand() passes over comments and joins continued lines", () => {
  assertEquals(firstCommand("#!/bin/bash\n# Say it\n\necho a \\\n  b\necho c\n"), "echo a \\\n  b");
  assertEquals(firstCommand("# nothing\n"), "");
});

Deno.test("compareCommands() counts first guesses and the best of five", () => {
  const pairs = [{ nl: "a", cmd: "ls -l /a" }, { nl: "b", cmd: "wc -c /b" }];
  const score = compareCommands(pairs, [["ls -l /x", "cat /x"], ["cat /y", "wc -c /z"]]);
  assertEquals(score, {
    pairs: 2,
    template: 0.5,
    templateOfFive: 1,
    nlc2cmd: 1,
    firstUtility: 0.5,
  });
  const wrong = compareCommands(pairs, [["cat", "rm"], ["ls", ""]]);
  assertEquals([wrong.nlc2cmd, wrong.firstUtility], [-1, 0]);
});

Deno.test("Retrieval finds the commands of the sentences most alike, each once", () => {
  const retrieval = new Retrieval([
    { nl: "Count the lines of a file", cmd: "wc -l a" },
    { nl: "Count the words of a file", cmd: "wc -w a" },
    { nl: "Count all lines of some file", cmd: "wc -l a" },
    { nl: "Remove a folder", cmd: "rm -r a" },
  ]);
  assertEquals(retrieval.nearest("count the lines of each file", 2), ["wc -l a", "wc -w a"]);
  assertEquals(retrieval.nearest("remove it", 1), ["rm -r a"]);
});

Deno.test("scoreCommands() guesses every command of a file, the same at every call", async () => {
  const folder = await writeRandomModel();
  const file = `${folder}/pairs.jsonl`;
  try {
    await Deno.writeTextFile(
      file,
      '{"nl":"List files","cmd":"ls"}\n\n{"nl":"Date","cmd":"date"}\n',
    );
    using model = await Bashling.load({ weights: folder, backend: "reference", streams: 5 });
    const seen: number[] = [];
    const options = { maxTokens: 4, onProgress: ({ done }: { done: number }) => seen.push(done) };
    const score = await scoreCommands(model, file, options);
    assertEquals([score.pairs, seen], [2, [1, 2]]);
    assertEquals(await scoreCommands(model, file, { maxTokens: 4 }), score);
    await Deno.writeTextFile(file, '{"nl":"List files"}\n');
    await assertRejects(() => readPairs(file), SyntaxError, "Line 1 of");
    await Deno.writeTextFile(file, "\n");
    await assertRejects(() => readPairs(file), RangeError, "holds no pair");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
