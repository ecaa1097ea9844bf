import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Bashling, classify } from "../mod.ts";
import { pack } from "../scripts/pack.ts";

const PROMPT = "List the ten largest files";
const OPTIONS = { seed: 7, maxTokens: 60 };
const SCORED = "#!/bin/bash\nls -l\n";
const WIPE = "x=/\nrm -rf $x\n";

/** A program that uses the package as its users do, and prints what came of it. */
const PROGRAM = `
import { Bashling, classify, Tokenizer, Trainer } from "@bashling/bashling";

const model = await Bashling.load();
const pieces = [];
for await (const piece of model.generate(${JSON.stringify(PROMPT)}, ${JSON.stringify(OPTIONS)})) {
  pieces.push(piece.text);
}
const config = { vocabSize: 8000, contextLength: 64, layers: 1, width: 32, heads: 1 };
const corpus = ["#!/bin/bash\\n# Say hello\\necho hello\\n"];
const trainer = await Trainer.create({ config, corpus, batchSize: 1, seed: 1, threads: 1 });
const losses = [];
for await (const { loss } of trainer.run({ steps: 2 })) losses.push(loss);
await trainer.save("checkpoint");
trainer.dispose();
const resumed = await Trainer.resume("checkpoint", { corpus, threads: 1 });
const failure = (promise) => promise.then(() => "", (error) => error.name + ": " + error.message);
console.log(JSON.stringify({
  description: model.backend.description,
  text: pieces.join(""),
  score: await model.score(${JSON.stringify(SCORED)}),
  ids: [...model.tokenizer.encode("for i in")],
  verdict: await classify(${JSON.stringify(WIPE)}),
  losses,
  resumedAt: resumed.step,
  fingerprint: await (await Tokenizer.load("checkpoint/tokenizer.json")).fingerprint(),
  missing: await failure(Bashling.load({ weights: "no/such/folder" })),
  webgpu: await failure(Bashling.load({ backend: "webgpu" })),
}));
resumed.dispose();
// The model is not disposed of: its threads must not keep the process alive.
`;

/** What declarations are for. */
const TYPED = `
import { Bashling, type Script, type Verdict } from "@bashling/bashling";

const model: Bashling = await Bashling.load({ threads: 2 });
const { text, verdict }: Script = await model.choose("List files", { refuse: "destructive" });
const level: Verdict["level"] | undefined = verdict?.level;
// @ts-expect-error There is no such option.
await model.complete(text, { temprature: 1 });
console.log(level);
`;

async function run(command: string, args: string[], cwd: string): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, {
    args,
    cwd,
    env: { NO_COLOR: "1" },
  }).output();
  const decoder = new TextDecoder();
  if (!success) throw new Error(`${command} ${args.join(" ")}: ${decoder.decode(stderr)}`);
  return decoder.decode(stdout);
}

/** Makes the backends of this process use the kernels for engines without relaxed SIMD. */
function forbidRelaxedSimd(): Disposable {
  const { compile } = WebAssembly;
  WebAssembly.compile = (bytes) => {
    WebAssembly.compile = compile;
    return Promise.reject(new WebAssembly.CompileError(`${bytes} have relaxed SIMD`));
  };
  return { [Symbol.dispose]: () => void (WebAssembly.compile = compile) };
}

Deno.test("the package from npm does in Node what the module does in Deno", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await pack(`${folder}/bashling.tgz`);
    await Deno.writeTextFile(`${folder}/package.json`, '{ "type": "module" }');
    await Deno.writeTextFile(`${folder}/program.js`, PROGRAM);
    await Deno.writeTextFile(`${folder}/typed.ts`, TYPED);
    const quiet = ["--no-audit", "--no-fund", "--prefer-offline", "--ignore-scripts"];
    await run("npm", ["install", ...quiet, "./bashling.tgz"], folder);
    const found = JSON.parse(await run("node", ["program.js"], folder));
    const isRelaxed = found.description.includes("relaxed");
    using _plain = isRelaxed ? undefined : forbidRelaxedSimd();
    using model = await Bashling.load({ backend: "wasm" });
    assertEquals(model.backend.description, found.description);
    assertEquals(found.text, await model.complete(PROMPT, OPTIONS));
    assertEquals(found.score, await model.score(SCORED));
    assertEquals(found.ids, [...model.tokenizer.encode("for i in")]);
    assertEquals(found.verdict, await classify(WIPE));
    assertEquals(found.verdict.level, "destructive");
    assertEquals([found.losses.length, found.resumedAt], [2, 2]);
    assertEquals(found.fingerprint, await model.tokenizer.fingerprint());
    assertMatch(
      found.missing,
      /^NotFound: Cannot load weights: there is no config.json in no\/such/,
    );
    assertStringIncludes(found.webgpu, "WebGPU is not there: this runtime has no navigator.gpu.");
    await run(
      Deno.execPath(),
      ["check", "--no-lock", "--node-modules-dir=manual", "typed.ts"],
      folder,
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
