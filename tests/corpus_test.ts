import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { OWN_SCRIPTS, pairDocument, readBash, scriptDocument } from "../src/corpus/bash.ts";
import { promptText } from "../src/corpus/prompt.ts";
import { readStories } from "../src/corpus/stories.ts";

async function gzip(text: string): Promise<Uint8Array> {
  const stream = new Blob([text]).stream().pipeThrough(new CompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Runs `body` with the path of a new folder that is removed afterwards. */
async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("promptText() writes shebang and comment, tidied alike for training and use", () => {
  assertEquals(promptText("Create a backup script"), "#!/bin/bash\n# Create a backup script\n");
  assertEquals(promptText("  # list\n all  files. "), "#!/bin/bash\n# List all files\n");
});

Deno.test("pairDocument() puts the command after the prompt", () => {
  assertEquals(pairDocument("list files.", " ls -l\n"), "#!/bin/bash\n# List files\nls -l\n");
});

Deno.test("scriptDocument() leaves a script in the prompt form as it is", () => {
  const script = "#!/bin/bash\n# Count the lines of all files\nset -e\n\nwc -l *  # all\n";
  assertEquals(scriptDocument(script), script);
});

Deno.test("scriptDocument() drops banners and finds the description", () => {
  const script = `#!/usr/bin/env bash
# ==========================================
# Copyright 2020 Somebody. Licensed under the
# Apache License, Version 2.0.
#
#  Author: Somebody
#  Date: 2020-01-01
#
# backup.sh - makes a copy of the home
# directories every night. Old copies are removed.
#
# Usage: backup.sh TARGET

tar -czf "$1" /home
`;
  assertEquals(
    scriptDocument(script),
    `#!/bin/bash
# Makes a copy of the home directories every night
# Old copies are removed.
# Usage: backup.sh TARGET
tar -czf "$1" /home
`,
  );
});

Deno.test("scriptDocument() finds a description in the body", () => {
  assertMatch(
    scriptDocument(`#!/bin/sh\nset -eu\n\nusage_description="\nLists all running pods\n"\nx\n`),
    /^#!\/bin\/bash\n# Lists all running pods\nset -eu\n/,
  );
  assertMatch(
    scriptDocument("#!/bin/sh\nset -eu\n# Remove old images from the registry.\nx\n"),
    /^#!\/bin\/bash\n# Remove old images from the registry\nset -eu\n# Remove/,
  );
});

Deno.test("scriptDocument() keeps other comments out of the prompt when none is English", () => {
  assertEquals(scriptDocument("#!/bin/sh\n# FOO=1\r\necho\r\n"), "#!/bin/bash\n\n# FOO=1\necho\n");
  assertEquals(scriptDocument("echo"), "#!/bin/bash\necho\n");
});

Deno.test("readBash() reads our own scripts, each with an English first comment", async () => {
  const documents = await Array.fromAsync(readBash(decodeURIComponent(OWN_SCRIPTS.pathname)));
  assert(documents.length >= 100, `${documents.length} scripts`);
  for (const document of documents) assertMatch(document, /^#!\/bin\/bash\n# [A-Z].+\n/);
});

Deno.test("readBash() reads folders recursively in order and passes over other files", async () => {
  await inFolder(async (folder) => {
    await Deno.mkdir(`${folder}/b/.git`, { recursive: true });
    await Deno.writeTextFile(`${folder}/c.sh`, "#!/bin/sh\necho c\n");
    await Deno.writeTextFile(`${folder}/b/z.bash`, "echo z\n");
    await Deno.writeTextFile(`${folder}/b/.git/hook.sh`, "echo hook\n");
    await Deno.writeTextFile(`${folder}/a.py`, "print()\n");
    await Deno.writeTextFile(`${folder}/p.sh`, "#!/usr/bin/env python3\nprint()\n");
    await Deno.writeTextFile(`${folder}/e.sh`, "\n");
    const documents = await Array.fromAsync(readBash(folder));
    assertEquals(documents, ["#!/bin/bash\necho z\n", "#!/bin/bash\necho c\n"]);
  });
});

Deno.test("readBash() reads JSON lines of pairs and scripts, plain and gzipped", async () => {
  await inFolder(async (folder) => {
    const lines = [
      { nl: "list files", cmd: "ls", source: "x" },
      { path: "x.sh", text: "#!/bin/sh\necho\n" },
      { text: "#!/usr/bin/python\nprint()" },
    ].map((record) => JSON.stringify(record)).join("\n\n");
    await Deno.writeTextFile(`${folder}/x.jsonl`, lines);
    await Deno.writeFile(`${folder}/x.jsonl.gz`, await gzip(lines));
    const expected = ["#!/bin/bash\n# List files\nls\n", "#!/bin/bash\necho\n"];
    assertEquals(await Array.fromAsync(readBash(`${folder}/x.jsonl`)), expected);
    assertEquals(await Array.fromAsync(readBash(`${folder}/x.jsonl.gz`)), expected);
  });
});

Deno.test("readBash() rejects what is no corpus with one sentence and a remedy", async () => {
  await inFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/x.jsonl`, '{"nl":"a","cmd":"b"}\n{"nl":1}\n');
    await Deno.writeTextFile(`${folder}/y.jsonl`, '{"nl":"a","cmd":"b"}\n\n{"nl"\n');
    await Deno.writeTextFile(`${folder}/z.jsonl`, "\n");
    await Deno.writeTextFile(`${folder}/a.py`, "");
    const read = (path: string) => () => Array.fromAsync(readBash(path));
    await assertRejects(read(folder), RangeError, "holds no script: give a folder with *.sh");
    await assertRejects(read(`${folder}/x.jsonl`), SyntaxError, "Line 2 of");
    await assertRejects(read(`${folder}/y.jsonl`), SyntaxError, "Line 3 of");
    await assertRejects(read(`${folder}/z.jsonl`), RangeError, "holds no document");
    await assertRejects(read(`${folder}/a.py`), RangeError, "is no bash corpus");
    await assertRejects(read(`${folder}/none`), Deno.errors.NotFound, "no file or folder");
  });
});

Deno.test("readStories() splits several files, plain and gzipped, into tidy stories", async () => {
  await inFolder(async (folder) => {
    await Deno.writeTextFile(
      `${folder}/a.txt`,
      "One.\r\n\r\nTwo.\n<|endoftext|>\n\n<|endoftext|>B",
    );
    await Deno.writeFile(`${folder}/b.txt.gz`, await gzip("C\n<|endoftext|>\nD\n<|endoftext|>\n"));
    const joined = [...await gzip("E<|endoftext|>"), ...await gzip("F")];
    await Deno.writeFile(`${folder}/c.txt.gz`, Uint8Array.from(joined));
    const files = ["a.txt", "b.txt.gz", "c.txt.gz"].map((name) => `${folder}/${name}`);
    const stories = await Array.fromAsync(readStories(files));
    assertEquals(stories, ["One.\n\nTwo.", "B", "C", "D", "E", "F"]);
  });
});

Deno.test("readStories() finds separators and characters that chunks cut", async () => {
  await inFolder(async (folder) => {
    const stories = Array.from({ length: 9000 }, (_, i) => `é${"ü".repeat(i % 23)} story ${i}`);
    await Deno.writeTextFile(`${folder}/a.txt`, stories.join("<|endoftext|>"));
    assertEquals(await Array.fromAsync(readStories(`${folder}/a.txt`)), stories);
  });
});

Deno.test("readStories() rejects missing, empty, damaged and unseparated files", async () => {
  await inFolder(async (folder) => {
    const packed = await gzip("x y z ".repeat(1000));
    await Deno.writeTextFile(`${folder}/empty.txt`, " \n<|endoftext|>\n");
    await Deno.writeFile(`${folder}/cut.txt.gz`, packed.subarray(0, packed.length - 9));
    await Deno.writeTextFile(`${folder}/plain.txt.gz`, "not packed");
    await Deno.writeFile(`${folder}/long.txt`, new Uint8Array((1 << 22) + 70000).fill(97));
    const read = (name: string) => () => Array.fromAsync(readStories(`${folder}/${name}`));
    await assertRejects(read("none.txt"), Deno.errors.NotFound, "There is no file");
    await assertRejects(read("empty.txt"), RangeError, "holds no story");
    await assertRejects(read("cut.txt.gz"), SyntaxError, "is not a whole gzip file");
    await assertRejects(read("plain.txt.gz"), SyntaxError, "is not a whole gzip file");
    await assertRejects(read("long.txt"), SyntaxError, "put it between stories");
  });
});
