/**
 * Tokenized corpora: the ids of many documents, one after the other.
 *
 * @module
 */

import { fileSink, memorySink, openTokenFile, type TokenStore } from "./token_store.ts";

/** What a corpus needs of a tokenizer. */
export interface TextTokenizer {
  /** Ids of a text. */
  encode(text: string): Uint32Array;
  /** Bytes of UTF-8 that one id stands for, 0 for special tokens. */
  byteLength(id: number): number;
  /** Id of `<|endoftext|>`. */
  readonly endOfText: number;
  /** V, number of ids. */
  readonly vocabSize: number;
}

/** Options of {@linkcode TokenizedCorpus.from}. */
export interface TokenizeOptions {
  /** What the corpus is, for messages: a file or folder name. */
  name?: string;
  /**
   * A file to keep the ids in; memory unless given. If it is there already, it is used and the
   * documents are not read: its name must tell tokenizer and text, as `tokenFile`'s does.
   */
  file?: string;
  /** Called after every thousandth document and at the end. */
  onProgress?: (progress: TokenizeProgress) => void;
}

/** How far {@linkcode TokenizedCorpus.from} has come. */
export interface TokenizeProgress {
  /** Documents so far. */
  documents: number;
  /** Tokens so far. */
  tokens: number;
  /** Bytes of text so far. */
  bytes: number;
}

/**
 * Documents as token ids, in memory or in a file; 20 bytes of memory per document in either case. A
 * document of n tokens reads as the sequence s[0 … n] in which s[n] is `<|endoftext|>`.
 *
 * @example Held-out texts for a trainer
 * ```ts
 * import { TokenizedCorpus, Tokenizer } from "@bashling/bashling";
 *
 * const tokenizer = await Tokenizer.load("weights/tokenizer.json");
 * using corpus = await TokenizedCorpus.from(["echo one\n", "echo two\n"], tokenizer);
 * console.log(corpus.documents, corpus.tokens, corpus.bytes);
 * ```
 */
export class TokenizedCorpus implements Disposable {
  /** What the corpus is, for messages. */
  readonly name: string;
  /** Number of documents; each has at least one token. */
  readonly documents: number;
  /** Number of tokens of text, `<|endoftext|>` not counted. */
  readonly tokens: number;
  /** Bytes of text as UTF-8. */
  readonly bytes: number;
  /** Id that ends every document. */
  readonly endOfText: number;
  /** Bytes of text that each id stands for (V). */
  readonly byteLengths: Uint16Array;
  /** First token of each document, and the end of the last (documents + 1). */
  readonly #starts: Float64Array;
  readonly #store: TokenStore;

  private constructor(
    name: string,
    tokenizer: TextTokenizer,
    lengths: ArrayLike<number>,
    store: TokenStore,
    bytes: number,
  ) {
    this.name = name;
    this.documents = lengths.length;
    this.endOfText = tokenizer.endOfText;
    this.byteLengths = byteLengthTable(tokenizer);
    this.#starts = new Float64Array(lengths.length + 1);
    for (let i = 0; i < lengths.length; i++) this.#starts[i + 1] = this.#starts[i] + lengths[i];
    this.tokens = this.#starts[lengths.length];
    this.#store = store;
    this.bytes = bytes;
  }

