/**
 * The tokenizer: text to token ids and back.
 *
 * @module
 */

import { sha256 } from "../digest.ts";
import { readFile } from "../disk.ts";
import { readResource } from "../resource.ts";
import { Bpe, BYTES } from "./bpe.ts";
import { lineChunkEnd } from "./pretokenize.ts";
import {
  END_OF_TEXT,
  formatTokenizerJSON,
  parseTokenizerJSON,
  type TokenizerData,
} from "./tokenizer_json.ts";

export { END_OF_TEXT };

/** Options of {@linkcode Tokenizer.encode}. */
export interface EncodeOptions {
  /** Let `<|endoftext|>` in the text become the special token. Default false: it is plain text. */
  allowSpecial?: boolean;
}

/** Turns tokens into text one by one; see {@linkcode Tokenizer.streamDecoder}. */
export interface StreamDecoder {
  /** Takes one token and returns the text that is now certain, which may be empty. */
  push(id: number): string;
  /** Ends the stream: returns U+FFFD if half a character was held back, else nothing. */
  flush(): string;
}

const utf8 = new TextEncoder();
const END_OF_TEXT_BYTES = utf8.encode(END_OF_TEXT);

/**
 * A byte-level BPE tokenizer whose tokens may span words but never a line's end.
 *
 * Any string can be encoded and comes back unchanged; only lone surrogates become U+FFFD, as
 * everywhere in UTF-8. In a tokenizer made here, id 0 is `<|endoftext|>`, 1 + b is byte b, and
 * 257 + k is the token that merge k makes.
 *
 * @example
 * ```ts
 * import { Tokenizer } from "@bashling/bashling";
 *
 * const tokenizer = await Tokenizer.load("weights/tokenizer.json");
 * const ids = tokenizer.encode("for i in 1 2 3; do echo $i; done");
 * tokenizer.decode(ids); // the same text
 * ```
 */
export class Tokenizer {
  /** Number of tokens, `<|endoftext|>` included. */
  readonly vocabSize: number;
  /** Id of `<|endoftext|>`. */
  readonly endOfText: number;
  #data: TokenizerData;
  #bpe: Bpe;
  /** Symbol of each id; the one of `<|endoftext|>` is meaningless. */
  #symbols: Uint32Array;
  #fingerprint?: Promise<string>;

