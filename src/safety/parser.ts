/**
 * The bash grammar of tree-sitter, loaded once and only when a script is first looked at.
 *
 * The grammar is the `.wasm` inside `npm:tree-sitter-bash`. Once the package is in the module graph,
 * its files resolve to paths: through the import map here, through the `npm:` URL that publishing
 * makes of it on JSR, and through `node_modules` in Node.
 *
 * @module
 */

import type { Language, Node, Parser, Tree } from "web-tree-sitter";
import { readResource } from "../resource.ts";

export type { Node, Tree };

let loading: Promise<Parser> | undefined;

/**
 * The parser, loaded on the first call. Reads two files of npm packages, so Deno must allow that.
 * @throws {Error} if the grammar cannot be found or read; a later call tries again.
 */
export function loadParser(): Promise<Parser> {
  loading ??= load().catch((cause) => {
    loading = undefined;
    throw new Error(
      "Cannot load the bash grammar. Allow reading npm packages with --allow-read.",
      { cause },
    );
  });
  return loading;
}

async function load(): Promise<Parser> {
  // Puts the package into the module graph without running its native binding.
  await import("tree-sitter-bash/package.json", { with: { type: "json" } });
  const treeSitter = await import("web-tree-sitter");
  await treeSitter.Parser.init();
  const bytes = await readResource(await grammarUrl());
  const language: Language = await treeSitter.Language.load(bytes);
  return new treeSitter.Parser().setLanguage(language);
}

async function grammarUrl(): Promise<URL> {
  const url = new URL(import.meta.resolve("tree-sitter-bash/tree-sitter-bash.wasm"));
  if (url.protocol === "file:") return url;
  // Publishing turns the name above into an `npm:` URL, which means nothing to Node.
  const { createRequire } = await import("node:module");
  const { pathToFileURL } = await import("node:url");
  const require = createRequire(import.meta.url);
  return pathToFileURL(require.resolve("tree-sitter-bash/tree-sitter-bash.wasm"));
}
