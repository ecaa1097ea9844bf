/**
 * What the tasks that build something have in common: a command line by their help text, and errors
 * told in one sentence. The exit code is 0, 1 (failed) or 2 (wrong usage).
 *
 * @module
 */

import { Flags } from "../src/cli/flags.ts";
import { writeError, writeNote, writeOut } from "../src/cli/output.ts";
import { UsageError } from "../src/cli/usage.ts";

/**
 * Runs a task as `Deno.args` say.
 * @param name How the user called it.
 * @param help Its help text, which also says what flags it has.
 */
export async function runScript(
  name: string,
  help: string,
  run: (flags: Flags) => Promise<void>,
): Promise<void> {
  const debug = Deno.args.includes("--debug");
  try {
    const flags = new Flags(name, help, Deno.args);
    if (flags.has("help")) writeOut(`${help}\n`);
    else await run(flags);
  } catch (error) {
    writeError(error instanceof Error ? error.message : String(error));
    if (debug && error instanceof Error) writeNote(`${error.stack}\n`);
    Deno.exit(error instanceof UsageError ? 2 : 1);
  }
}

/**
 * The one argument that a task may have.
 * @throws {UsageError} if there are more.
 */
export function onlyArgument({ positional }: Flags, name: string): string | undefined {
  const [first, extra] = positional;
  if (extra === undefined) return first;
  throw new UsageError(`${name} takes one argument: leave ${extra} out.`);
}
