/**
 * Sets of tensors in one safetensors file or, as Hugging Face lays them out, in several with an
 * index: `model.safetensors`, or `model-00001-of-00002.safetensors` … and
 * `model.safetensors.index.json`. Each file's metadata holds the SHA-256 of its data.
 *
 * @module
 */

import { sha256 } from "../digest.ts";
import { listFolder, NotFound, remove, writeFile } from "../disk.ts";
import { readLocal, readRemote } from "../resource.ts";
import { type NamedTensor, readSafetensors, type Safetensors, writeHeader } from "./safetensors.ts";

/** Reads a file of a folder that may be anywhere. */
export interface Folder {
  /** The folder as messages name it. */
  readonly name: string;
  /**
   * A whole file, or `undefined` if there is none.
   * @throws {RangeError} if it has more than `limit` bytes.
   */
  read(file: string, limit: number): Promise<Uint8Array<ArrayBuffer> | undefined>;
}

/** The longest JSON file that is read, in bytes. */
export const JSON_LIMIT = 100_000_000;

/** A folder on disk or on the web: a path, or a `file:`, `http:` or `https:` URL. */
export function openFolder(source: string | URL): Folder {
  const isUrl = source instanceof URL || /^(file|https?):/.test(source);
  if (!isUrl) {
    const path = String(source).replace(/(?<=.)\/+$/, "") || ".";
    return { name: path, read: (file, limit) => readLocal(`${path}/${file}`, limit) };
  }
  const url = new URL(source);
  if (!url.pathname.endsWith("/")) url.pathname += "/";
  const read = url.protocol === "file:" ? readLocal : readRemote;
  return {
    name: url.href,
    read: (file, limit) => {
      const at = new URL(url);
      at.pathname += encodeURIComponent(file);
      return read(at, limit);
    },
  };
}

/**
 * The JSON object in a file.
 * @throws {SyntaxError} if the file holds something else.
 */
export async function readJson(
  folder: Folder,
  file: string,
): Promise<Record<string, unknown> | undefined> {
  const bytes = await folder.read(file, JSON_LIMIT);
  return bytes && parseObject(new TextDecoder().decode(bytes), `${folder.name}/${file}`);
}

/** @throws {SyntaxError} if `text` is no JSON object. */
export function parseObject(text: string, name: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      return value as Record<string, unknown>;
    }
  } catch {
    // Said below.
  }
  throw new SyntaxError(`Cannot load ${name}: it is no JSON object; fetch or write it again.`);
}

/** Tensors of a set and the metadata of its first file. */
export type TensorSet = Safetensors;

/**
 * Reads `stem.safetensors`, or its shards by `stem.safetensors.index.json`.
 *
 * @param limit Most bytes of data that the set can have.
 * @returns `undefined` if there is neither.
 * @throws {SyntaxError} if a file cannot be parsed.
 * @throws {RangeError} if a file's contents cannot be, or its data has changed since it was written.
 * @throws {Deno.errors.NotFound} if a shard is missing.
 */
export async function readTensorSet(
  folder: Folder,
  stem: string,
  limit: number,
): Promise<TensorSet | undefined> {
  const single = await readShard(folder, `${stem}.safetensors`, limit);
  if (single) return single;
  const index = await readJson(folder, `${stem}.safetensors.index.json`);
  if (!index) return undefined;
  const where = `${folder.name}/${stem}.safetensors.index.json`;
  const map = index.weight_map;
  if (typeof map !== "object" || map === null || Array.isArray(map)) {
    throw new SyntaxError(`Cannot load ${where}: it has no weight_map; fetch or write it again.`);
  }
  const files = [...new Set(Object.values(map))];
  if (files.length === 1 && files[0] === `${stem}.safetensors`) return undefined; // looked for above
  const set: TensorSet = { tensors: new Map(), metadata: {} };
  for (const [i, file] of files.entries()) {
    if (typeof file !== "string" || !/^[\w-][\w.-]*\.safetensors$/.test(file)) {
      throw new SyntaxError(
        `Cannot load ${where}: "${file}" is no name of a shard; fetch or write it again.`,
      );
    }
    const shard = await readShard(folder, file, limit);
    if (!shard) {
      throw new NotFound(
        `Cannot load ${folder.name}: shard ${file} is missing; fetch all ${files.length} shards.`,
      );
    }
    if (i === 0) set.metadata = shard.metadata;
    for (const [name, tensor] of shard.tensors) {
      if ((map as Record<string, unknown>)[name] !== file) {
        throw new RangeError(
          `Cannot load ${folder.name}: ${file} holds "${name}", which the index places elsewhere; fetch or write the shards again.`,
        );
      }
      set.tensors.set(name, tensor);
    }
  }
  return set;
}

