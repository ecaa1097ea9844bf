/**
 * The safetensors file format: a JSON header of names, types, shapes and places, then the data.
 *
 * A file is untrusted until its header has been checked field by field, and nothing is allocated for
 * data before that, so that no header can ask for more memory than the file is long.
 *
 * @module
 */

import { halves, hasFloat16 } from "../float16.ts";

/** Bytes of an element of each type that can be read and written. */
const BYTES = { F32: 4, F16: 2, I8: 1, U8: 1, U16: 2, I32: 4, U32: 4, I64: 8 } as const;

/** Element types by safetensors' names. */
export type TensorType = keyof typeof BYTES;

/** Arrays that hold the elements of a tensor. */
export type TensorData =
  | Float32Array<ArrayBuffer>
  | Float16Array<ArrayBuffer>
  | Int8Array<ArrayBuffer>
  | Uint8Array<ArrayBuffer>
  | Uint16Array<ArrayBuffer>
  | Int32Array<ArrayBuffer>
  | Uint32Array<ArrayBuffer>
  | BigInt64Array<ArrayBuffer>;

/** What a header says of one tensor. */
export interface TensorInfo {
  /** Element type. */
  dtype: TensorType;
  /** Lengths of the axes, outermost first; empty for a single number. */
  shape: number[];
  /** First byte in the file. */
  offset: number;
  /** Number of bytes. */
  bytes: number;
}

/** A checked header. */
export interface SafetensorsHeader {
  /** Tensors by name in the order of their data. */
  tensors: Map<string, TensorInfo>;
  /** Free texts by name. */
  metadata: Record<string, string>;
}

/** A tensor with its data, its type being the array's. */
export interface NamedTensor {
  /** Name in the file. */
  name: string;
  /** Lengths of the axes, outermost first. */
  shape: number[];
  /** Elements, row-major. */
  data: TensorData;
}

/** The longest header that is read, in bytes: that of a hundred thousand tensors. */
const LONGEST_HEADER = 10_000_000;

const REMEDY = "the file is damaged or of another kind, so fetch or write it again";

const wrong = (what: string): RangeError =>
  new RangeError(`Cannot read safetensors: ${what}; ${REMEDY}.`);
const unparsable = (what: string): SyntaxError =>
  new SyntaxError(`Cannot read safetensors: ${what}; ${REMEDY}.`);

/**
 * Length in bytes of the part of a file before its data, read from the first eight bytes.
 * @throws {RangeError} if the file is too short for it.
 */
export function headerLength(start: Uint8Array, fileBytes: number): number {
  if (start.length < 8 || fileBytes < 8) {
    throw wrong(`the file has ${fileBytes} bytes, too few for a header`);
  }
  const length = new DataView(start.buffer, start.byteOffset, 8).getBigUint64(0, true);
  if (length > BigInt(Math.min(fileBytes - 8, LONGEST_HEADER))) {
    throw wrong(`the header claims ${length} bytes in a file of ${fileBytes}`);
  }
  return 8 + Number(length);
}

/**
 * Checks the header of a file that is `fileBytes` long.
 *
 * @param start At least the file's first {@linkcode headerLength} bytes.
 * @throws {SyntaxError} if the header is not the JSON that the format demands.
 * @throws {RangeError} if lengths, shapes or places in it cannot be.
 */
export function parseHeader(start: Uint8Array, fileBytes: number): SafetensorsHeader {
  const dataStart = headerLength(start, fileBytes);
  if (start.length < dataStart) throw wrong(`the header of ${dataStart} bytes is cut short`);
  const header = parseJson(start.subarray(8, dataStart));
  const metadata: Record<string, string> = {};
  const found: [string, TensorInfo][] = [];
  for (const [name, value] of Object.entries(header)) {
    if (!isRecord(value)) throw unparsable(`the entry of "${brief(name)}" is no object`);
    if (name === "__metadata__") {
      for (const [key, text] of Object.entries(value)) {
        if (typeof text !== "string") throw unparsable(`metadata "${brief(key)}" is no text`);
        Object.defineProperty(metadata, key, { value: text, enumerable: true });
      }
    } else {
      found.push([name, tensorInfo(name, value, dataStart, fileBytes)]);
    }
  }
  found.sort(([, a], [, b]) => a.offset - b.offset || a.bytes - b.bytes);
  let end = dataStart;
  for (const [name, { offset, bytes }] of found) {
    if (offset !== end) {
      throw wrong(`the data of "${brief(name)}" begins at byte ${offset}, expected ${end}`);
    }
    end += bytes;
  }
  if (end !== fileBytes) {
    throw wrong(`the file has ${fileBytes} bytes, expected ${end}`);
  }
  return { tensors: new Map(found), metadata };
}

