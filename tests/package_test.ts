import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Bashling } from "../mod.ts";
import { readManifest } from "../scripts/pack_stage.ts";

const ROOT = new URL("../", import.meta.url);
const ENTRIES = ["mod.ts", "src/cli/main.ts"];

/**
 * The most that JSR takes, of all files together. All but the weights in 8 bits have less than 1.5 MB,
 * so that these may have 19.4: those of `small` have 14.
 */
const MOST_BYTES = 20 * 1024 * 1024;

/** Files that no module names. */
const OTHERS = [
  "LICENSE",
  "README.md",
  "deno.json",
  "weights/README.md",
  "weights/config.json",
  "weights/generation_config.json",
  "weights/model.q8.safetensors",
  "weights/tokenizer.json",
];

/** Files that modules name and that are not published: our own scripts are in a clone only. */
const ELSEWHERE = /^(src\/corpus\/bash\/|build\.json$)/;

async function deno(args: string[], options: Deno.CommandOptions = {}): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args,
    cwd: ROOT,
    ...options,
    env: { NO_COLOR: "1", ...options.env },
  }).output();
  const decoder = new TextDecoder();
  if (!success) throw new Error(`deno ${args.join(" ")}: ${decoder.decode(stderr)}`);
  return decoder.decode(stdout) || decoder.decode(stderr);
}

/** What would be published, as paths within this repository. */
async function publishedFiles(): Promise<string[]> {
  const said = await deno(["publish", "--no-lock", "--no-check", "--dry-run", "--allow-dirty"]);
  assert(!said.includes("warning"), said);
  return [...said.matchAll(/^ {3}(file:\S+) \([\d.]+[KM]?B\)$/gm)]
    .map(([, url]) => decodeURI(url.slice(ROOT.href.length)));
}

/** Modules of this repository that an entry imports, types included, and what they import as text. */
async function importedFiles(entry: string): Promise<string[]> {
  const json = await deno(["info", "--no-lock", "--json", entry]);
  const { modules } = JSON.parse(json) as { modules: { specifier: string }[] };
  return modules.map(({ specifier }) => specifier).filter((url) => url.startsWith(ROOT.href))
    .map((url) => decodeURI(url.slice(ROOT.href.length)));
}

const published = await publishedFiles();
const texts = new Map<string, string>();
for (const path of published.filter((path) => path.endsWith(".ts"))) {
  texts.set(path, await Deno.readTextFile(new URL(path, ROOT)));
}

Deno.test("the package is below JSR's 20 MB", async () => {
  const sizes = await Promise.all(published.map((path) => Deno.stat(new URL(path, ROOT))));
  const bytes = sizes.reduce((sum, { size }) => sum + size, 0);
  assert(bytes < MOST_BYTES, `${bytes} bytes`);
  const { size } = await Deno.stat(new URL("weights/model.q8.safetensors", ROOT));
  assert(bytes - size < 1.5e6, `${bytes - size} bytes beside the weights`);
});

Deno.test("the package has all that its modules import or read, and nothing else", async () => {
  const imported = (await Promise.all(ENTRIES.map(importedFiles))).flat();
  const read: string[] = [];
  for (const [path, text] of texts) {
    for (const [, name] of text.matchAll(/new URL\(\s*"([^"]+)",\s*import\.meta\.url,?\s*\)/g)) {
      read.push(new URL(name, new URL(path, ROOT)).href.slice(ROOT.href.length));
    }
  }
  const kernels = [...published].filter((path) => /kernels(_plain)?\.wasm$/.test(path));
  assertEquals(kernels.length, 2);
  for (const path of [...imported, ...read, ...OTHERS]) {
    const isThere = path.endsWith("/")
      ? published.some((file) => file.startsWith(path))
      : published.includes(path);
    assert(isThere || ELSEWHERE.test(path), `${path} is not published`);
  }
  const needed = new Set([...imported, ...read, ...OTHERS, ...kernels]);
  assertEquals(published.filter((path) => !needed.has(path)), []);
});

/** What `deno doc --json` says of a symbol. */
interface Documented {
  name: string;
  declarations: {
    kind: string;
    jsDoc?: { doc?: string; tags?: { kind: string }[] };
    def?: { methods?: { name: string; kind: string; jsDoc?: { tags?: { kind: string }[] } }[] };
  }[];
}

