/**
 * `deno task bundle [FOLDER]`: the library for pages, in one folder that any web server can serve.
 * What is only sometimes needed (WebGPU, the verdict, scoring) is in files of its own, and fetched
 * then. With `--serve`, the folder is served on port 8000.
 *
 * @module
 */

import "web-tree-sitter"; // so that its files resolve to paths
import { COMMON_FLAGS, type Flags } from "../src/cli/flags.ts";
import { copyFiles, replaceIn, ROOT, runDeno, stage } from "./pack_stage.ts";
import { onlyArgument, runScript } from "./run_script.ts";

const NAME = "deno task bundle";

/** Port on which a bundle is served; the task may listen on no other. */
const PORT = 8000;

const HELP = `Bundle the library for pages.

Usage: ${NAME} [options] [FOLDER]     (dist/browser)

  --serve                    serve the folder on port ${PORT}
${COMMON_FLAGS}`;

/** The module that stands in the place of src/tfjs/load.ts, to keep 340 MB of packages out. */
const NO_TENSORFLOW = `const refuse = (): Promise<never> =>
  Promise.reject(new Error("TensorFlow.js is not part of the bundle for pages: use another backend."));
export { refuse as loadTfjsEngine, refuse as loadTfjsInference };
`;

/** Makes the bundle in `output`, which is new, empty, or a bundle to be replaced. */
export async function bundle(output: string): Promise<void> {
  await clear(output);
  const source = await Deno.makeTempDir();
  try {
    await stage(source);
    await Deno.writeTextFile(`${source}/src/tfjs/load.ts`, NO_TENSORFLOW);
    await replaceIn(`${source}/src/model/shipped.ts`, [['"../../weights/"', '"./weights/"']]);
    await Deno.rename(`${source}/mod.ts`, `${source}/${ENTRY}.ts`);
    await Deno.writeTextFile(`${source}/worker.ts`, 'import "./src/backend/wasm/worker.ts";\n');
    const options = ["--no-lock", "--platform=browser", "--minify", "--code-splitting"];
    const modules = [`${ENTRY}.ts`, "worker.ts"];
    await runDeno(["bundle", ...options, `--outdir=${source}/out`, ...modules], source);
    await copyAll(`${source}/out`, output);
    await copyAll(`${source}/weights`, `${output}/weights`);
    await copyAll(`${source}/src/backend/wasm`, output, /\.wasm$/);
    await copyAll(`${source}/src/safety`, output, /^tree-sitter-bash/);
    await copyFiles(["LICENSE"], output);
    const treeSitter = new URL(import.meta.resolve("web-tree-sitter/web-tree-sitter.wasm"));
    await Deno.copyFile(treeSitter, `${output}/web-tree-sitter.wasm`);
    await Deno.copyFile(new URL("LICENSE", treeSitter), `${output}/web-tree-sitter.LICENSE`);
    await Deno.copyFile(new URL("scripts/pack_page.html", ROOT), `${output}/index.html`);
  } finally {
    await Deno.remove(source, { recursive: true });
  }
}

/** Name of the module that a page imports. */
const ENTRY = "bashling";

/** Removes the bundle in a folder; anything else is left alone. */
async function clear(folder: string): Promise<void> {
  try {
    const files = (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name);
    if (files.length > 0 && !files.includes(`${ENTRY}.js`)) {
      throw new Error(`${folder} holds something else than a bundle: name another folder.`);
    }
    await Deno.remove(folder, { recursive: true });
  } catch (error) {
    if (error instanceof Deno.errors.NotADirectory) {
      throw new Error(`${folder} is no folder: name another.`);
    }
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Copies the files of a folder whose names match. */
async function copyAll(from: string, to: string, names = /./): Promise<void> {
  await Deno.mkdir(to, { recursive: true });
  for await (const { name, isFile } of Deno.readDir(from)) {
    if (isFile && names.test(name)) await Deno.copyFile(`${from}/${name}`, `${to}/${name}`);
  }
}

/** Headers that make a page cross-origin isolated: only then may it share memory with workers. */
const ISOLATION = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
};

const TYPES: Record<string, string> = {
  html: "text/html; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  json: "application/json",
  wasm: "application/wasm",
};

/** Answers requests for the files of a bundle. */
export async function serveFile(
  folder: string,
  { url }: Request,
  isolated: boolean,
): Promise<Response> {
  const name = new URL(url).pathname.slice(1) || "index.html";
  if (!/^(weights\/)?\w[\w.-]*$/.test(name)) return new Response("No such file\n", { status: 404 });
  try {
    const { readable } = await Deno.open(`${folder}/${name}`);
    const type = TYPES[name.slice(name.lastIndexOf(".") + 1)] ?? "application/octet-stream";
    return new Response(readable, {
      headers: { "content-type": type, ...(isolated ? ISOLATION : {}) },
    });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return new Response("No such file\n", { status: 404 });
  }
}

/** Bundles, and serves, as the command line says. */
async function bundleAsked(flags: Flags): Promise<void> {
  const output = onlyArgument(flags, NAME) ?? "dist/browser";
  await bundle(output);
  console.log(`${output}: serve it, and open its index.html.`);
  if (!flags.has("serve")) return;
  try {
    Deno.serve(
      { hostname: "127.0.0.1", port: PORT },
      (request) => serveFile(output, request, true),
    );
  } catch (error) {
    if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    throw new Error(`Port ${PORT} is in use: stop what listens there, or leave --serve out.`);
  }
}

if (import.meta.main) await runScript(NAME, HELP, bundleAsked);
