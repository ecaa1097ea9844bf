/**
 * TinyStories (Eldan & Li 2023) from the Hugging Face hub or a mirror of it, kept in a cache.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { cacheFolder } from "../cache_folder.ts";

/** The hub unless the environment variable `HF_ENDPOINT` names a mirror. */
export const HUB = "https://huggingface.co";

/** Where the stories are, below the hub's address. */
const REPOSITORY = "datasets/roneneldan/TinyStories/resolve/main";

/** Names of story files, the preferred first. */
const FILES = {
  train: ["TinyStoriesV2-GPT4-train.txt", "TinyStories-train.txt"],
  valid: ["TinyStoriesV2-GPT4-valid.txt", "TinyStories-valid.txt"],
};

/** How far a download has come. */
export interface DownloadProgress {
  /** Name of the file. */
  file: string;
  /** Bytes on disk. */
  bytes: number;
  /** Bytes of the whole file, if the server tells. */
  total?: number;
}

/** Options of {@linkcode download}. */
export interface DownloadOptions {
  /** Called as bytes arrive; a line on stderr unless given. */
  onProgress?: (progress: DownloadProgress) => void;
  /** How often a broken connection is taken up again, 5 unless given. */
  retries?: number;
  /** Milliseconds before the first retry, doubled each time; 1,000 unless given. */
  retryDelay?: number;
}

/** Options of {@linkcode findStories}. */
export interface FindStoriesOptions extends DownloadOptions {
  /** Stories to train on, or held-out ones; `train` unless given. */
  split?: "train" | "valid";
  /** Whether to download what the cache lacks; `true` unless given. */
  download?: boolean;
}

/**
 * Path of a file of TinyStories: from the cache, else downloaded into it.
 * @throws {Deno.errors.NotFound} naming the three ways to give stories, if there are none.
 * @throws {RangeError} if what arrived is not the file that the hub announced.
 */
export async function findStories(options: FindStoriesOptions = {}): Promise<string> {
  const { split = "train", download: mayDownload = true } = options;
  const folder = `${cacheFolder()}/stories`;
  const names = FILES[split];
  for (const name of names.flatMap((name) => [name, `${name}.gz`])) {
    if (await size(`${folder}/${name}`) > 0) return `${folder}/${name}`;
  }
  const endpoint = (Deno.env.get("HF_ENDPOINT") || HUB).replace(/\/+$/, "");
  let cause: unknown;
  if (mayDownload) {
    await Deno.mkdir(folder, { recursive: true });
    try {
      await download(`${endpoint}/${REPOSITORY}/${names[0]}`, `${folder}/${names[0]}`, options);
      return `${folder}/${names[0]}`;
    } catch (error) {
      if (!(error instanceof UnreachableError)) throw error;
      cause = error;
    }
  }
  throw new Deno.errors.NotFound(
    `There are no stories${
      cause instanceof Error ? ` (${cause.message})` : ""
    }: give a text file with --data FILE, make ${endpoint} reachable or name a mirror of it in HF_ENDPOINT, or put ${
      names[0]
    } into ${folder}.`,
    { cause },
  );
}

/** The server cannot be reached, or does not have the file. */
export class UnreachableError extends Error {
  /** @param message What was tried and what came of it. */
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "UnreachableError";
  }
}

/**
 * Downloads a file of the hub. Broken connections are taken up where they broke, also by a later call;
 * the file gets its name only when it is whole and its SHA-256 is the one that the hub announced.
 * Beside it `<path>.sha256` records the hash in the form of `sha256sum`.
 *
 * @throws {UnreachableError} if the server cannot be reached or does not have the file.
 * @throws {RangeError} if size or SHA-256 are not those announced; what arrived is removed.
 * @throws {Error} if the connection broke too often; what arrived is kept.
 */
export async function download(
  url: string,
  path: string,
  options: DownloadOptions = {},
): Promise<void> {
  const { retries = 5, retryDelay = 1000, onProgress = progressLine() } = options;
  const file = path.slice(path.lastIndexOf("/") + 1);
  const announced = await announcement(url);
  // The name of the part tells what it is a part of, so that parts of another version never mix.
  const { sha256, etag } = announced;
  const identity = sha256 ?? (etag && createHash("sha256").update(etag).digest("hex"));
  const part = `${path}.${identity?.slice(0, 16) ?? "unknown"}.part`;
  if (!identity) await remove(part);
  let total = announced.size;
  for (let attempt = 0; total === undefined || await size(part) < total; attempt++) {
    if (attempt > retries) {
      throw new Error(
        `The download of ${file} broke off at ${await size(part)} of ${
          total ?? "unknown"
        } bytes; run the same command again to go on from there.`,
      );
    }
    if (attempt > 0) {
      await new Promise((resolve) => setTimeout(resolve, retryDelay * 2 ** (attempt - 1)));
    }
    const end = await fetchInto(
      url,
      part,
      (bytes, total) => onProgress({ file, bytes, total }),
      total,
    );
    if (end !== undefined) total = end;
  }
  const bytes = await size(part);
  const found = await hashOf(part);
  if (bytes !== total || (sha256 !== undefined && found !== sha256)) {
    await remove(part);
    throw new RangeError(
      `${file} arrived with ${bytes} bytes and SHA-256 ${
        found.slice(0, 12)
      }…, expected ${total} and ${sha256?.slice(0, 12) ?? "any"}…; download it again.`,
    );
  }
  await Deno.writeTextFile(`${path}.sha256`, `${found}  ${file}\n`);
  await Deno.rename(part, path);
}