Deno.test("JSR finds all that it gives points for", async () => {
  const { description, license } = await readManifest();
  assert(description.length <= 250 && license === "MIT");
  assertMatch(await Deno.readTextFile(new URL("README.md", ROOT)), /^```ts\nimport /m);
  const json = JSON.parse(await deno(["doc", "--no-lock", "--json", ...ENTRIES]));
  const nodes = Object.values(json.nodes) as {
    module_doc?: { doc: string };
    symbols: Documented[];
  }[];
  assertEquals(nodes.length, ENTRIES.length);
  for (const { module_doc, symbols } of nodes) {
    assert(module_doc?.doc);
    for (const { name, declarations: [{ kind, jsDoc, def }] } of symbols) {
      assert(jsDoc?.doc, `${name} is not documented`);
      if (!/^(class|function|variable)$/.test(kind)) continue;
      const hasExample = (tags?: { kind: string }[]) =>
        tags?.some(({ kind }) => kind === "example");
      assert(hasExample(jsDoc.tags), `${name} has no example`);
      for (const method of def?.methods ?? []) {
        // Getters stand in the class's example, and what all classes have needs none.
        if (method.kind !== "method" || /^(\[|dispose$)/.test(method.name)) continue;
        assert(hasExample(method.jsDoc?.tags), `${name}.${method.name}() has no example`);
      }
    }
  }
});

/** Where JSR has a version. */
const BASE = "/@bashling/bashling/0.1.0/";

/**
 * A module as publishing writes it: npm packages by their full names. Those of `@std` are the stand-ins
 * of `links`, because JSR may be out of reach.
 */
async function unfurl(text: string): Promise<string> {
  const { imports } = await readManifest();
  return text.replaceAll(
    /(from |import\(|resolve\()"(web-tree-sitter|tree-sitter-bash)([^"]*)"/g,
    (_, before, name, path) => `${before}"${imports[name]}${path}"`,
  ).replaceAll(
    /from "@std\/(\w+)(?:\/([\w-]+))?"/g,
    (_, name, part = "mod") => `from "${BASE}scripts/std/${name}/${part.replaceAll("-", "_")}.ts"`,
  );
}

const PROGRAM = (address: string) => `
import { Bashling } from "${address}mod.ts";

using model = await Bashling.load();
const { text, verdict } = await model.choose("List files", { seed: 3, maxTokens: 40 });
console.log(JSON.stringify({ text, verdict, description: model.backend.description }));
`;

Deno.test("the published files alone generate from a server, which is asked for each but once", async () => {
  const asked: string[] = [];
  await using server = Deno.serve({ port: 0, onListen() {} }, async ({ url }) => {
    const path = decodeURI(new URL(url).pathname.slice(BASE.length));
    asked.push(path);
    if (!published.includes(path)) return new Response("Not found\n", { status: 404 });
    const text = texts.get(path);
    if (text !== undefined) {
      return new Response(await unfurl(text), { headers: { "content-type": "text/typescript" } });
    }
    return new Response(await Deno.readFile(new URL(path, ROOT)));
  });
  const host = `127.0.0.1:${server.addr.port}`;
  const folder = await Deno.makeTempDir();
  try {
    // Modules of this server are of no use to anyone later; npm packages are.
    const { npmCache } = JSON.parse(await deno(["info", "--json"])) as { npmCache: string };
    await Deno.mkdir(`${folder}/cache`);
    await Deno.symlink(npmCache, `${folder}/cache/npm`);
    await Deno.writeTextFile(`${folder}/program.ts`, PROGRAM(`http://${host}${BASE}`));
    const run = (flags: string[], program: string, ...args: string[]) =>
      deno(
        ["run", "--quiet", "--no-prompt", `--allow-import=${host}`, ...flags, program, ...args],
        {
          cwd: folder,
          env: { DENO_DIR: `${folder}/cache` },
        },
      );
    const found = JSON.parse(await run([`--allow-net=${host}`, "--allow-read"], "program.ts"));
    using model = await Bashling.load();
    const { text, verdict } = await model.choose("List files", { seed: 3, maxTokens: 40 });
    assertEquals(found, { text, verdict, description: model.backend.description });
    assert(asked.includes("weights/model.q8.safetensors"));
    asked.length = 0;
    assertEquals(JSON.parse(await run(["--allow-read"], "program.ts")), found);
    assertEquals(asked, []);
    const cli = `http://${host}${BASE}src/cli/main.ts`;
    const args = ["generate", "--seed=3", "--max-tokens=40", "List files"];
    assertStringIncludes(await run([`--allow-net=${host}`, "--allow-read"], cli, ...args), text);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