async function readShard(
  folder: Folder,
  file: string,
  limit: number,
): Promise<Safetensors | undefined> {
  const bytes = await folder.read(file, limit + 10_000_000);
  if (!bytes) return undefined;
  let shard: Safetensors;
  try {
    shard = readSafetensors(bytes);
  } catch (error) {
    // Say which file.
    if (error instanceof SyntaxError || error instanceof RangeError) {
      error.message = error.message.replace("safetensors", `${folder.name}/${file}`);
    }
    throw error;
  }
  const { sha256: expected } = shard.metadata;
  if (expected !== undefined) {
    const data = bytes.subarray(8 + Number(new DataView(bytes.buffer).getBigUint64(0, true)));
    if (await sha256(data) !== expected) {
      throw new RangeError(
        `Cannot load ${folder.name}/${file}: its data has changed since it was written (SHA-256 differs); fetch or write it again.`,
      );
    }
  }
  return shard;
}

/**
 * Writes a set of tensors into an existing folder, in one file or in shards whose data has at most
 * `maxShardSize` bytes, and removes files of the same stem that are not part of it.
 *
 * @param indexed Write an index for a single file too: where other files end in `.safetensors`, it
 * tells readers such as vLLM and llama.cpp which one is the model.
 * @returns The names of the files written.
 */
export async function writeTensorSet(
  folder: string,
  stem: string,
  tensors: NamedTensor[],
  metadata: Record<string, string>,
  maxShardSize: number = Infinity,
  indexed: boolean = false,
): Promise<string[]> {
  if (!(maxShardSize > 0)) {
    throw new RangeError(`A shard of at most ${maxShardSize} bytes is none: give a size above 0.`);
  }
  const shards: NamedTensor[][] = [];
  let size = Infinity;
  for (const tensor of tensors) {
    size += tensor.data.byteLength;
    if (size > maxShardSize || shards.length === 0) {
      shards.push([]);
      size = tensor.data.byteLength;
    }
    shards.at(-1)!.push(tensor);
  }
  const number = (n: number): string => String(n).padStart(5, "0");
  const files = shards.map((_, i) =>
    shards.length === 1
      ? `${stem}.safetensors`
      : `${stem}-${number(i + 1)}-of-${number(shards.length)}.safetensors`
  );
  for (const [i, shard] of shards.entries()) {
    const digest = await sha256(...shard.map(({ data }) => data));
    const header = writeHeader(shard, { ...metadata, sha256: digest });
    await writeFile(`${folder}/${files[i]}`, [header, ...shard.map(({ data }) => data)]);
  }
  if (shards.length > 1 || indexed) {
    const index = {
      metadata: { total_size: tensors.reduce((sum, { data }) => sum + data.byteLength, 0) },
      weight_map: Object.fromEntries(
        shards.flatMap((shard, i) => shard.map(({ name }) => [name, files[i]])),
      ),
    };
    const file = `${stem}.safetensors.index.json`;
    await writeFile(`${folder}/${file}`, [JSON.stringify(index, null, 2) + "\n"]);
    files.push(file);
  }
  const ours = /^(-\d{5}-of-\d{5})?\.safetensors(\.index\.json)?$/;
  for (const name of await listFolder(folder)) {
    const isOurs = name.startsWith(stem) && ours.test(name.slice(stem.length));
    if (isOurs && !files.includes(name)) await remove(`${folder}/${name}`);
  }
  return files;
}
