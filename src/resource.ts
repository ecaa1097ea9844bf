/**
 * Files wherever they are: on disk or on the web, the user's or this module's own.
 *
 * @module
 */

import { fileSize, readFile } from "./disk.ts";

const tooLong = (path: string | URL, bytes: number, limit: number): RangeError =>
  new RangeError(
    `Cannot load ${path}: it has ${bytes} bytes, expected at most ${limit}; give the file that belongs here.`,
  );

/**
 * Reads a file on disk, `undefined` if there is none.
 * @throws {RangeError} if it has more than `limit` bytes.
 */
export async function readLocal(
  path: string | URL,
  limit: number,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const size = await fileSize(path);
  if (size === undefined) return undefined;
  if (size > limit) throw tooLong(path, size, limit);
  return await readFile(path);
}

/**
 * Reads a file on the web, `undefined` if there is none.
 *
 * Deno keeps modules and fetches anything else anew in every process. So files of a published version
 * of this module, which never change, are kept as modules are.
 *
 * @throws {RangeError} if it has more than `limit` bytes.
 * @throws {Error} if the server cannot be reached or refuses.
 */
export async function readRemote(
  url: URL,
  limit: number,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const store = await openStore(url);
  const kept = await store?.match(url).catch(() => undefined);
  if (kept) return await readBody(kept, url, limit);
  const response = await request(url);
  if (!response) return undefined;
  const bytes = await readBody(response, url, limit);
  await store?.put(url, new Response(bytes)).catch(() => {});
  return bytes;
}

/** Where the file at `url` is kept, if it belongs to a published version: JSR's URLs name both. */
async function openStore({ pathname }: URL): Promise<Cache | undefined> {
  if (!("Deno" in globalThis) || !/\/@[^/]+\/bashling\/\d+\.\d+\.\d+[^/]*\//.test(pathname)) {
    return undefined;
  }
  return await caches.open("bashling").catch(() => undefined);
}

async function request(url: URL): Promise<Response | undefined> {
  let response: Response;
  try {
    response = await fetch(url);
  } catch (cause) {
    throw new Error(
      `Cannot load ${url}: the server cannot be reached; check address and network.`,
      { cause },
    );
  }
  if (response.ok) return response;
  await response.body?.cancel();
  if (response.status === 404) return undefined;
  throw new Error(`Cannot load ${url}: the server answers ${response.status}; try again later.`);
}

async function readBody(
  { body }: Response,
  url: URL,
  limit: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let size = 0;
  const reader = body?.getReader();
  for (let next = await reader?.read(); next && !next.done; next = await reader?.read()) {
    size += next.value.length;
    if (size > limit) {
      await reader?.cancel();
      throw tooLong(url, size, limit);
    }
    parts.push(next.value);
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

/**
 * Reads the file at `url`, from disk for `file:`, else over the network.
 * @throws {Error} if it cannot be read.
 */
export async function readResource(url: URL): Promise<Uint8Array<ArrayBuffer>> {
  if (url.protocol === "file:") return await readFile(url);
  const bytes = await readRemote(url, Infinity);
  if (bytes) return bytes;
  throw new Error(
    `Cannot load ${url}: the server has no such file; check the address, and that all files are there.`,
  );
}
