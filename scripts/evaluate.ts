/** `deno task evaluate`, the same as `bashling eval`. */
import { runTask } from "../src/cli/main.ts";

await runTask("deno task evaluate", ["eval", ...Deno.args]);
