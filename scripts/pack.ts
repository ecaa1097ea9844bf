/**
 * `deno task pack [FILE]`: packs the library for npm. `deno pack` makes JavaScript and declarations of
 * the modules; what Node needs beside that is done before and after (`pack_stage.ts`).
 *
 * @module
 */

import { COMMON_FLAGS, type Flags } from "../src/cli/flags.ts";
import { UsageError } from "../src/cli/usage.ts";
import { copyFiles, readManifest, ROOT, runDeno, stage } from "./pack_stage.ts";
import { onlyArgument, runScript } from "./run_script.ts";

const NAME = "deno task pack";

const HELP = `Pack the library for npm.

Usage: ${NAME} [options] [FILE]       (in dist/, by name and version)

${COMMON_FLAGS}`;

/** What package.json says beside what `deno pack` writes. */
interface PackageJson {
  name: string;
  dependencies: Record<string, string>;
  [key: string]: unknown;
}

/** Packages that only the backend `tfjs` needs, and that are far larger than all the rest. */
const OPTIONAL = /^@tensorflow\//;

/** Makes the tarball at `output`. */
export async function pack(output: string): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    const source = `${folder}/source`;
    await Deno.mkdir(source);
    await stage(source);
    await copyFiles(["README.md"], source);
    const made = `${folder}/made.tgz`;
    await runDeno(["pack", "--allow-dirty", "--no-source-maps", "-o", made], source);
    await tar("-xzf", made, "-C", folder);
    const file = `${folder}/package/package.json`;
    const complete = completePackageJson(JSON.parse(await Deno.readTextFile(file)));
    await Deno.writeTextFile(file, `${JSON.stringify(await complete, null, 2)}\n`);
    await completeDeclarations(`${folder}/package/mod.d.ts`);
    await tar("-czf", output, "-C", folder, "package");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Says what npm shows and checks, and leaves TensorFlow.js to those who want it. */
async function completePackageJson(json: PackageJson): Promise<PackageJson> {
  const { description } = await readManifest();
  const entries = Object.entries(json.dependencies);
  const optional = entries.filter(([name]) => OPTIONAL.test(name));
  return {
    ...json,
    description,
    keywords: ["bash", "shell", "language-model", "code-generation", "wasm", "webgpu"],
    engines: { node: ">=20" },
    dependencies: Object.fromEntries(entries.filter(([name]) => !OPTIONAL.test(name))),
    peerDependencies: Object.fromEntries(optional),
    peerDependenciesMeta: Object.fromEntries(
      optional.map(([name]) => [name, { optional: true }]),
    ),
  };
}

/** Names the library of TypeScript that declares `Disposable`, which few projects have by default. */
async function completeDeclarations(file: string): Promise<void> {
  const text = await Deno.readTextFile(file);
  await Deno.writeTextFile(file, `/// <reference lib="esnext.disposable" />\n${text}`);
}

async function tar(...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command("tar", { args }).output();
  if (!success) throw new Error(`tar failed: ${new TextDecoder().decode(stderr).trim()}`);
}

/** Packs as the command line says. */
async function packAsked(flags: Flags): Promise<void> {
  const { name, version } = await readManifest();
  const file = `${name.replace("@", "").replace("/", "-")}-${version}.tgz`;
  const output = onlyArgument(flags, NAME) ?? `dist/${file}`;
  const there = await Deno.stat(output).catch(() => undefined);
  if (there?.isDirectory) throw new UsageError(`${output} is a folder: name a file.`);
  await Deno.mkdir(new URL("dist/", ROOT), { recursive: true });
  await pack(output);
  const { size } = await Deno.stat(output);
  console.log(`${output}: ${(size / 1e6).toFixed(1)} MB. Install it with: npm install ${output}`);
}

if (import.meta.main) await runScript(NAME, HELP, packAsked);
