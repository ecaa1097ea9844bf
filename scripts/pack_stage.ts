/**
 * Copies the library's modules into a folder, made ready for a runtime that is not Deno: what only
 * Deno can import becomes a module, and what is found through Deno is found beside the code.
 *
 * @module
 */

import { dirname } from "node:path";
import { grammarUrl } from "../src/safety/grammar.ts";

/** Folder of this repository. */
export const ROOT: URL = new URL("../", import.meta.url);

/** What of `weights/` the library reads; f32 weights are made of those in 8 bits. */
const WEIGHTS: readonly string[] = [
  "config.json",
  "generation_config.json",
  "model.q8.safetensors",
  "tokenizer.json",
];

/** What this project's deno.json says. */
export interface Manifest {
  name: string;
  version: string;
  license: string;
  description: string;
  imports: Record<string, string>;
  compilerOptions: unknown;
}

/** Reads deno.json. */
export async function readManifest(): Promise<Manifest> {
  return JSON.parse(await Deno.readTextFile(new URL("deno.json", ROOT)));
}

/** Runs Deno in `cwd` and returns what it printed on stdout. */
export async function runDeno(args: string[], cwd: string | URL): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args,
    cwd,
    env: { NO_COLOR: "1" },
  }).output();
  const decoder = new TextDecoder();
  if (success) return decoder.decode(stdout);
  throw new Error(
    `deno ${args.join(" ")} failed: ${decoder.decode(stderr).trim() || decoder.decode(stdout)}`,
  );
}

/** Paths of the modules that mod.ts imports, types included, within this repository. */
async function libraryModules(): Promise<string[]> {
  const json = await runDeno(["info", "--no-lock", "--json", "mod.ts"], ROOT);
  const { modules } = JSON.parse(json) as { modules: { specifier: string }[] };
  return modules.map(({ specifier }) => specifier).filter((url) => url.startsWith(ROOT.href))
    .map((url) => url.slice(ROOT.href.length)).sort();
}

/** Changes of a module: what stands in it exactly once, and what takes its place. */
type Changes = [from: string, to: string][];

/** Changes a file. Each text must be there, so that no change can be forgotten. */
export async function replaceIn(file: string, changes: Changes): Promise<void> {
  let text = await Deno.readTextFile(file);
  for (const [from, to] of changes) {
    const parts = text.split(from);
    if (parts.length !== 2) {
      throw new Error(
        `${JSON.stringify(from)} stands ${parts.length - 1} times in ${file}, expected once.`,
      );
    }
    text = parts.join(to);
  }
  await Deno.writeTextFile(file, text);
}

/** Names of modules that are given as text: all will be JavaScript. */
const CHANGES: Record<string, Changes> = {
  "src/backend/wasm/thread.ts": [
    ['new Worker(new URL("./worker.ts"', 'new Worker(new URL("./worker.js"'],
    ['new NodeWorker(new URL("./worker.ts"', 'new NodeWorker(new URL("./worker.js"'],
  ],
  "src/tfjs/load.ts": [
    ['load("engine.ts")', 'load("engine.js")'],
    ['load("inference.ts")', 'load("inference.js")'],
  ],
};

/** The module that stands in the place of src/safety/grammar.ts, beside the grammar itself. */
const GRAMMAR = `/** Finds the grammar. */
export function grammarUrl(): URL {
  return new URL("./tree-sitter-bash.wasm", import.meta.url);
}
`;

/** Copies files of this repository, under the same paths. */
export async function copyFiles(paths: readonly string[], folder: string): Promise<void> {
  for (const path of paths) {
    await Deno.mkdir(dirname(`${folder}/${path}`), { recursive: true });
    await Deno.copyFile(new URL(path, ROOT), `${folder}/${path}`);
  }
}

/** Fills `folder` with the library's modules, its kernels, its weights and the bash grammar. */
export async function stage(folder: string): Promise<void> {
  const modules = await libraryModules();
  const kernels = ["kernels.wasm", "kernels_plain.wasm"].map((file) => `src/backend/wasm/${file}`);
  const weights = WEIGHTS.map((file) => `weights/${file}`);
  await copyFiles([...modules, ...kernels, ...weights, "weights/README.md", "LICENSE"], folder);
  for (const [path, changes] of Object.entries(CHANGES)) {
    await replaceIn(`${folder}/${path}`, changes);
  }
  await importTexts(folder, modules);
  const grammar = await grammarUrl(), safety = `${folder}/src/safety`;
  await Deno.writeTextFile(`${safety}/grammar.ts`, GRAMMAR);
  await Deno.copyFile(grammar, `${safety}/tree-sitter-bash.wasm`);
  await Deno.copyFile(new URL("LICENSE", grammar), `${safety}/tree-sitter-bash.LICENSE`);
  const { name, version, license, description, imports, compilerOptions } = await readManifest();
  const manifest = {
    name,
    version,
    license,
    description,
    exports: "./mod.ts",
    imports: { "web-tree-sitter": imports["web-tree-sitter"] },
    compilerOptions,
  };
  await Deno.writeTextFile(`${folder}/deno.json`, JSON.stringify(manifest, null, 2));
}

/** Turns files that modules import as text, which only Deno can, into modules. */
async function importTexts(folder: string, modules: string[]): Promise<void> {
  for (const path of modules.filter((path) => path.endsWith(".ts"))) {
    const text = await Deno.readTextFile(`${folder}/${path}`);
    const changed = text.replaceAll(/("\.[^"]+)" with \{ type: "text" \}/g, '$1.ts"');
    if (changed !== text) await Deno.writeTextFile(`${folder}/${path}`, changed);
  }
  for (const path of modules.filter((path) => path.endsWith(".wgsl"))) {
    const text = JSON.stringify(await Deno.readTextFile(`${folder}/${path}`));
    const module = `const text: string = ${text};\nexport default text;\n`;
    await Deno.writeTextFile(`${folder}/${path}.ts`, module);
    await Deno.remove(`${folder}/${path}`);
  }
}
