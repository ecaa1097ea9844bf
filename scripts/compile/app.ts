/**
 * What an executable holds: sources, weights, the grammar's two packages, and a `deno.json` that maps
 * their names to files, so that nothing is left to fetch. TensorFlow.js stays out.
 */
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { Build } from "../../src/cli/version.ts";

/** Files of the app by their names, which are relative, with slashes, and sorted. */
export type App = Map<string, Uint8Array<ArrayBuffer>>;

/** The module that runs. */
export const ENTRY = "src/cli/main.ts";

/** What the command line needs, and nothing more: it runs no program and loads no library. */
export const RUN_FLAGS: readonly string[] = [
  "--no-prompt",
  "--allow-read",
  "--allow-write",
  "--allow-net",
  "--allow-env=BASHLING_API_KEYS,HF_ENDPOINT,XDG_CACHE_HOME,HOME,LOCALAPPDATA,USERPROFILE",
  "--allow-sys=systemMemoryInfo",
  "--unstable-no-legacy-abort",
];

/** The app has all its modules: one that would have to be fetched is an error. */
export const CLOSED: readonly string[] = ["--no-remote", "--no-npm"];

/** Weights in 8 bits are enough: f32 is computed from them where it is asked for. */
const WEIGHTS = [
  "config.json",
  "generation_config.json",
  "tokenizer.json",
  "model.q8.safetensors",
];

/** Packages and those of their files that are in use. The first is what the bare name stands for. */
const PACKAGES: Record<string, string[]> = {
  "tree-sitter-bash": ["tree-sitter-bash.wasm", "package.json", "LICENSE"],
  "web-tree-sitter": [
    "web-tree-sitter.js",
    "web-tree-sitter.wasm",
    "package.json",
    "LICENSE",
  ],
};

/** What the packages call Node's modules, which is no matter of course outside of `node_modules`. */
const BUILTINS = { "fs/promises": "node:fs/promises", "module": "node:module" };

/** Sources that never run in an executable: those of the kernels, and what needs TensorFlow.js. */
const LEFT_OUT = /^src\/(backend\/wasm\/assembly|tfjs)\/(?!load\.ts$)/;

/**
 * Collects the app.
 * @param root Folder of the repository.
 * @param build What `--version` says of the build.
 */
export async function collectApp(root: string, build: Build): Promise<App> {
  const names = [...await filesUnder(root, "src")].filter((name) => !LEFT_OUT.test(name));
  names.push("LICENSE", ...WEIGHTS.map((file) => `weights/${file}`));
  const files: [string, Uint8Array<ArrayBuffer>][] = await Promise.all(
    names.map(async (name) => [name, await Deno.readFile(join(root, name))]),
  );
  const config = JSON.parse(await Deno.readTextFile(join(root, "deno.json")));
  const imports: Record<string, string> = { ...BUILTINS };
  // The stand-ins for jsr:@std that the repository itself runs with.
  for (const link of config.links as string[]) {
    const folder = link.replace(/^\.\//, "");
    const { name, exports } = JSON.parse(await Deno.readTextFile(join(root, folder, "deno.json")));
    const entries = Object.entries(typeof exports === "string" ? { ".": exports } : exports);
    for (const [path, file] of entries) {
      imports[name + path.slice(1)] = `./${folder}/${(file as string).replace(/^\.\//, "")}`;
    }
    for (const file of await filesUnder(root, folder)) {
      if (file.endsWith(".ts")) files.push([file, await Deno.readFile(join(root, file))]);
    }
  }
  const folders = await packageFolders();
  for (const [name, wanted] of Object.entries(PACKAGES)) {
    for (const file of wanted) {
      files.push([`npm/${name}/${file}`, await Deno.readFile(join(folders[name], file))]);
    }
    imports[name] = `./npm/${name}/${wanted[0]}`;
    imports[`${name}/`] = `./npm/${name}/`;
  }
  const { version } = config;
  const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value) + "\n");
  files.push(["deno.json", json({ version, imports })], ["build.json", json(build)]);
  return new Map(files.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Writes the app into a folder. */
export async function writeApp(app: App, folder: string): Promise<void> {
  for (const [name, bytes] of app) {
    const path = join(folder, name);
    await Deno.mkdir(dirname(path), { recursive: true });
    await Deno.writeFile(path, bytes);
  }
}

/**
 * What the app loads at run time by names that `deno compile` does not follow: workers, which are
 * modules, and files and folders of data. Sources tell by `new URL("…", import.meta.url)`; the kernels
 * are all `.wasm` files, as their names are put together.
 */
export function includes(app: App): string[] {
  const found = new Set<string>(["build.json"]);
  const names = [...app.keys()];
  for (const [name, bytes] of app) {
    if (name.endsWith(".wasm")) found.add(name);
    if (!name.endsWith(".ts")) continue;
    const urls = new TextDecoder().decode(bytes)
      .matchAll(/new URL\(\s*"(\.[^"]+)",\s*import\.meta\.url,?\s*\)/g);
    for (const [, relative] of urls) {
      const path = new URL(relative, `file:///${name}`).pathname.slice(1).replace(/\/$/, "");
      if (names.some((name) => name === path || name.startsWith(`${path}/`))) found.add(path);
    }
  }
  const inFound = (path: string) => [...found].some((other) => path.startsWith(`${other}/`));
  return [...found].filter((path) => !inFound(path)).sort();
}

/**
 * What `--version` says of a build from this tree: its git commit, where the tree is one of git's, and
 * the day.
 */
export async function buildOf(root: string): Promise<Build> {
  const date = new Date().toISOString().slice(0, 10);
  // The first line is empty where the tree is a repository itself and no part of another.
  const head = await git(root, "rev-parse", "--show-prefix", "HEAD");
  const commit = head?.match(/^\n([0-9a-f]{12})/)?.[1];
  if (!commit) return { date };
  return { commit, changed: await git(root, "status", "--porcelain") !== "", date };
}

async function git(root: string, ...args: string[]): Promise<string | undefined> {
  try {
    const command = new Deno.Command("git", { args: ["-C", root, ...args], stderr: "null" });
    const { success, stdout } = await command.output();
    return success ? new TextDecoder().decode(stdout) : undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined; // no git here
    throw error;
  }
}

/** Folders of the packages in Deno's cache, where this fetches them if need be. */
async function packageFolders(): Promise<Record<string, string>> {
  await import("tree-sitter-bash/package.json", { with: { type: "json" } });
  await import("web-tree-sitter");
  const folder = (file: string) => dirname(fileURLToPath(import.meta.resolve(file)));
  return {
    "tree-sitter-bash": folder("tree-sitter-bash/tree-sitter-bash.wasm"),
    "web-tree-sitter": folder("web-tree-sitter"),
  };
}

/** Names of the files below a folder of `root`, with slashes. */
async function filesUnder(root: string, folder: string): Promise<string[]> {
  const names: string[] = [];
  for await (const entry of Deno.readDir(new URL(folder, pathToFileURL(join(root, "/"))))) {
    const name = `${folder}/${entry.name}`;
    if (entry.isDirectory) names.push(...await filesUnder(root, name));
    else if (entry.isFile) names.push(name);
  }
  return names;
}