/** What the hub says of a file before its bytes. */
interface Announcement {
  sha256?: string;
  size?: number;
  etag?: string;
}

/**
 * Asks for a file's headers. The hub answers for large files with a redirection to its storage whose
 * headers tell size and SHA-256; redirections within the hub are followed, that one is not.
 */
async function announcement(url: string): Promise<Announcement> {
  let at = url;
  for (let hop = 0; hop < 5; hop++) {
    const response = await request(at, { method: "HEAD", redirect: "manual" });
    await response.body?.cancel();
    const { headers, status } = response;
    const location = headers.get("location");
    const linked = headers.get("x-linked-etag");
    const stored = linked !== null || headers.has("x-linked-size");
    if (status >= 300 && status < 400 && location && !stored) {
      at = new URL(location, at).href;
      continue;
    }
    if (status >= 400) throw refused(url, status);
    const etag = (linked ?? headers.get("etag"))?.replace(/^W\/|"/g, "");
    const length = headers.get("x-linked-size") ??
      (status < 300 ? headers.get("content-length") : null);
    return {
      etag,
      sha256: etag && /^[0-9a-f]{64}$/.test(etag) ? etag : undefined,
      size: length && /^\d+$/.test(length) ? Number(length) : undefined,
    };
  }
  throw new UnreachableError(`${url} redirects without end`);
}

/**
 * Fetches what `part` still lacks and appends it.
 * @returns The whole file's size if it is known now; `undefined` if the connection broke before.
 */
async function fetchInto(
  url: string,
  part: string,
  onProgress: (bytes: number, total?: number) => void,
  total?: number,
): Promise<number | undefined> {
  let bytes = await size(part);
  let response: Response;
  try {
    response = await request(url, bytes > 0 ? { headers: { range: `bytes=${bytes}-` } } : {});
  } catch (error) {
    if (bytes > 0 && error instanceof UnreachableError) return undefined;
    throw error;
  }
  const { status, headers, body } = response;
  const range = /^bytes (\d+)-\d+\/(\d+)$/.exec(headers.get("content-range") ?? "");
  if (status === 416 || (status === 206 && Number(range?.[1]) !== bytes)) {
    await body?.cancel();
    await remove(part);
    return undefined;
  }
  if (!response.ok || !body) {
    await body?.cancel();
    if (status >= 500 || status === 429) return undefined;
    throw refused(url, status);
  }
  if (status === 200) bytes = 0; // The server sends all, whatever was asked for.
  const length = headers.get("content-length");
  const end = total ?? (range ? Number(range[2]) : length ? bytes + Number(length) : undefined);
  using file = await Deno.open(part, { create: true, write: true });
  await file.truncate(bytes);
  await file.seek(bytes, Deno.SeekMode.Start);
  const reader = body.getReader();
  while (true) {
    let chunk: Uint8Array<ArrayBuffer> | undefined;
    try {
      chunk = (await reader.read()).value;
    } catch {
      return end; // The connection broke: what has come stays.
    }
    if (!chunk) break;
    bytes += chunk.length;
    while (chunk.length > 0) chunk = chunk.subarray(await file.write(chunk));
    onProgress(bytes, end);
  }
  return end ?? bytes;
}

/** `fetch` without compression, so that byte ranges are those of the file. */
async function request(url: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(url, {
      ...init,
      headers: { "accept-encoding": "identity", ...init.headers },
    });
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new UnreachableError(`${new URL(url).host} cannot be reached`, { cause: error });
  }
}

const refused = (url: string, status: number): UnreachableError =>
  new UnreachableError(`${url} answers ${status}`);

async function size(path: string): Promise<number> {
  try {
    return (await Deno.stat(path)).size;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return 0;
    throw error;
  }
}

async function remove(path: string): Promise<void> {
  if (await size(path) > 0) await Deno.remove(path);
}

async function hashOf(path: string): Promise<string> {
  const hash = createHash("sha256");
  const file = await Deno.open(path, { read: true });
  for await (const chunk of file.readable) hash.update(chunk);
  return hash.digest("hex");
}

/** Writes progress to stderr: a line renewed in place on a terminal, else one for every tenth. */
function progressLine(): (progress: DownloadProgress) => void {
  const terminal = Deno.stderr.isTerminal();
  const encoder = new TextEncoder();
  let shown = -1;
  return ({ file, bytes, total }) => {
    const done = total ? bytes / total : bytes / 1e9;
    const step = Math.floor(done * (terminal ? 1000 : 10));
    if (step === shown) return;
    shown = step;
    const of = total ? ` of ${(total / 1e6).toFixed(1)} MB` : " MB";
    const text = `Downloading ${file}: ${(bytes / 1e6).toFixed(1)}${of}`;
    const ended = bytes === total;
    Deno.stderr.writeSync(encoder.encode(terminal ? `\r${text}${ended ? "\n" : ""}` : `${text}\n`));
  };
}
