/**
 * Checks the types of what is compiled, while that costs no large download.
 */
import { join } from "node:path";

/** The package whose types the sources name and whose download would take 340 MB. */
const LARGE = "registry.npmjs.org/@tensorflow/tfjs";

/**
 * Checks the modules' types, unless TensorFlow.js would have to be fetched for it: then `deno task
 * check` is where they are checked.
 * @returns Whether they were checked.
 * @throws {Error} with all that Deno says, if they are wrong.
 */
export async function checkTypes(root: string, modules: string[]): Promise<boolean> {
  const info = await deno(root, ["info", "--json", "--no-lock"]);
  const { npmCache } = JSON.parse(info.stdout) as { npmCache: string };
  const large = await Deno.stat(join(npmCache, LARGE)).catch(() => undefined);
  if (!large) return false;
  const { success, stderr } = await deno(root, ["check", "--no-lock", ...modules]);
  if (success) return true;
  throw new Error(`The types are wrong: mend what deno check says, and try again.\n${stderr}`);
}

async function deno(cwd: string, args: string[]) {
  const command = new Deno.Command(Deno.execPath(), {
    args,
    cwd,
    env: { NO_COLOR: "1" },
    stdin: "null",
  });
  const { success, stdout, stderr } = await command.output();
  const decoder = new TextDecoder();
  return { success, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr).trim() };
}
