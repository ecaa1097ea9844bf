/**
 * The command line: `bashling <subcommand> …`. Data go to stdout, everything else to stderr. The exit
 * code is 0, 1 (failed), 2 (wrong usage) or 130 (interrupted).
 *
 * @module
 */

import { COMMANDS } from "./commands.ts";
import { nearest } from "./nearest.ts";
import { writeError, writeNote, writeOut } from "./output.ts";
import { UsageError } from "./usage.ts";

const NAME = "bashling";

function mainHelp(): string {
  const width = Math.max(...Object.keys(COMMANDS).map((name) => name.length));
  const list = Object.entries(COMMANDS).map(([name, { summary }]) =>
    `  ${name.padEnd(width)}  ${summary}`
  );
  return `A language model that reads English and writes bash.

Usage: ${NAME} <subcommand> [arguments]

${list.join("\n")}

  -h, --help     show this text, or that of a subcommand
  -V, --version  show the version
  --debug        show where an error comes from

Nothing that the model writes is ever run. Read a script before you run it.
`;
}

/** Runs what `args` say and returns the exit code. Errors are the caller's. */
async function dispatch(args: string[], called: string): Promise<number> {
  const [name, ...rest] = args;
  if (name === undefined) throw new UsageError(`No subcommand was given: see ${NAME} --help.`);
  if (name === "--help" || name === "-h" || name === "help") {
    writeOut(mainHelp());
    return 0;
  }
  if (name === "--version" || name === "-V") {
    const { versionText } = await import("./version.ts");
    writeOut(`${await versionText()}\n`);
    return 0;
  }
  if (!Object.hasOwn(COMMANDS, name)) {
    const close = nearest(name, Object.keys(COMMANDS));
    throw new UsageError(
      `There is no subcommand ${name}: ${close ? `did you mean ${close}?` : `see ${NAME} --help.`}`,
    );
  }
  const { help, run } = await COMMANDS[name].load();
  const flags = rest.includes("--") ? rest.slice(0, rest.indexOf("--")) : rest;
  if (flags.includes("--help") || flags.includes("-h")) {
    writeOut(`${help}\n`);
    return 0;
  }
  return await run(rest, called);
}

/**
 * Runs a command line to its end and exits.
 * @param called How the user called it: `bashling train`, or the task behind which it stands.
 *
 * @example Not run by the tests, since it exits
 * ```ts ignore
 * import { runTask } from "@bashling/bashling/cli";
 *
 * await runTask("my-tool generate", ["generate", "List files"]);
 * ```
 */
export async function runTask(called: string, args: string[]): Promise<never> {
  const end = args.indexOf("--");
  const debug = args.some((arg, i) => arg === "--debug" && (end < 0 || i < end));
  const rest = args.filter((arg, i) => arg !== "--debug" || (end >= 0 && i > end));
  try {
    Deno.exit(await dispatch(rest, called));
  } catch (error) {
    // Whoever reads our output has enough of it: `bashling generate … | head -1`.
    if (error instanceof Deno.errors.BrokenPipe) Deno.exit(0);
    writeError(error instanceof Error ? error.message : String(error));
    if (debug && error instanceof Error) writeNote(`${error.stack}\n`);
    Deno.exit(error instanceof UsageError ? 2 : 1);
  }
}

if (import.meta.main) await runTask(`${NAME} ${Deno.args[0] ?? ""}`.trim(), Deno.args);