  private constructor(data: TokenizerData) {
    this.#data = data;
    this.#bpe = new Bpe(data.merges);
    this.vocabSize = data.ids.length + 1;
    this.endOfText = data.endOfText;
    this.#symbols = new Uint32Array(this.vocabSize);
    data.ids.forEach((id, symbol) => this.#symbols[id] = symbol);
  }

  /**
   * Makes a tokenizer from merges, numbered as described above.
   *
   * @param merges Left and right symbol of each merge, alternating; symbol b < 256 is byte b,
   * 256 + k is what merge k makes.
   * @throws {RangeError} A merge is not possible.
   *
   * @example A tokenizer of bytes and one merge
   * ```ts
   * import { Tokenizer } from "@bashling/bashling";
   * import { assertEquals } from "@std/assert";
   *
   * const tokenizer = Tokenizer.fromMerges([..."ls"].map((letter) => letter.charCodeAt(0)));
   * assertEquals([...tokenizer.encode("ls")], [257]);
   * ```
   */
  static fromMerges(merges: number[]): Tokenizer {
    const ids = Uint32Array.from({ length: BYTES + merges.length / 2 }, (_, symbol) => symbol + 1);
    return new Tokenizer({ merges, ids, endOfText: 0 });
  }

  /**
   * Reads a Hugging Face `tokenizer.json` of this project's kind.
   *
   * @throws {SyntaxError} The text is not JSON or lacks what a tokenizer must have.
   * @throws {RangeError} The tokenizer is of another kind, or its vocabulary and merges disagree.
   *
   * @example
   * ```ts
   * import { Tokenizer } from "@bashling/bashling";
   *
   * const text = await Deno.readTextFile("weights/tokenizer.json");
   * console.log(Tokenizer.fromJSON(text).vocabSize);
   * ```
   */
  static fromJSON(text: string): Tokenizer {
    return new Tokenizer(parseTokenizerJSON(text));
  }

  /**
   * Loads a `tokenizer.json` from a path, or a `file:`, `http:` or `https:` URL.
   *
   * @throws {SyntaxError | RangeError} As {@linkcode Tokenizer.fromJSON}.
   * @throws {Error} The file cannot be read.
   *
   * @example
   * ```ts
   * import { Tokenizer } from "@bashling/bashling";
   *
   * const tokenizer = await Tokenizer.load("weights/tokenizer.json");
   * console.log(tokenizer.vocabSize);
   * ```
   */
  static async load(source: string | URL): Promise<Tokenizer> {
    const isUrl = source instanceof URL || /^(file|https?):/.test(source);
    const bytes = isUrl ? await readResource(new URL(source)) : await readFile(source);
    return Tokenizer.fromJSON(new TextDecoder().decode(bytes));
  }

  /**
   * The ids of a text. Equal to those of Hugging Face's `tokenizers` with the same file.
   *
   * @example
   * ```ts
   * import { Tokenizer } from "@bashling/bashling";
   * import { assertEquals } from "@std/assert";
   *
   * const tokenizer = await Tokenizer.load("weights/tokenizer.json");
   * const marked = tokenizer.encode("ls\n<|endoftext|>", { allowSpecial: true });
   * assertEquals(marked.at(-1), tokenizer.endOfText);
   * ```
   */
  encode(text: string, { allowSpecial = false }: EncodeOptions = {}): Uint32Array<ArrayBuffer> {
    const parts = (allowSpecial ? text.split(END_OF_TEXT) : [text]).map((part) =>
      utf8.encode(part)
    );
    // A token is one byte or more.
    const room = parts.reduce((sum, bytes) => sum + bytes.length, parts.length - 1);
    const ids = new Uint32Array(room);
    let n = 0;
    parts.forEach((bytes, i) => {
      if (i > 0) ids[n++] = this.endOfText;
      n = this.#encodePart(bytes, ids, n);
    });
    return ids.slice(0, n);
  }

  /** Encodes ordinary text into `out` from index `n`; returns the index after the last id. */
  #encodePart(bytes: Uint8Array, out: Uint32Array, n: number): number {
    const { ids } = this.#data;
    const first = n;
    for (let i = 0; i < bytes.length;) {
      const end = lineChunkEnd(bytes, i, bytes.length);
      n = this.#bpe.encodeChunk(bytes, i, end, out, n);
      i = end;
    }
    for (let i = first; i < n; i++) out[i] = ids[out[i]];
    return n;
  }

  /**
   * The text of some ids; bytes that are not UTF-8 become U+FFFD.
   *
   * @example
   * ```ts
   * import { Tokenizer } from "@bashling/bashling";
   * import { assertEquals } from "@std/assert";
   *
   * const tokenizer = await Tokenizer.load("weights/tokenizer.json");
   * assertEquals(tokenizer.decode(tokenizer.encode("tar -czf backup.tgz ~")), "tar -czf backup.tgz ~");
   * ```
   */
  decode(ids: ArrayLike<number>): string {
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(this.decodeBytes(ids));
  }

  /**
   * The bytes of some ids.
   *
   * @throws {RangeError} An id is not in the vocabulary.
   *
   * @example
   * ```ts
   * import { Tokenizer } from "@bashling/bashling";
   * import { assertEquals } from "@std/assert";
   *
   * const tokenizer = await Tokenizer.load("weights/tokenizer.json");
   * assertEquals(tokenizer.decodeBytes(tokenizer.encode("é")), new Uint8Array([0xc3, 0xa9]));
   * ```
   */
  decodeBytes(ids: ArrayLike<number>): Uint8Array<ArrayBuffer> {
    let length = 0;
    for (let i = 0; i < ids.length; i++) length += this.tokenBytes(ids[i]).length;
    const bytes = new Uint8Array(length);
    for (let i = 0, at = 0; i < ids.length; i++) {
      const token = this.tokenBytes(ids[i]);
      bytes.set(token, at);
      at += token.length;
    }
    return bytes;
  }