/** One tensor's entry, checked by itself. */
function tensorInfo(
  name: string,
  entry: Record<string, unknown>,
  dataStart: number,
  fileBytes: number,
): TensorInfo {
  const { dtype, shape, data_offsets: offsets, ...rest } = entry;
  const which = `tensor "${brief(name)}"`;
  const [unknown] = Object.keys(rest);
  if (unknown !== undefined) throw unparsable(`${which} has an unknown field "${brief(unknown)}"`);
  if (typeof dtype !== "string" || !Object.hasOwn(BYTES, dtype)) {
    throw wrong(
      `${which} has type ${
        typeof dtype === "string" ? brief(dtype) : typeof dtype
      }, expected one of ${Object.keys(BYTES).join(", ")}`,
    );
  }
  if (!Array.isArray(shape) || shape.length > 8 || !shape.every(isCount)) {
    throw wrong(`${which} has a shape that is not a short list of whole numbers`);
  }
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount)) {
    throw wrong(`${which} has data_offsets that are not two whole numbers`);
  }
  const [begin, end]: number[] = offsets;
  if (begin > end || end > fileBytes - dataStart) {
    throw wrong(
      `${which} lies at bytes ${begin} to ${end} of ${fileBytes - dataStart} bytes of data`,
    );
  }
  const elements = shape.reduce((product: number, length: number) => product * length, 1);
  const bytes = elements * BYTES[dtype as TensorType];
  if (bytes !== end - begin) {
    throw wrong(`${which} of shape [${shape}] needs ${bytes} bytes and has ${end - begin}`);
  }
  return { dtype: dtype as TensorType, shape, offset: dataStart + begin, bytes };
}

function parseJson(bytes: Uint8Array): Record<string, unknown> {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw unparsable("the header is not UTF-8");
  }
  let header: unknown;
  try {
    header = JSON.parse(text);
  } catch {
    throw unparsable("the header is not JSON");
  }
  if (!isRecord(header)) throw unparsable("the header is no object");
  const repeated = repeatedName(text);
  if (repeated !== undefined) throw unparsable(`"${brief(repeated)}" stands twice in the header`);
  return header;
}

