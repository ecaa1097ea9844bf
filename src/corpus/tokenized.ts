/**
 * Tokenized corpora: the ids of many documents, one after the other.
 *
 * @module
 */

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
 * Documents as token ids. A document of n tokens reads as the sequence s[0 … n] in which s[n] is
 * `<|endoftext|>`.
 */
export class TokenizedCorpus {
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
  readonly #ids: Uint16Array | Uint32Array;

  private constructor(
    name: string,
    tokenizer: TextTokenizer,
    lengths: ArrayLike<number>,
    ids: Uint16Array | Uint32Array,
    bytes: number,
  ) {
    this.name = name;
    this.documents = lengths.length;
    this.endOfText = tokenizer.endOfText;
    this.byteLengths = byteLengthTable(tokenizer);
    this.#starts = new Float64Array(lengths.length + 1);
    for (let i = 0; i < lengths.length; i++) this.#starts[i + 1] = this.#starts[i] + lengths[i];
    this.tokens = this.#starts[lengths.length];
    this.bytes = bytes;
    this.#ids = ids;
  }

  /**
   * Tokenizes `documents`; empty ones are left out.
   * @throws {RangeError} if no document has any text.
   */
  static async from(
    documents: AsyncIterable<string> | Iterable<string>,
    tokenizer: TextTokenizer,
    options: TokenizeOptions = {},
  ): Promise<TokenizedCorpus> {
    const { name = "corpus", onProgress } = options;
    const byteLengths = byteLengthTable(tokenizer);
    const lengths: number[] = [];
    let ids = tokenizer.vocabSize <= 1 << 16 ? new Uint16Array(1 << 16) : new Uint32Array(1 << 16);
    let tokens = 0, bytes = 0;
    for await (const text of documents) {
      const encoded = tokenizer.encode(text);
      if (encoded.length === 0) continue;
      if (tokens + encoded.length > ids.length) {
        const grown = Math.max(2 * ids.length, tokens + encoded.length);
        const larger = ids instanceof Uint16Array ? new Uint16Array(grown) : new Uint32Array(grown);
        larger.set(ids.subarray(0, tokens));
        ids = larger;
      }
      ids.set(encoded, tokens);
      for (const id of encoded) bytes += byteLengths[id];
      tokens += encoded.length;
      if (lengths.push(encoded.length) % 1000 === 0) {
        onProgress?.({ documents: lengths.length, tokens, bytes });
      }
    }
    if (lengths.length === 0) {
      throw new RangeError(`${name} holds no text: give a corpus with at least one document.`);
    }
    onProgress?.({ documents: lengths.length, tokens, bytes });
    return new TokenizedCorpus(name, tokenizer, lengths, ids.slice(0, tokens), bytes);
  }

  /** Tokens of text in one document, at least 1. */
  documentLength(document: number): number {
    return this.#starts[document + 1] - this.#starts[document];
  }

  /** Fills `out` with s[start], s[start + 1] … of a document; its end is `<|endoftext|>`. */
  read(document: number, start: number, out: Uint32Array): void {
    const length = this.documentLength(document);
    const from = this.#starts[document] + start;
    const text = Math.min(out.length, length - start);
    out.set(this.#ids.subarray(from, from + text));
    if (text < out.length) out[text] = this.endOfText;
  }
}

/** Bytes of text that each id stands for (V). */
export function byteLengthTable(tokenizer: TextTokenizer): Uint16Array {
  return Uint16Array.from({ length: tokenizer.vocabSize }, (_, id) => tokenizer.byteLength(id));
}
