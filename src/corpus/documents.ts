/**
 * Documents of a path of either kind.
 *
 * @module
 */

import { readBash } from "./bash.ts";
import { readStories } from "./stories.ts";

/**
 * Documents of a path: stories if it is a `.txt` or `.txt.gz` file, else bash.
 * @throws As `readStories` and `readBash`.
 */
export function readDocuments(path: string): AsyncGenerator<string, void, unknown> {
  return /\.txt(\.gz)?$/.test(path) ? readStories(path) : readBash(path);
}
