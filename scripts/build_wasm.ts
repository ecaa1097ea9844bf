/**
 * Compiles the kernels of the wasm backend: `deno task build:wasm`.
 *
 * @module
 */

import asc from "npm:assemblyscript@0.28.20/asc";

const ASSEMBLY = new URL("../src/backend/wasm/", import.meta.url);

/**
 * The two builds and where they are kept. Without `relaxed-simd` kernels multiply and add in two
 * roundings, and take more instructions for the products of 8-bit numbers, which come out the same.
 */
export const BUILDS = [
  { file: new URL("kernels.wasm", ASSEMBLY), features: "simd,relaxed-simd,threads" },
  { file: new URL("kernels_plain.wasm", ASSEMBLY), features: "simd,threads" },
] as const;

/** Flags of the compiler. */
const FLAGS = [
  "-O1",
  "--noAssert",
  ...["--runtime", "stub"],
  "--importMemory",
  "--sharedMemory",
  ...["--initialMemory", "1"],
  ...["--maximumMemory", "65536"],
  ...["--use", "abort="],
];

/**
 * Compiles `assembly/index.ts`.
 * @param features Features of WebAssembly that it may use.
 * @returns The bytes of the module.
 * @throws {Error} with the compiler's messages if it does not compile.
 */
export async function buildKernels(features: string): Promise<Uint8Array<ArrayBuffer>> {
  let binary: Uint8Array<ArrayBuffer> | undefined;
  const { error, stderr } = await asc.main([
    "assembly/index.ts",
    "--outFile",
    "kernels.wasm",
    ...FLAGS,
    ...["--enable", features],
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
  for (const { file, features } of BUILDS) {
    const binary = await buildKernels(features);
    await Deno.writeFile(file, binary);
    console.log(`${file.pathname.split("/").at(-1)}: ${binary.length} bytes`);
  }
}
