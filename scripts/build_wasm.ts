/**
 * Compiles the kernels of the wasm backend: `deno task build:wasm`.
 *
 * @module
 */

import asc from "assemblyscript/asc";

const ASSEMBLY = new URL("../src/backend/wasm/", import.meta.url);

/** Where the compiled kernels are kept. */
export const KERNELS = new URL("kernels.wasm", ASSEMBLY);

/** Flags of the compiler. Without `relaxed-simd` the kernels multiply and add in two roundings. */
const FLAGS = [
  "-O1",
  "--noAssert",
  ...["--runtime", "stub"],
  ...["--enable", "simd,relaxed-simd,threads"],
  "--importMemory",
  "--sharedMemory",
  ...["--initialMemory", "1"],
  ...["--maximumMemory", "65536"],
  ...["--use", "abort="],
];

/**
 * Compiles `assembly/index.ts`.
 * @returns The bytes of the module.
 * @throws {Error} with the compiler's messages if it does not compile.
 */
export async function buildKernels(): Promise<Uint8Array<ArrayBuffer>> {
  let binary: Uint8Array<ArrayBuffer> | undefined;
  const { error, stderr } = await asc.main([
    "assembly/index.ts",
    "--outFile",
    "kernels.wasm",
    ...FLAGS,
  ], {
    readFile: (name) => Deno.readTextFile(new URL(name, ASSEMBLY)).catch(() => null),
    writeFile: (_name, contents) => {
      if (typeof contents !== "string") binary = new Uint8Array(contents);
    },
    listFiles: () => [],
  });
  if (error || !binary) throw new Error(`Cannot compile the kernels:\n${stderr}`);
  return binary;
}

if (import.meta.main) {
  const binary = await buildKernels();
  await Deno.writeFile(KERNELS, binary);
  console.log(`kernels.wasm: ${binary.length} bytes`);
}
