/**
 * Where the bash grammar is: the `.wasm` inside `npm:tree-sitter-bash`.
 *
 * Once the package is in the module graph, its files resolve to paths: through the import map here,
 * and through the `npm:` URL that publishing makes of it on JSR. The packages for Node and for pages
 * carry the file and have another module in the place of this one (`scripts/pack_stage.ts`).
 *
 * @module
 */

/** Finds the grammar. */
export async function grammarUrl(): Promise<URL> {
  // Puts the package into the module graph without running its native binding.
  await import("tree-sitter-bash/package.json", { with: { type: "json" } });
  const url = new URL(import.meta.resolve("tree-sitter-bash/tree-sitter-bash.wasm"));
  if (url.protocol === "file:") return url;
  // Publishing turns the name above into an `npm:` URL, which means nothing to Node.
  const { createRequire } = await import("node:module");
  const { pathToFileURL } = await import("node:url");
  const require = createRequire(import.meta.url);
  return pathToFileURL(require.resolve("tree-sitter-bash/tree-sitter-bash.wasm"));
}
