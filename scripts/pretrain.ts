/** Stage 1: `deno task pretrain`, the same as `bashling train --stage language`. */
import { runTask } from "../src/cli/main.ts";

await runTask("deno task pretrain", ["train", "--stage", "language", ...Deno.args]);
