/**
 * Files that belong to this module, wherever it was loaded from.
 *
 * @module
 */

/**
 * Reads the file at `url`: from disk for `file:`, else over the network.
 * @throws {Error} if the file cannot be read.
 */
export async function readResource(url: URL): Promise<Uint8Array<ArrayBuffer>> {
  if (url.protocol === "file:") {
    if ("Deno" in globalThis) return await Deno.readFile(url);
    const { readFile } = await import("node:fs/promises");
    return new Uint8Array(await readFile(url));
  }
  const response = await fetch(url);
  if (!response.ok) {
    throw new Error(`Cannot read ${url}: the server answered ${response.status}.`);
  }
  return new Uint8Array(await response.arrayBuffer());
}
