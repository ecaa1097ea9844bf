/**
 * Builds an executable with `deno compile`, whose runtime, denort, Deno downloads once for every
 * machine that is built for.
 */
import { CLOSED, ENTRY, RUN_FLAGS } from "./app.ts";

/** Machines that `deno compile` builds for. */
export const TARGETS: readonly string[] = [
  "x86_64-unknown-linux-gnu",
  "aarch64-unknown-linux-gnu",
  "x86_64-apple-darwin",
  "aarch64-apple-darwin",
  "x86_64-pc-windows-msvc",
  "aarch64-pc-windows-msvc",
];

/** What to compile. */
export interface NativeBuild {
  /** Folder of the app. */
  folder: string;
  /** One of {@linkcode TARGETS}. */
  target: string;
  /** The executable to write, an absolute path; ends in `.exe` for Windows. */
  output: string;
  /** What the app loads by names that Deno does not follow. */
  includes: string[];
}

/**
 * Arguments of `deno`. Types are not checked here, where TensorFlow.js and its types are missing.
 */
export function compileArguments({ target, output, includes }: NativeBuild): string[] {
  return [
    "compile",
    "--no-check",
    "--no-lock",
    ...CLOSED,
    ...["--config", "deno.json"],
    ...RUN_FLAGS,
    ...includes.flatMap((path) => ["--include", path]),
    ...["--target", target],
    ...["--output", output],
    ENTRY,
  ];
}

/**
 * Runs `deno compile`.
 * @returns Why denort cannot be downloaded, or nothing when the executable is there.
 * @throws {Error} with all that Deno says, if anything else is wrong.
 */
export async function compileNative(build: NativeBuild): Promise<string | undefined> {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: compileArguments(build),
    cwd: build.folder,
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "null",
  }).output();
  if (success) return undefined;
  const said = new TextDecoder().decode(stderr);
  const cause = downloadFailure(said);
  if (cause !== undefined) return cause;
  throw new Error(`deno compile failed: mend what it says, and try again.\n${said.trim()}`);
}

/**
 * Why denort could not be downloaded, if that is what `deno compile` says. Errors in the sources and
 * a wrong `DENORT_BIN` are something else.
 */
export function downloadFailure(stderr: string): string | undefined {
  const [, cause] = stderr.match(/Setting up base binary\.?\s+\d+: (.+)/) ?? [];
  return cause?.trim().replace(/^error sending request for url \((\S+)\)/, "$1");
}
