import { assert, assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import { parseArgs } from "@std/cli";
import { COMMANDS } from "../src/cli/commands.ts";
import { Flags, flagsOf } from "../src/cli/flags.ts";
import { editDistance, nearest } from "../src/cli/nearest.ts";
import { UsageError } from "../src/cli/usage.ts";
import { finish, type Outcome, startDeno } from "./process.ts";
import { tokenizer, writeRandomModel } from "./random_model.ts";

const MAIN = new URL("../src/cli/main.ts", import.meta.url).pathname;

/** Starts the command line in a process of its own, which may read files and nothing else. */
const start = (args: string[]): Deno.ChildProcess => startDeno(["--allow-read", MAIN, ...args]);

const bashling = (args: string[], input = ""): Promise<Outcome> => finish(start(args), input);

const model = await writeRandomModel();
globalThis.addEventListener("unload", () => Deno.removeSync(model, { recursive: true }));
const GENERATE = ["generate", "--weights", model, "--backend", "reference", "--seed", "1"];

Deno.test("bashling generate prints the script alone on stdout", async () => {
  const { code, stdout, stderr } = await bashling([
    ...GENERATE,
    "--max-tokens",
    "9",
    "list",
    "files",
  ]);
  assertEquals(code, 0);
  assertMatch(stderr, /^verdict: (safe|caution|destructive)\n/);
  assertMatch(stdout, /^#!\/bin\/bash\n# List files\n/);
  const quiet = await bashling([...GENERATE, "--max-tokens=9", "--no-verdict", "list", "files"]);
  assertEquals([quiet.code, quiet.stdout, quiet.stderr], [0, stdout, ""]);
});

Deno.test("bashling generate tells what a script may do, refuses it, and explains its tokens", async () => {
  const wipe = "# Wipe\nrm -rf /\n";
  const told = await bashling([...GENERATE, "--max-tokens=9", wipe]);
  assertEquals(told.code, 0);
  assertMatch(told.stderr, /^verdict: destructive\n {2}line 3, destructive: .+\n {4}rm -rf \/\n/);
  const refused = await bashling([...GENERATE, "--max-tokens=9", "--refuse=destructive", wipe]);
  assertEquals([refused.code, refused.stdout], [1, ""]);
  assertStringIncludes(refused.stderr, "8 of 8 scripts were refused");
  const invalid = await bashling([...GENERATE, "# Wrong\nfi\n"]);
  assertEquals([invalid.code, invalid.stdout], [1, ""]);
  assertStringIncludes(invalid.stderr, "no beginning of a bash script (line 3");
  const explained = await bashling([...GENERATE, "--max-tokens=9", "--explain", "list files"]);
  assertMatch(explained.stderr, /^ *[\d.]+ % ".*" +(".*" *[\d.]+ % *){5}\n/);
  const best = await bashling([
    ...GENERATE,
    "--max-tokens=9",
    "--best-of=3",
    "--json",
    "list files",
  ]);
  const { text, verdict, syntax } = JSON.parse(best.stdout);
  assertStringIncludes(text, "# List files\n");
  assertEquals([syntax.valid, typeof verdict.level], [true, "string"]);
});

Deno.test("bashling generate reads the prompt from stdin and prints JSON", async () => {
  const args = [...GENERATE, "--json", "--max-tokens=5"];
  const { code, stdout } = await bashling([...args, "-"], "list files\n");
  assertEquals(code, 0);
  const result = JSON.parse(stdout);
  assertEquals([result.reason, result.completionTokens, result.seed], ["length", 5, 1]);
  assert(result.text.startsWith("#!/bin/bash\n# List files\n"));
  const again = await bashling([...args, "--interactive"], "list files\n\n...\nlist files");
  assertEquals(again.code, 0);
  const lines = again.stdout.trimEnd().split("\n").map((line) => JSON.parse(line).text);
  assertEquals(lines, [result.text, result.text]);
  assertStringIncludes(again.stderr, "error: The prompt has no words");
});

Deno.test("bashling exits with 130 and what was generated when interrupted", async () => {
  const args = [...GENERATE, "--max-tokens", "1000", "--temperature", "0", "--interactive"];
  const child = start(args);
  const writer = child.stdin.getWriter();
  const reader = child.stdout.getReader();
  await writer.write(new TextEncoder().encode("list files\n"));
  const first = await reader.read();
  assertStringIncludes(new TextDecoder().decode(first.value), "#!/bin/bash");
  // The first ends the generation, if it still runs; the second comes at the prompt.
  child.kill("SIGINT");
  await new Promise((resolve) => setTimeout(resolve, 300));
  try {
    child.kill("SIGINT");
  } catch {
    // It was at the prompt already, and has ended.
  }
  assertEquals((await child.status).code, 130);
  await reader.cancel();
  await writer.close().catch(() => {});
  await child.stderr.cancel();
});

Deno.test("bashling exits with 2 and a remedy when it is used wrongly", async () => {
  const wrong: [string[], string][] = [
    [[], "No subcommand was given: see bashling --help."],
    [["genrate", "x"], "There is no subcommand genrate: did you mean generate?"],
    [["generate", "--temprature", "1", "x"], "did you mean --temperature?"],
    [["generate", "--temperature", "101", "x"], "--temperature is 101, expected a number from 0"],
    [["generate", "--top-k", "many", "x"], "--top-k is many, expected a number"],
    [["generate", "--threads=0", "x"], "--threads is 0, expected a whole number from 1 to 64."],
    [["generate", "--backend=cuda", "x"], "--backend is cuda, expected one of auto, wasm"],
    [["serve", "--precision=int4"], "--precision is int4, expected one of auto, int8, f32."],
    [["eval", "--backend=webgpu", "--threads=2", "--pairs=x"], "leave --threads out."],
    [["train", "--data=x", "--threads=0"], "--threads is 0, expected a whole number from 1 to 64."],
    [["doctor", "x"], "doctor takes no arguments: leave x out."],
  ];
  const results = await Promise.all(wrong.map(([args]) => bashling(args)));
  for (const [i, { code, stdout, stderr }] of results.entries()) {
    assertEquals([code, stdout], [2, ""], wrong[i][1]);
    assertStringIncludes(stderr, wrong[i][1]);
    assertMatch(stderr, /^error: [^\n]*\n$/);
  }
});

Deno.test("bashling serve does not open to everyone because a variable for keys is empty", async () => {
  const args = ["--allow-read", "--allow-net=127.0.0.1", "--allow-env=BASHLING_API_KEYS", MAIN];
  const serve = [...args, "serve", "--port=0", "--weights", model];
  const { code, stdout, stderr } = await finish(startDeno(serve, { BASHLING_API_KEYS: " " }));
  assertEquals([code, stdout], [1, ""]);
  assertMatch(stderr, /^error: There are no API keys in BASHLING_API_KEYS: [^\n]*\n$/);
});

Deno.test("the tasks that build refuse what they do not know, and build nothing", async () => {
  for (const name of ["pack", "bundle", "compile"]) {
    const script = new URL(`../scripts/${name}.ts`, import.meta.url).pathname;
    const run = (...args: string[]) =>
      finish(startDeno(["--no-lock", "--allow-read", script, ...args]));
    const [wrong, help] = await Promise.all([run("--bogus"), run("--help")]);
    assertEquals([wrong.code, wrong.stdout], [2, ""], wrong.stderr);
    assertEquals(
      wrong.stderr,
      `error: There is no flag --bogus: see deno task ${name} --help.\n`,
    );
    assertEquals([help.code, help.stderr], [0, ""]);
    assertStringIncludes(help.stdout, `Usage: deno task ${name} [options]`);
  }
});

Deno.test("bashling exits with 1 and one sentence when it fails", async () => {
  const truncated = await writeRandomModel();
  try {
    await Deno.truncate(`${truncated}/model.safetensors`, 5000);
    const failures = await Promise.all([
      bashling(["generate", "--weights", "no/such/folder", "x"]),
      bashling(["generate", "--weights", truncated, "x"]),
      bashling(["inspect", "no/such/folder"]),
      bashling(["tokenize", "--file", "no/such/file"]),
      bashling(["generate", "--weights", model, "long words ".repeat(99)]),
    ]);
    for (const { code, stdout, stderr } of failures) {
      assertEquals([code, stdout], [1, ""], stderr);
      assertMatch(stderr, /^error: [^\n]*\n$/);
      assert(!stderr.includes("    at "), stderr);
    }
    assertMatch(failures[3].stderr, /^error: Cannot read the file no\/such\/file: there is none; /);
    const { stderr } = await bashling(["inspect", "no/such/folder", "--debug"]);
    assertMatch(stderr, /^error: [^\n]*\n[^]* at /);
  } finally {
    await Deno.remove(truncated, { recursive: true });
  }
});

Deno.test("bashling tokenize and inspect print what a file holds", async () => {
  const file = `${model}/tokenizer.json`;
  const [ids, text, json, inspected, version, help] = await Promise.all([
    bashling(["tokenize", "--tokenizer", file, "--ids", "for i in 🙂"]),
    bashling([
      "tokenize",
      "--tokenizer",
      file,
      "--decode",
      ...[...tokenizer.encode("a\n🙂")].map(String),
    ]),
    bashling(["tokenize", "--tokenizer", file, "--json", "-"], "échø\n"),
    bashling(["inspect", model, "--json"]),
    bashling(["--version"]),
    bashling(["tokenize", "--help"]),
  ]);
  assertEquals(ids.stdout, `${tokenizer.encode("for i in 🙂").join(" ")}\n`);
  assertEquals(text.stdout, "a\n🙂");
  assertEquals(JSON.parse(json.stdout).ids, [...tokenizer.encode("échø\n")]);
  assertEquals(JSON.parse(json.stdout).bytes, 7);
  assertEquals(JSON.parse(inspected.stdout).config.layers, 2);
  assertMatch(version.stdout, /^bashling \d+\.\d+\.\d+ \(model .+; build source; deno .+\)\n$/);
  assertStringIncludes(help.stdout, "--decode");
});

Deno.test("bashling eval measures files and agrees with the library", async () => {
  const folder = await Deno.makeTempDir({ prefix: "bashling-" });
  try {
    await Deno.writeTextFile(`${folder}/stories.txt`, "Once upon.<|endoftext|>A cat sat.");
    await Deno.writeTextFile(`${folder}/list.sh`, "#!/bin/sh\n# List all files here\nls -l\n");
    await Deno.writeTextFile(
      `${folder}/pairs.jsonl`,
      '{"nl":"List all files here","cmd":"ls -l"}\n',
    );
    await Deno.writeTextFile(`${folder}/prompts.txt`, "list files\n\ncopy files\n");
    const { code, stdout, stderr } = await bashling([
      ...["eval", "--weights", model, "--backend", "reference", "--json", "--max-tokens", "4"],
      ...["--stories", `${folder}/stories.txt`, "--scripts", folder],
      ...["--pairs", `${folder}/pairs.jsonl`, "--prompts", `${folder}/prompts.txt`],
    ]);
    assertEquals([code, stderr], [0, ""]);
    const { stories, pairs, scripts, prompts } = JSON.parse(stdout);
    const tokens = ["Once upon.", "A cat sat."].map((text) => tokenizer.encode(text).length);
    assertEquals([stories.documents, stories.tokens], [2, tokens[0] + tokens[1] - 2]);
    assert(Math.abs(stories.natsPerToken - stories.nats / stories.tokens) < 1e-12);
    assertEquals(scripts.documents, 1);
    assertEquals([pairs.nats, pairs.tokens], [scripts.nats, scripts.tokens]); // the same document
    assertEquals([prompts.scripts, prompts.meanTokens], [2, 4]);
    // This process may not run bash, so it cannot tell.
    assertEquals(prompts.valid, undefined);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("bashling completions prints scripts that bash can read", async () => {
  const { code, stdout } = await bashling(["completions", "bash"]);
  assertEquals(code, 0);
  for (const name of Object.keys(COMMANDS)) assertStringIncludes(stdout, `${name}) words=`);
  assertStringIncludes(stdout, "--repetition-penalty");
  const fish = await bashling(["completions", "fish"]);
  assertStringIncludes(fish.stdout, "-l temperature -x -d");
  assertEquals((await bashling(["completions", "tcsh"])).code, 2);
});

Deno.test("flagsOf() finds the flags of every help text", async () => {
  for (const [name, { load }] of Object.entries(COMMANDS)) {
    const { help } = await load();
    const named = new Set([...help.matchAll(/^ +(?:-\w, )?--([a-z][\w-]*)/gm)].map(([, n]) => n));
    assertEquals(new Set(flagsOf(help).map((flag) => flag.name)), named, name);
  }
  assertEquals(flagsOf("  --stop TEXT    end before this text; repeatable\n  -q, --quiet"), [
    {
      name: "stop",
      value: "TEXT",
      repeatable: true,
      description: "end before this text; repeatable",
    },
    { name: "quiet", value: undefined, repeatable: false, description: "" },
  ]);
});

const HELP = `Usage: x [options]
  --size N      how large
  --tag TEXT    repeatable
  --quiet       no notes
  -h, --help    show this text`;

Deno.test("Flags reads a command line by the help text", () => {
  const flags = new Flags("x", HELP, [
    "007",
    "--size=5",
    "--tag",
    "a",
    "--tag=b",
    "--quiet",
    "--",
    "-z",
  ]);
  assertEquals(flags.positional, ["007", "-z"]);
  assertEquals([flags.whole("size"), flags.list("tag"), flags.has("quiet")], [5, ["a", "b"], true]);
  assertEquals(flags.has("help"), false);
  for (
    const [args, message] of [
      [["--sise", "1"], "did you mean --size?"],
      [["--size"], "--size needs a value"],
      [["--size="], "--size needs a value"],
      [["--quiet=no"], "--quiet takes no value: leave =no out."],
      [["--size", "1", "--size", "2"], "--size was given 2 times"],
      [["-q"], "no flag -q"],
    ] as const
  ) {
    assertThrows(() => new Flags("x", HELP, [...args]), UsageError, message);
  }
  assertThrows(() => new Flags("x", HELP, ["--size", "1.5"]).whole("size"), UsageError, "whole");
});

Deno.test("nearest() finds the name that was meant, or none", () => {
  assertEquals(editDistance("kitten", "sitting"), 3);
  assertEquals(editDistance("genreate", "generate"), 1);
  assertEquals(nearest("evla", ["eval", "train"]), "eval");
  assertEquals(nearest("serve", ["eval", "train", "inspect"]), undefined);
});

Deno.test("parseArgs() gives what jsr:@std/cli gives", () => {
  const options = {
    string: ["data", "out"],
    boolean: ["help", "own"],
    negatable: ["own"],
    collect: ["data"],
    default: { own: true },
    alias: { h: "help", n: "count" },
  } as const;
  const base = { _: [], data: [], help: false, h: false, own: true };
  const cases: [string[], object][] = [
    [["a", "--data", "x", "--data=y", "5"], { ...base, _: ["a", 5], data: ["x", "y"] }],
    [["-h", "--no-own", "z"], { ...base, _: ["z"], h: true, help: true, own: false }],
    [["-n5", "--out"], { ...base, n: 5, count: 5, out: "" }],
    [["-hn", "7", "-"], { ...base, _: ["-"], h: true, help: true, n: 7, count: 7 }],
    [["--", "-x", "--help"], { ...base, _: ["-x", "--help"] }],
    [["--help", "true", "--own=false"], { ...base, h: true, help: true, own: false }],
    [["--out", "--help"], { ...base, out: "", h: true, help: true }],
    [["--out=a=b", "--a.b", "c"], { ...base, out: "a=b", a: { b: "c" } }],
  ];
  for (const [args, expected] of cases) {
    assertEquals(parseArgs(args, options) as object, expected, args.join(" "));
  }
  const unknown: string[] = [];
  parseArgs(["--x", "1", "y", "--out", "z"], {
    string: ["out"],
    unknown: (arg, key) => unknown.push(`${arg} ${key}`) > 9,
  });
  assertEquals(unknown, ["--x x", "y undefined"]);
  assertEquals(parseArgs(["-a", "b", "c", "--d"], { boolean: ["a"], stopEarly: true }) as object, {
    _: ["b", "c", "--d"],
    a: true,
  });
});
