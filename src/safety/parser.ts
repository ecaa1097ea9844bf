/**
 * The bash grammar of tree-sitter, loaded once and only when a script is first looked at.
 *
 * The grammar is the `.wasm` inside `npm:tree-sitter-bash`. Importing the package's `package.json`
 * puts the package into the module graph without running its native binding, and from then on its
 * files resolve to paths: through the import map, through the `npm:` specifier for whoever imports
 * this package from JSR, and through `node_modules` in Node.
 *
 * @module
 */

import type { Language, Node, Parser, Tree } from "web-tree-sitter";
import { readResource } from "../resource.ts";

export type { Node, Tree };

const GRAMMAR = "tree-sitter-bash/tree-sitter-bash.wasm";

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
  const { default: manifest } = await import("tree-sitter-bash/package.json", {
    with: { type: "json" },
  });
  const treeSitter = await import("web-tree-sitter");
  await treeSitter.Parser.init();
  const bytes = await readResource(grammarUrl(manifest.version));
  const language: Language = await treeSitter.Language.load(bytes);
  return new treeSitter.Parser().setLanguage(language);
}

function grammarUrl(version: string): URL {
  try {
    return new URL(import.meta.resolve(GRAMMAR));
  } catch {
    // Imported from JSR: no import map there.
    return new URL(import.meta.resolve(GRAMMAR.replace("/", `@${version}/`).replace(/^/, "npm:")));
  }
}
