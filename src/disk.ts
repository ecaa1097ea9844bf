/**
 * Files on disk, through Deno or, where there is none, through Node.
 *
 * @module
 */

type NodeFiles = typeof import("node:fs/promises");

const inDeno = "Deno" in globalThis;

/** The error of a file that is not there: Deno's, or one of the same name where there is no Deno. */
export const NotFound: new (message?: string, options?: ErrorOptions) => Error = inDeno
  ? Deno.errors.NotFound
  : class extends Error {
    override readonly name = "NotFound";
  };

/** A file that is being written. */
interface OpenFile {
  write(bytes: Uint8Array): Promise<number>;
  sync(): Promise<void>;
  close(): void | Promise<void>;
}

async function nodeFiles(): Promise<NodeFiles> {
  if (!("process" in globalThis)) {
    throw new Error(
      "There is no disk here, as in a page: load from an http: or https: URL, and keep results yourself.",
    );
  }
  return await import("node:fs/promises");
}

const hasCode = (error: unknown, ...codes: string[]): boolean =>
  codes.includes((error as { code?: string }).code ?? "");

/** Runs `work` on Node's files, and tells what is missing as Deno does. */
async function inNode<T>(work: (files: NodeFiles) => Promise<T>): Promise<T> {
  try {
    return await work(await nodeFiles());
  } catch (cause) {
    if (hasCode(cause, "ENOENT")) throw new NotFound((cause as Error).message, { cause });
    throw cause;
  }
}

/** Bytes of a file, or `undefined` if there is nothing of this name. */
export async function fileSize(path: string | URL): Promise<number | undefined> {
  try {
    if (inDeno) return (await Deno.stat(path)).size;
    return (await inNode(({ stat }) => stat(path))).size;
  } catch (error) {
    const isMissing = error instanceof NotFound || hasCode(error, "ENOTDIR") ||
      inDeno && error instanceof Deno.errors.NotADirectory;
    if (isMissing) return undefined;
    throw error;
  }
}

/**
 * A whole file.
 * @throws {Deno.errors.NotFound} if there is none.
 */
export async function readFile(path: string | URL): Promise<Uint8Array<ArrayBuffer>> {
  if (inDeno) return await Deno.readFile(path);
  return new Uint8Array(await inNode(({ readFile }) => readFile(path)));
}

/** Whether there is a file, a folder or a link of this name. */
export async function exists(path: string): Promise<boolean> {
  try {
    await (inDeno ? Deno.lstat(path) : inNode(({ lstat }) => lstat(path)));
    return true;
  } catch (error) {
    if (error instanceof NotFound) return false;
    throw error;
  }
}

/** Names of what is in a folder. */
export async function listFolder(path: string): Promise<string[]> {
  if (!inDeno) return await inNode(({ readdir }) => readdir(path));
  return (await Array.fromAsync(Deno.readDir(path))).map(({ name }) => name);
}

/** Makes a folder and those above it, where they are missing. */
export async function makeFolder(path: string): Promise<void> {
  await (inDeno
    ? Deno.mkdir(path, { recursive: true })
    : inNode(({ mkdir }) => mkdir(path, { recursive: true })));
}

/** Removes a file, or a folder with all that is in it; passes over what is not there. */
export async function remove(path: string): Promise<void> {
  try {
    await (inDeno
      ? Deno.remove(path, { recursive: true })
      : inNode(({ rm }) => rm(path, { recursive: true })));
  } catch (error) {
    if (!(error instanceof NotFound)) throw error;
  }
}

/** Gives a file or folder another name. */
export async function rename(from: string, to: string): Promise<void> {
  await (inDeno ? Deno.rename(from, to) : inNode(({ rename }) => rename(from, to)));
}

/** Writes a file whole or not at all: under another name, flushed to disk, then renamed. */
export async function writeFile(
  path: string,
  parts: (string | ArrayBufferView<ArrayBuffer>)[],
): Promise<void> {
  const partial = `${path}.partial`;
  const file = await create(partial);
  try {
    for (const part of parts) {
      let rest = typeof part === "string"
        ? new TextEncoder().encode(part)
        : new Uint8Array(part.buffer, part.byteOffset, part.byteLength);
      while (rest.length > 0) rest = rest.subarray(await file.write(rest));
    }
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(partial, path);
}

async function create(path: string): Promise<OpenFile> {
  if (inDeno) return await Deno.open(path, { write: true, create: true, truncate: true });
  const file = await inNode(({ open }) => open(path, "w"));
  return {
    write: async (bytes) => (await file.write(bytes)).bytesWritten,
    sync: () => file.sync(),
    close: () => file.close(),
  };
}

/** Flushes a folder's list of names to disk, where the system can. */
export async function syncFolder(path: string): Promise<void> {
  const system = inDeno ? Deno.build.os : globalThis.process.platform;
  if (system === "windows" || system === "win32") return;
  const folder = inDeno
    ? await Deno.open(path, { read: true })
    : await inNode(({ open }) => open(path, "r"));
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
