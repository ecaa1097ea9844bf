/**
 * The bash grammar of tree-sitter, loaded once and only when a script is first looked at.
 *
 * @module
 */

import type { Language, Node, Parser, Tree } from "web-tree-sitter";
import { readResource } from "../resource.ts";
import { grammarUrl } from "./grammar.ts";

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
      "Cannot load the bash grammar: allow Deno to read npm packages with --allow-read, or put all " +
        "files of this package in their places.",
      { cause },
    );
  });
  return loading;
}

async function load(): Promise<Parser> {
  const treeSitter = await import("web-tree-sitter");
  await treeSitter.Parser.init();
  const bytes = await readResource(await grammarUrl());
  const language: Language = await treeSitter.Language.load(bytes);
  return new treeSitter.Parser().setLanguage(language);
}