  /**
   * A decoder for one stream of tokens. What it returns, joined, is `decode()` of all of them, and no
   * piece ends inside a character: the first bytes of one are held back until it is complete or
   * cannot become so.
   *
   * @example
   * ```ts
   * import { Tokenizer } from "@bashling/bashling";
   * import { assertEquals } from "@std/assert";
   *
   * const tokenizer = await Tokenizer.load("weights/tokenizer.json");
   * const decoder = tokenizer.streamDecoder();
   * let text = "";
   * for (const id of tokenizer.encode("echo ✓")) text += decoder.push(id);
   * assertEquals(text + decoder.flush(), "echo ✓");
   * ```
   */
  streamDecoder(): StreamDecoder {
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    return {
      push: (id) => decoder.decode(this.tokenBytes(id), { stream: true }),
      flush: () => decoder.decode(),
    };
  }

  /**
   * The bytes of one token. Do not write to them.
   *
   * @throws {RangeError} The id is not in the vocabulary.
   *
   * @example
   * ```ts
   * import { Tokenizer } from "@bashling/bashling";
   * import { assertEquals } from "@std/assert";
   *
   * const tokenizer = await Tokenizer.load("weights/tokenizer.json");
   * const [first] = tokenizer.encode("\n");
   * assertEquals(tokenizer.tokenBytes(first), new Uint8Array([10]));
   * ```
   */
  tokenBytes(id: number): Uint8Array<ArrayBuffer> {
    if (!Number.isInteger(id) || id < 0 || id >= this.vocabSize) {
      throw new RangeError(`Token id ${id} is not in the vocabulary 0…${this.vocabSize - 1}.`);
    }
    return id === this.endOfText ? END_OF_TEXT_BYTES : this.#bpe.bytesOf(this.#symbols[id]);
  }

  /**
   * Bytes of text that one token stands for: 0 for `<|endoftext|>`.
   *
   * @throws {RangeError} The id is not in the vocabulary.
   *
   * @example Bytes for each token of a text
   * ```ts
   * import { Tokenizer } from "@bashling/bashling";
   *
   * const tokenizer = await Tokenizer.load("weights/tokenizer.json");
   * const lengths = [...tokenizer.encode("for i in *; do")].map((id) => tokenizer.byteLength(id));
   * console.log(lengths);
   * ```
   */
  byteLength(id: number): number {
    return id === this.endOfText ? 0 : this.tokenBytes(id).length;
  }

  /**
   * The `tokenizer.json` of this tokenizer, for Hugging Face's `tokenizers` and `transformers`.
   *
   * @example
   * ```ts
   * import { Tokenizer } from "@bashling/bashling";
   * import { assertEquals } from "@std/assert";
   *
   * const tokenizer = await Tokenizer.load("weights/tokenizer.json");
   * assertEquals(JSON.parse(tokenizer.toJSON()).model.type, "BPE");
   * ```
   */
  toJSON(): string {
    return formatTokenizerJSON(this.#data);
  }

  /**
   * SHA-256 of `toJSON()` in hexadecimal. Two tokenizers share it if and only if they give the same
   * ids, however their files are laid out; checkpoints record it.
   *
   * @example
   * ```ts
   * import { Tokenizer } from "@bashling/bashling";
   * import { assertEquals } from "@std/assert";
   *
   * const tokenizer = await Tokenizer.load("weights/tokenizer.json");
   * const copy = Tokenizer.fromJSON(tokenizer.toJSON());
   * assertEquals(await copy.fingerprint(), await tokenizer.fingerprint());
   * ```
   */
  fingerprint(): Promise<string> {
    return this.#fingerprint ??= sha256(this.toJSON());
  }
}
