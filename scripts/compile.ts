/**
 * `deno task compile`: one executable with model and page inside, which needs neither Deno nor network.
 *
 * `deno compile` makes it. Where its runtime cannot be downloaded, a self-extracting executable around
 * the Deno that runs this is made instead, for this machine. An executable for this machine is tried
 * before it takes the place of an older one.
 */
import { basename, dirname, extname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { COMMON_FLAGS, type Flags } from "../src/cli/flags.ts";
import { nearest } from "../src/cli/nearest.ts";
import { bytesText, grouped, writeNote, writeOut } from "../src/cli/output.ts";
import { UsageError } from "../src/cli/usage.ts";
import { buildOf, collectApp, ENTRY, includes, writeApp } from "./compile/app.ts";
import { compileNative, TARGETS } from "./compile/native.ts";
import { writeSelfExtracting } from "./compile/self_extracting.ts";
import { checkTypes } from "./compile/types.ts";
import { verify } from "./compile/verify.ts";
import { runScript } from "./run_script.ts";

const NAME = "deno task compile";

const HELP = `Build one executable with model and page inside, which needs neither Deno nor network.

Usage: ${NAME} [options]

  --target TARGET            machine to build for: ${
  TARGETS.join(",\n                             ")
} (this one)
  --output FILE              where to write it (dist/bashling)
${COMMON_FLAGS}

The first time, Deno downloads its runtime for the target from dl.deno.land. Where it cannot, a
self-extracting executable is built around the Deno that runs this, for machines like this one.`;

/** Folder of the repository. */
const ROOT = fileURLToPath(new URL("../", import.meta.url));

/** What the command line asks for. */
interface Order {
  target: string;
  /** An absolute path. */
  output: string;
}

/** Reads the command line. */
function readOrder(flags: Flags): Order {
  const [extra] = flags.positional;
  if (extra !== undefined) {
    throw new UsageError(`${NAME} takes no argument ${extra}: name the file with --output.`);
  }
  const target = flags.text("target") ?? Deno.build.target;
  if (!TARGETS.includes(target)) {
    const close = nearest(target, [...TARGETS]);
    const remedy = close ? `did you mean ${close}?` : `choose one of ${TARGETS.join(", ")}.`;
    throw new UsageError(`There is no target ${target}: ${remedy}`);
  }
  const named = flags.text("output") ?? join(ROOT, "dist", "bashling");
  const suffix = target.includes("windows") && extname(named).toLowerCase() !== ".exe";
  return { target, output: resolve(suffix ? `${named}.exe` : named) };
}

/** Whether there is a folder of this name. */
async function isFolder(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isDirectory;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Builds what was asked for and tells of it. */
async function compile({ target, output }: Order): Promise<void> {
  if (await isFolder(output)) {
    throw new UsageError(`${output} is a folder: name a file with --output.`);
  }
  const started = performance.now();
  const here = target === Deno.build.target;
  const build = await buildOf(ROOT);
  const app = await collectApp(ROOT, build);
  const modules = [ENTRY, ...includes(app).filter((name) => name.endsWith(".ts"))];
  if (!await checkTypes(ROOT, modules)) {
    writeNote("Types are not checked, as TensorFlow.js is not here: deno task check does it.\n");
  }
  await Deno.mkdir(dirname(output), { recursive: true });
  const suffix = `${crypto.randomUUID().slice(0, 8)}${extname(output)}`;
  const made = join(dirname(output), `.${basename(output)}.${suffix}`);
  const work = await Deno.makeTempDir({ prefix: "bashling-compile-" });
  const [folder, home] = [join(work, "app"), join(work, "home")];
  const clear = () => {
    for (const path of [made, work]) {
      try {
        Deno.removeSync(path, { recursive: true });
      } catch {
        // It became the output, or somebody still uses it: a temporary folder can stay.
      }
    }
  };
  const interrupt = () => {
    clear();
    Deno.exit(130);
  };
  Deno.addSignalListener("SIGINT", interrupt);
  try {
    writeNote(`Compiling for ${target} …\n`);
    await writeApp(app, folder);
    const cause = await compileNative({ folder, target, output: made, includes: includes(app) });
    if (cause !== undefined) {
      const missing = `denort, the runtime of deno compile, cannot be downloaded for ${target} ` +
        `(${cause})`;
      refuseOthers(missing, here);
      writeNote(`${missing}: building a self-extracting executable around this Deno instead.\n`);
      await writeSelfExtracting(app, build, made);
    }
    await Deno.remove(folder, { recursive: true }); // the executable must not find it
    await Deno.mkdir(home);
    const tried = here ? await verify(made, home, build) : undefined;
    await Deno.rename(made, output);
    const { size } = await Deno.stat(output);
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    writeNote(`Built ${bytesText(size)} in ${seconds} s. `);
    if (tried) {
      const ms = (time: number) => `${grouped(Math.round(time))} ms`;
      writeNote(
        `Tried with an empty environment, an empty home and an empty path: first start ` +
          `${ms(tried.first)}, later ${ms(tried.later)}, a script ${ms(tried.script)}.\n` +
          `${tried.version}\n`,
      );
    } else writeNote("Not tried, as it is for another machine.\n");
    writeOut(`${output}\n`);
  } finally {
    Deno.removeSignalListener("SIGINT", interrupt);
    clear();
  }
}

/** Throws where no self-extracting executable can take the place of a compiled one. */
function refuseOthers(missing: string, here: boolean): void {
  const remedy =
    "allow access to dl.deno.land, or set DENORT_BIN to a denort downloaded elsewhere.";
  if (!here) {
    throw new Error(
      `${missing}, and without it only an executable for this machine, ${Deno.build.target}, can ` +
        `be built: ${remedy}`,
    );
  }
  if (Deno.build.os === "windows") {
    throw new Error(`${missing}, and on Windows nothing can be built without it: ${remedy}`);
  }
}

if (import.meta.main) await runScript(NAME, HELP, (flags) => compile(readOrder(flags)));
