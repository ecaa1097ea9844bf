/**
 * Where the ids of a tokenized corpus are kept: in memory, or in a file of which only what is asked
 * for is read, so that corpora larger than memory can be shuffled whole.
 *
 * The file is a safetensors file: `tokens`, U16 or U32, all documents end to end, and `lengths`, U32,
 * tokens of each; `bytes` in its metadata is the texts' size. Its header has a fixed room before the data, so that it can be written last.
 *
 * @module
 */

import { headerLength, parseHeader } from "../model/safetensors.ts";

/** Finished ids, read by their place. */
export interface TokenStore {
  /** Fills `out` with the ids from place `from` on. */
  read(from: number, out: Uint32Array): void;
  /** Lets go of what the store holds open. */
  close(): void;
}

/** Takes ids in order and becomes a store. */
export interface TokenSink {
  /** Appends one document. */
  append(ids: Uint32Array): void;
  /** Ends the corpus, whose documents have these lengths and together so many bytes of text. */
  finish(lengths: number[], bytes: number): TokenStore;
  /** Gives up; nothing is left behind. */
  abandon(): void;
}

/** Keeps ids in memory, two bytes each where the vocabulary allows it. */
export function memorySink(vocabSize: number): TokenSink {
  const array = vocabSize <= 1 << 16 ? Uint16Array : Uint32Array;
  let ids = new array(1 << 16);
  let size = 0;
  return {
    append: (more) => {
      if (size + more.length > ids.length) {
        const grown = new array(Math.max(2 * ids.length, size + more.length));
        grown.set(ids.subarray(0, size));
        ids = grown;
      }
      ids.set(more, size);
      size += more.length;
    },
    finish: () => {
      ids = ids.slice(0, size);
      return {
        read: (from, out) => out.set(ids.subarray(from, from + out.length)),
        close: () => {},
      };
    },
    abandon: () => {},
  };
}

/** Bytes before the data of a token file. */
const DATA_START = 1024;

/** Ids that are gathered before they are written. */
const CHUNK = 1 << 18;

/** Writes ids to `path`, which comes into being when the corpus is whole. */
export function fileSink(path: string, vocabSize: number): TokenSink {
  const array = vocabSize <= 1 << 16 ? Uint16Array : Uint32Array;
  const partial = `${path}.partial`;
  const file = Deno.openSync(partial, { write: true, create: true, truncate: true });
  file.seekSync(DATA_START, Deno.SeekMode.Start);
  const chunk = new array(CHUNK);
  let filled = 0, tokens = 0;
  const flush = (): void => {
    writeAll(file, chunk.subarray(0, filled));
    filled = 0;
  };
  return {
    append: (ids) => {
      for (let at = 0; at < ids.length;) {
        const some = ids.subarray(at, at + CHUNK - filled);
        chunk.set(some, filled);
        filled += some.length;
        at += some.length;
        if (filled === CHUNK) flush();
      }
      tokens += ids.length;
    },
    finish: (lengths, bytes) => {
      flush();
      writeAll(file, Uint32Array.from(lengths));
      const end = tokens * array.BYTES_PER_ELEMENT;
      const header = JSON.stringify({
        __metadata__: { bytes: String(bytes) },
        tokens: {
          dtype: array === Uint16Array ? "U16" : "U32",
          shape: [tokens],
          data_offsets: [0, end],
        },
        lengths: {
          dtype: "U32",
          shape: [lengths.length],
          data_offsets: [end, end + 4 * lengths.length],
        },
      });
      const start = new Uint8Array(DATA_START);
      new DataView(start.buffer).setBigUint64(0, BigInt(DATA_START - 8), true);
      new TextEncoder().encodeInto(header.padEnd(DATA_START - 8), start.subarray(8));
      file.seekSync(0, Deno.SeekMode.Start);
      writeAll(file, start);
      file.syncSync();
      file.close();
      Deno.renameSync(partial, path);
      return openTokenFile(path).store;
    },
    abandon: () => {
      file.close();
      Deno.removeSync(partial);
    },
  };
}

/**
 * Opens a file that {@linkcode fileSink} wrote.
 * @throws {Deno.errors.NotFound} if there is none.
 * @throws {SyntaxError | RangeError} if it is damaged.
 */
export function openTokenFile(
  path: string,
): { store: TokenStore; lengths: Uint32Array; bytes: number } {
  const file = Deno.openSync(path, { read: true });
  try {
    const { size } = file.statSync();
    let start = readAt(file, 0, Math.min(8, size));
    start = readAt(file, 0, headerLength(start, size));
    const { tensors, metadata } = parseHeader(start, size);
    const bytes = Number(metadata.bytes);
    const tokens = tensors.get("tokens"), lengths = tensors.get("lengths");
    if (!tokens || lengths?.dtype !== "U32" || !/^U(16|32)$/.test(tokens.dtype) || !(bytes > 0)) {
      throw new RangeError(`${path} is no file of tokens: remove it.`);
    }
    const array = tokens.dtype === "U16" ? Uint16Array : Uint32Array;
    const read = (from: number, out: Uint32Array): void => {
      const width = array.BYTES_PER_ELEMENT;
      const bytes = readAt(file, tokens.offset + from * width, out.length * width);
      out.set(new array(bytes.buffer));
    };
    return {
      store: { read, close: () => file.close() },
      lengths: new Uint32Array(readAt(file, lengths.offset, lengths.bytes).buffer),
      bytes,
    };
  } catch (error) {
    file.close();
    throw error;
  }
}

function writeAll(file: Deno.FsFile, data: ArrayBufferView<ArrayBuffer>): void {
  let rest = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  while (rest.length > 0) rest = rest.subarray(file.writeSync(rest));
}

function readAt(file: Deno.FsFile, from: number, length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  file.seekSync(from, Deno.SeekMode.Start);
  for (let at = 0; at < length;) {
    const read = file.readSync(bytes.subarray(at));
    if (read === null) throw new RangeError("A file of tokens ends too early: remove it.");
    at += read;
  }
  return bytes;
}
