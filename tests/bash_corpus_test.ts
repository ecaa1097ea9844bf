import { assert, assertEquals, assertMatch } from "@std/assert";
import { OWN_SCRIPTS } from "../src/corpus/bash.ts";
import { promptSentence } from "../src/corpus/prompt.ts";
import { Tokenizer } from "../src/tokenizer/tokenizer.ts";

const FAMILIES = [
  "databases",
  "deployment-automation",
  "devops-ci",
  "monitoring-logging",
  "networking-security",
  "system-administration",
];

interface Script {
  path: string;
  text: string;
}

const scripts: Script[] = [];
const families: string[] = [];
for (const { name } of Deno.readDirSync(OWN_SCRIPTS)) {
  families.push(name);
  const folder = new URL(`${name}/`, OWN_SCRIPTS);
  for (const file of Deno.readDirSync(folder)) {
    const path = new URL(file.name, folder).pathname;
    scripts.push({ path, text: Deno.readTextFileSync(path) });
  }
}

/** Whether a command is there. */
function available(command: string): boolean {
  try {
    return new Deno.Command(command, { args: ["--version"] }).outputSync().success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** In CI everything must be there; elsewhere a test without its command is left out. */
const ignore = (command: string) => !available(command) && Deno.env.get("CI") !== "true";

Deno.test("the bash corpus has at least 20 scripts in each of six families", () => {
  assertEquals(families.sort(), FAMILIES);
  for (const family of FAMILIES) {
    const count = scripts.filter(({ path }) => path.includes(`/${family}/`)).length;
    assert(count >= 20, `${family} has ${count}`);
  }
  assert(scripts.length >= 120);
});

Deno.test("every script of the bash corpus is in the prompt form, strict, and unlike the others", () => {
  const sentences = new Set<string>();
  for (const { path, text } of scripts) {
    const [shebang, comment] = text.split("\n");
    assertEquals(shebang, "#!/bin/bash", path);
    assertMatch(comment, /^# [A-Z][^\n]{15,160}$/, path);
    assertEquals(comment, `# ${promptSentence(comment)}`, path);
    assertMatch(text, /^set -[eE]?uo pipefail$/m, path);
    assert(text.endsWith("\n") && !/[^\x20-\x7e\n]/.test(text), path);
    sentences.add(comment);
  }
  assertEquals(sentences.size, scripts.length);
});

Deno.test("every script of the bash corpus fits the context", async () => {
  const tokenizer = await Tokenizer.load(new URL("../weights/tokenizer.json", import.meta.url));
  for (const { path, text } of scripts) {
    const { length } = tokenizer.encode(text);
    assert(length <= 512, `${path} has ${length} tokens`);
  }
});

Deno.test({
  name: "every script of the bash corpus passes bash -n",
  ignore: ignore("bash"),
  async fn() {
    for (const { path } of scripts) {
      const { success, stderr } = await new Deno.Command("bash", { args: ["-n", path] }).output();
      assert(success, new TextDecoder().decode(stderr));
    }
  },
});

Deno.test({
  name: "every script of the bash corpus is clean under shellcheck",
  ignore: ignore("shellcheck"),
  async fn() {
    const args = scripts.map(({ path }) => path);
    const { success, stdout } = await new Deno.Command("shellcheck", { args }).output();
    assert(success, new TextDecoder().decode(stdout));
  },
});