/** A name that stands twice in an object, which `JSON.parse` passes over; `text` is valid JSON. */
function repeatedName(text: string): string | undefined {
  const objects: Set<string>[] = [];
  for (const [token, name, colon] of text.matchAll(/("[^"\\]*(?:\\.[^"\\]*)*")(\s*:)?|[{}]/g)) {
    if (token === "{") objects.push(new Set());
    else if (token === "}") objects.pop();
    else if (colon !== undefined) {
      const key: string = JSON.parse(name);
      if (objects.at(-1)!.has(key)) return key;
      objects.at(-1)!.add(key);
    }
  }
  return undefined;
}

const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** A name short enough to be shown. */
const brief = (name: string): string => (name.length > 80 ? `${name.slice(0, 80)}…` : name);

/** A whole file: its header, and its tensors in the order of their data. */
export interface Safetensors {
  /** Tensors by name. The arrays are copies where the file does not align them. */
  tensors: Map<string, NamedTensor & { dtype: TensorType }>;
  /** Free texts by name. */
  metadata: Record<string, string>;
}

/**
 * Reads a whole file. Tensors are views of `bytes` where their alignment allows it.
 * @throws {SyntaxError} if the header is not the JSON that the format demands.
 * @throws {RangeError} if lengths, shapes or places in it cannot be.
 */
export function readSafetensors(bytes: Uint8Array<ArrayBuffer>): Safetensors {
  const { tensors, metadata } = parseHeader(bytes, bytes.length);
  const read = new Map<string, NamedTensor & { dtype: TensorType }>();
  for (const [name, { dtype, shape, offset, bytes: length }] of tensors) {
    const data = typedArray(dtype, bytes.subarray(offset, offset + length));
    read.set(name, { name, dtype, shape, data });
  }
  return { tensors: read, metadata };
}

/** `bytes` as elements of `dtype`, copied only if they are not aligned. */
export function typedArray(dtype: TensorType, bytes: Uint8Array<ArrayBuffer>): TensorData {
  const size = BYTES[dtype];
  const { buffer, byteOffset, length } = bytes.byteOffset % size === 0 ? bytes : bytes.slice();
  const count = length / size;
  switch (dtype) {
    case "F32":
      return new Float32Array(buffer, byteOffset, count);
    case "F16":
      return new (halves())(buffer, byteOffset, count);
    case "I8":
      return new Int8Array(buffer, byteOffset, count);
    case "U8":
      return new Uint8Array(buffer, byteOffset, count);
    case "U16":
      return new Uint16Array(buffer, byteOffset, count);
    case "I32":
      return new Int32Array(buffer, byteOffset, count);
    case "U32":
      return new Uint32Array(buffer, byteOffset, count);
    case "I64":
      return new BigInt64Array(buffer, byteOffset, count);
  }
}

/** Whether an array holds 16-bit floats. */
export const isHalf = (data: TensorData): data is Float16Array<ArrayBuffer> =>
  hasFloat16 && data instanceof Float16Array;

/** The safetensors name of an array's element type. */
function typeOf(data: TensorData): TensorType {
  if (data instanceof Float32Array) return "F32";
  if (isHalf(data)) return "F16";
  if (data instanceof Int8Array) return "I8";
  if (data instanceof Uint8Array) return "U8";
  if (data instanceof Uint16Array) return "U16";
  if (data instanceof Int32Array) return "I32";
  if (data instanceof Uint32Array) return "U32";
  return "I64";
}

/**
 * The header of a file that holds `tensors` in this order, to be followed by their data.
 * @throws {RangeError} if a name stands twice or a shape disagrees with its data.
 */
export function writeHeader(
  tensors: Iterable<NamedTensor>,
  metadata: Record<string, string> = {},
): Uint8Array<ArrayBuffer> {
  const header: Record<string, unknown> = Object.create(null);
  if (Object.keys(metadata).length > 0) header.__metadata__ = metadata;
  let offset = 0;
  for (const { name, shape, data } of tensors) {
    const elements = shape.reduce((a, b) => a * b, 1);
    if (elements !== data.length) {
      throw new RangeError(
        `Cannot write safetensors: "${name}" of shape [${shape}] has ${data.length} elements, expected ${elements}.`,
      );
    }
    if (name in header || name === "__metadata__") {
      throw new RangeError(`Cannot write safetensors: the name "${name}" is taken.`);
    }
    header[name] = {
      dtype: typeOf(data),
      shape,
      data_offsets: [offset, offset + data.byteLength],
    };
    offset += data.byteLength;
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const padded = Math.ceil(text.length / 8) * 8;
  const bytes = new Uint8Array(8 + padded).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(padded), true);
  bytes.set(text, 8);
  return bytes;
}

/**
 * A whole file in memory. Tensors with wide elements should come first, so that all are aligned.
 * @throws {RangeError} if a name stands twice or a shape disagrees with its data.
 */
export function writeSafetensors(
  tensors: NamedTensor[],
  metadata: Record<string, string> = {},
): Uint8Array<ArrayBuffer> {
  const header = writeHeader(tensors, metadata);
  const size = tensors.reduce((sum, { data }) => sum + data.byteLength, header.length);
  const file = new Uint8Array(size);
  file.set(header);
  let at = header.length;
  for (const { data } of tensors) {
    file.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return file;
}
