/** Stage 2: `deno task finetune`, the same as `bashling train --stage code`. */
import { runTask } from "../src/cli/main.ts";

await runTask("deno task finetune", ["train", "--stage", "code", ...Deno.args]);
