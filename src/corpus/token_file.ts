/**
 * Files in the cache for the ids of large texts.
 *
 * @module
 */

import { sha256 } from "../digest.ts";
import { cacheFolder } from "../cache_folder.ts";

/** Files of text from this size on are tokenized into a file, in bytes as they lie on disk. */
const LARGE = 100_000_000;

/**
 * Where the ids of a large text file are kept, in the cache under a name made of the tokenizer's
 * fingerprint and the file's path, size and time; `undefined` for small files and for folders, whose
 * ids belong in memory.
 *
 * @param part Which of the file's documents are meant, if not all.
 */
export async function tokenFile(
  path: string,
  tokenizer: { fingerprint(): Promise<string> },
  part = "",
): Promise<string | undefined> {
  let info: Deno.FileInfo;
  try {
    info = await Deno.stat(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined; // Its reader will say so.
    throw error;
  }
  const { isFile, size, mtime } = info;
  if (!isFile || size < LARGE) return undefined;
  const folder = `${cacheFolder()}/tokens`;
  await Deno.mkdir(folder, { recursive: true });
  const identity = [
    await tokenizer.fingerprint(),
    await Deno.realPath(path),
    size,
    mtime?.getTime(),
    part,
  ];
  const name = (await sha256(JSON.stringify(identity))).slice(0, 32);
  return `${folder}/${name}.safetensors`;
}
