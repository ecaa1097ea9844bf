import { assert, assertEquals, assertThrows } from "@std/assert";
import { promptTokens, scriptBeginning } from "../src/generator/prompt.ts";
import { pairDocument } from "../src/corpus/bash.ts";
import { tokenizer } from "./random_model.ts";

Deno.test("scriptBeginning() gives the form of the training texts when the prompt is English", () => {
  const wanted = "#!/bin/bash\n# List all files\n";
  for (
    const prompt of [
      "list all files",
      "List all files.",
      "  list all\n files.  \n",
      "# list all files",
      "#list all files\n",
      "#!/bin/bash\n# List all files",
      "#!/usr/bin/env bash\n\n# list all files.\n",
      "\uFEFF#!/bin/sh\r\n# List all files\r\n",
    ]
  ) {
    assertEquals(scriptBeginning(prompt), wanted, JSON.stringify(prompt));
  }
  assert(pairDocument("list all files", "ls").startsWith(wanted));
});

Deno.test("scriptBeginning() keeps what follows the first comment", () => {
  const rest = "# in $HOME.\nset -e\nfor f in *.tx";
  assertEquals(scriptBeginning(`# copy files\n${rest}`), `#!/bin/bash\n# Copy files\n${rest}`);
  assertEquals(scriptBeginning("#!/bin/sh\nset -e\n"), "#!/bin/bash\nset -e\n");
  assertEquals(scriptBeginning("#!/bin/sh"), "#!/bin/bash\n");
});

Deno.test("scriptBeginning() throws when there are no words", () => {
  for (const prompt of ["", " \n ", "#", "...", "# .\nls"]) {
    assertThrows(() => scriptBeginning(prompt), RangeError, "no words");
  }
  assertThrows(() => scriptBeginning(7 as unknown as string), TypeError, "number");
});

const fit = { contextLength: 24, maxTokens: 5, truncate: false };

Deno.test("promptTokens() leaves the last newlines to the tokens that follow", () => {
  const beginning = "#!/bin/bash\n# List\n\n  ";
  const { ids, forced } = promptTokens(tokenizer, beginning, { ...fit, contextLength: 100 });
  assertEquals(tokenizer.decode(ids), "#!/bin/bash\n# List");
  assertEquals(new TextDecoder().decode(forced), "\n\n  ");
  const open = promptTokens(tokenizer, "#!/bin/bash\nfor", { ...fit, contextLength: 100 });
  assertEquals([tokenizer.decode(open.ids), open.forced.length], ["#!/bin/bash\nfor", 0]);
});

Deno.test("promptTokens() throws with both counts when a prompt is too long", () => {
  const text = scriptBeginning("z".repeat(40));
  const count = tokenizer.encode(text.trimEnd()).length;
  assertThrows(() => promptTokens(tokenizer, text, fit), RangeError, `${count} tokens`);
  assertThrows(() => promptTokens(tokenizer, text, fit), RangeError, "room for 23");
  assertEquals(
    promptTokens(tokenizer, text, { ...fit, contextLength: count + 1 }).ids.length,
    count,
  );
});

Deno.test("promptTokens() keeps the shebang and the end when it cuts", () => {
  // The comment's beginning too: what is left of a comment must not become a command.
  const head = tokenizer.encode("#!/bin/bash\n# ").length;
  const long = scriptBeginning(`${"東京🙂".repeat(30)} the end`);
  for (const maxTokens of [1, 5, 100]) {
    for (let contextLength = 2 * head + 8; contextLength < 2 * head + 30; contextLength++) {
      const { ids } = promptTokens(tokenizer, long, { contextLength, maxTokens, truncate: true });
      const text = tokenizer.decode(ids);
      assert(text.startsWith("#!/bin/bash\n# ") && text.endsWith("end"), text);
      assert(!text.includes("\uFFFD"), text);
      assert(ids.length <= contextLength - Math.min(maxTokens, contextLength >> 1));
    }
  }
});

Deno.test("promptTokens() cuts to as many tokens as it is told, and counts what it cut", () => {
  const long = scriptBeginning(`${"word ".repeat(100)}the end`);
  const count = tokenizer.encode(long.trimEnd()).length;
  const how = { contextLength: 4000, maxTokens: 5 };
  const { ids, cut } = promptTokens(tokenizer, long, { ...how, truncate: 40 });
  assert(ids.length <= 40 && ids.length > 30);
  assertEquals(ids.length + cut, count);
  assert(tokenizer.decode(ids).endsWith("end"));
  assertEquals(promptTokens(tokenizer, long, { ...how, truncate: count }).cut, 0);
});
