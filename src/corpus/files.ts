/**
 * Text files read as streams, plain or gzipped.
 *
 * @module
 */

import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";

/**
 * The text of a UTF-8 file in chunks; names that end in `.gz` are unpacked.
 * @throws {Deno.errors.NotFound} if there is no such file.
 * @throws {SyntaxError} if a `.gz` file is damaged or cut short.
 */
export async function* readText(path: string): AsyncGenerator<string, void, unknown> {
  let file: Deno.FsFile;
  try {
    file = await Deno.open(path, { read: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new Deno.errors.NotFound(`There is no file ${path}: check the name.`);
  }
  const decoder = new TextDecoder();
  if (!path.endsWith(".gz")) {
    for await (const chunk of file.readable) yield decoder.decode(chunk, { stream: true });
  } else {
    // Node's reader, for it also takes files put together from several packed ones.
    const unpack = createGunzip();
    const source = Readable.fromWeb(file.readable as ReadableStream<Uint8Array>);
    const done = pipeline(source, unpack).catch(() => {});
    try {
      for await (const chunk of unpack) yield decoder.decode(chunk, { stream: true });
    } catch {
      throw new SyntaxError(`${path} is not a whole gzip file: fetch or pack it again.`);
    } finally {
      unpack.destroy();
      await done;
    }
  }
  yield decoder.decode();
}

/** Lines of a text file with their numbers from 1, line ends removed. */
export async function* readLines(
  path: string,
): AsyncGenerator<{ line: string; number: number }, void, unknown> {
  let rest = "", number = 0;
  for await (const chunk of readText(path)) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop()!;
    for (const line of lines) yield { line: line.replace(/\r$/, ""), number: ++number };
  }
  if (rest) yield { line: rest, number: number + 1 };
}