  /**
   * Tokenizes `documents`; empty ones are left out.
   * @throws {RangeError} if no document has any text.
   *
   * @example
   * ```ts
   * import { TokenizedCorpus, Tokenizer } from "@bashling/bashling";
   *
   * async function* lines() {
   *   for (const word of ["one", "two"]) yield `echo ${word}\n`;
   * }
   * const tokenizer = await Tokenizer.load("weights/tokenizer.json");
   * using corpus = await TokenizedCorpus.from(lines(), tokenizer, { name: "lines" });
   * console.log(corpus.documents);
   * ```
   */
  static async from(
    documents: AsyncIterable<string> | Iterable<string>,
    tokenizer: TextTokenizer,
    options: TokenizeOptions = {},
  ): Promise<TokenizedCorpus> {
    const { name = "corpus", file, onProgress } = options;
    if (file !== undefined && !("Deno" in globalThis)) {
      throw new Error("Ids are kept in files in Deno only: leave file out to keep them in memory.");
    }
    const kept = file === undefined ? undefined : openKept(file);
    if (kept) return new TokenizedCorpus(name, tokenizer, kept.lengths, kept.store, kept.bytes);
    const byteLengths = byteLengthTable(tokenizer);
    const sink = file === undefined
      ? memorySink(tokenizer.vocabSize)
      : fileSink(file, tokenizer.vocabSize);
    const lengths: number[] = [];
    let tokens = 0, bytes = 0;
    try {
      for await (const text of documents) {
        const ids = tokenizer.encode(text);
        if (ids.length === 0) continue;
        sink.append(ids);
        tokens += ids.length;
        for (const id of ids) bytes += byteLengths[id];
        if (lengths.push(ids.length) % 1000 === 0) {
          onProgress?.({ documents: lengths.length, tokens, bytes });
        }
      }
      if (lengths.length === 0) {
        throw new RangeError(`${name} holds no text: give a corpus with at least one document.`);
      }
    } catch (error) {
      sink.abandon();
      throw error;
    }
    onProgress?.({ documents: lengths.length, tokens, bytes });
    return new TokenizedCorpus(name, tokenizer, lengths, sink.finish(lengths, bytes), bytes);
  }

  /**
   * Tokens of text in one document, at least 1.
   *
   * @example
   * ```ts
   * import { TokenizedCorpus, Tokenizer } from "@bashling/bashling";
   * import { assertEquals } from "@std/assert";
   *
   * const tokenizer = await Tokenizer.load("weights/tokenizer.json");
   * using corpus = await TokenizedCorpus.from(["echo one\n"], tokenizer);
   * assertEquals(corpus.documentLength(0), tokenizer.encode("echo one\n").length);
   * ```
   */
  documentLength(document: number): number {
    return this.#starts[document + 1] - this.#starts[document];
  }

  /**
   * Fills `out` with s[start], s[start + 1] … of a document; its end is `<|endoftext|>`.
   *
   * @example
   * ```ts
   * import { TokenizedCorpus, Tokenizer } from "@bashling/bashling";
   * import { assertEquals } from "@std/assert";
   *
   * const tokenizer = await Tokenizer.load("weights/tokenizer.json");
   * using corpus = await TokenizedCorpus.from(["echo one\n"], tokenizer);
   * const ids = new Uint32Array(corpus.documentLength(0) + 1);
   * corpus.read(0, 0, ids);
   * assertEquals(tokenizer.decode(ids), "echo one\n<|endoftext|>");
   * ```
   */
  read(document: number, start: number, out: Uint32Array): void {
    const text = Math.min(out.length, this.documentLength(document) - start);
    this.#store.read(this.#starts[document] + start, out.subarray(0, text));
    if (text < out.length) out[text] = this.endOfText;
  }

  /** Closes the file of ids, if there is one. */
  [Symbol.dispose](): void {
    this.#store.close();
  }
}

/** A file of ids if it is there and whole; a damaged one is as good as none. */
function openKept(file: string): ReturnType<typeof openTokenFile> | undefined {
  try {
    return openTokenFile(file);
  } catch (error) {
    if (
      error instanceof Deno.errors.NotFound || error instanceof SyntaxError ||
      error instanceof RangeError
    ) return undefined;
    throw error;
  }
}

/** Bytes of text that each id stands for (V). */
export function byteLengthTable(tokenizer: TextTokenizer): Uint16Array {
  return Uint16Array.from({ length: tokenizer.vocabSize }, (_, id) => tokenizer.byteLength(id));
}
