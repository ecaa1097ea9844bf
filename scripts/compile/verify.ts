/**
 * Tries an executable as somebody would who has nothing else: with an empty environment, an empty home,
 * an empty path and a working directory elsewhere.
 */
import { join } from "node:path";
import { type Build, buildText } from "../../src/cli/version.ts";
import { COMMANDS } from "../../src/cli/commands.ts";

/** What was measured, in milliseconds from start to end. */
export interface Verified {
  /** What `--version` prints. */
  version: string;
  /** The very first start, which may have to unpack. */
  first: number;
  /** A later start. */
  later: number;
  /** Writing a short script. */
  script: number;
}

/** Milliseconds after which an executable that has not ended is given up. */
const LONGEST = 120_000;

/**
 * Runs an executable for this machine: its version, a script, and the help of each subcommand, which
 * loads its code.
 * @param home An empty folder.
 * @throws {Error} if any of it is not as it should be, with what it printed.
 */
export async function verify(file: string, home: string, build: Build): Promise<Verified> {
  try {
    return await tryAll(file, home, build);
  } catch (cause) {
    const what = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`The executable does not work, and is not kept. ${what}`, { cause });
  }
}

async function tryAll(file: string, home: string, build: Build): Promise<Verified> {
  const run = (...args: string[]) => start(file, home, args);
  const versions = [await run("--version"), await run("--version")];
  for (const { stdout, said } of versions) {
    if (!/^bashling \d[^\n]*\n$/.test(stdout) || !stdout.includes(buildText(build))) {
      throw new Error(`It does not tell its version: ${said}`);
    }
  }
  const commands = Object.keys(COMMANDS);
  const helps = await Promise.all(commands.map((name) => run(name, "--help")));
  for (const [i, { stdout, said }] of helps.entries()) {
    if (!stdout.includes(`bashling ${commands[i]}`)) {
      throw new Error(`It has no ${commands[i]}: ${said}`);
    }
  }
  // Two threads are a worker more, and the verdict needs the grammar.
  const options = ["--seed", "1", "--max-tokens", "40", "--threads", "2"];
  const { stdout, stderr, said, elapsed } = await run("generate", ...options, "List files");
  if (!stdout.startsWith("#!/bin/bash\n# List files\n") || !stderr.startsWith("verdict: ")) {
    throw new Error(`It does not write a script: ${said}`);
  }
  const [first, later] = versions.map(({ elapsed }) => elapsed);
  return { version: versions[0].stdout.trim(), first, later, script: elapsed };
}

/** Runs the file to its end. */
async function start(file: string, home: string, args: string[]) {
  const nowhere = join(home, "nowhere");
  const env: Record<string, string> = { HOME: home, PATH: nowhere };
  if (Deno.build.os === "windows") {
    // Without it Windows itself cannot open a socket.
    env.SystemRoot = Deno.env.get("SystemRoot") ?? "C:\\Windows";
    env.USERPROFILE = home;
  }
  const started = performance.now();
  const command = new Deno.Command(file, {
    args,
    cwd: home,
    clearEnv: true,
    env,
    stdin: "null",
    signal: AbortSignal.timeout(LONGEST),
  });
  const output = await command.output();
  const elapsed = performance.now() - started;
  const [stdout, stderr] = [output.stdout, output.stderr].map((bytes) =>
    new TextDecoder().decode(bytes)
  );
  return { stdout, stderr, elapsed, said: (stderr || stdout || "nothing was printed").trim() };
}
