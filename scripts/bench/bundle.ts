/**
 * `deno run -A scripts/bench/bundle.ts [--output DIR]`: the benchmarks as files that need no network
 * and no npm, for a GPU machine that has neither. `deno run -A DIR/bench.js gpu` runs there what
 * `deno task bench gpu` runs here, tests included.
 *
 * The bundle has TensorFlow.js and jax-js inside. Left out are the benchmarks that need the shipped
 * weights or other packages: generate, streams, cold, tokenizer, memory and llama.cpp.
 *
 * @module
 */

import { parseArgs } from "@std/cli";
import { copyFiles, ROOT, runDeno } from "../pack_stage.ts";
import { GPU_TESTS } from "./gpu.ts";

/** Packages with parts for the machine, which no bundle can hold. */
const EXTERNAL = ["npm:tokenizers@0.23.2", "npm:@node-llama-cpp/linux-x64@3.22.1"];

/** Files that the code looks for beside itself. */
const FILES = [
  "src/backend/wasm/kernels.wasm",
  "src/backend/wasm/kernels_plain.wasm",
  "scripts/bench/peers/torch_gpt.py",
];

/** Makes the bundle in `folder`. */
export async function bundleBench(folder: string): Promise<void> {
  await Deno.mkdir(folder, { recursive: true });
  const entries = [
    ["scripts/bench/main.ts", "bench.js"],
    // The name by which threads are started; JavaScript is TypeScript too.
    ["src/backend/wasm/worker.ts", "worker.ts"],
    ...GPU_TESTS.map((test) => [`tests/device/${test}.ts`, `${test}.js`]),
  ];
  const output = await Deno.realPath(folder);
  for (const [entry, file] of entries) {
    const options = ["--quiet", "--no-lock", `--output=${output}/${file}`];
    await runDeno(["bundle", ...options, entry, "--external", ...EXTERNAL], ROOT);
  }
  for (const path of FILES) {
    await Deno.copyFile(new URL(path, ROOT), `${output}/${path.split("/").at(-1)}`);
  }
  await copyFiles(["LICENSE"], output);
}

if (import.meta.main) {
  const { output = "dist/bench" } = parseArgs(Deno.args, { string: ["output"] });
  await bundleBench(output);
  console.log(`deno run -A ${output}/bench.js gpu --output ${output}/results`);
}
