/**
 * Training of the tokenizer in two stages, after "SuperBPE: Space Travel for Language Models"
 * (Liu et al., 2025): first merges inside words, then merges that may span the spaces of a line.
 *
 * @module
 */

import { Bpe, BYTES, MAX_SYMBOLS } from "./bpe.ts";
import { ChunkCounts } from "./chunks.ts";
import { MergeLoop } from "./merges.ts";
import { lineChunkEnd, wordEnd } from "./pretokenize.ts";
import { END_OF_TEXT, Tokenizer } from "./tokenizer.ts";

/** A text that counts as often as its weight says: a whole number, 1 or more. */
export interface WeightedText {
  /** The text. */
  text: string;
  /** How often it counts. */
  weight: number;
}

/** What training has done so far. */
export interface TrainProgress {
  /** `read` while texts come in, then `words`, then `superwords`. */
  stage: "read" | "words" | "superwords";
  /** Merges made. */
  merges: number;
  /** Merges to make. */
  total: number;
  /** Bytes of text read. */
  bytes: number;
}

/** Options of {@linkcode trainTokenizer}. */
export interface TrainTokenizerOptions {
  /** The corpus. `<|endoftext|>` in a text separates documents and is not learnt. */
  texts: Iterable<string | WeightedText> | AsyncIterable<string | WeightedText>;
  /** Number of tokens, with `<|endoftext|>` and the 256 bytes: 257 to 65,536. Default 8000. */
  vocabSize?: number;
  /** Share of the vocabulary that is reached with merges inside words, 0 to 1. Default 0.8. */
  transition?: number;
  /** No token is longer than this many bytes. Default 32. */
  maxTokenBytes?: number;
  /** No pair rarer than this is merged. Default 2. */
  minCount?: number;
  /** Called now and then. */
  onProgress?: (progress: TrainProgress) => void;
}

const PROGRESS_EVERY = 100;

/** The options with their defaults, checked. */
export function checkTrainOptions(options: TrainTokenizerOptions): {
  total: number;
  inWords: number;
  maxTokenBytes: number;
  minCount: number;
} {
  const { vocabSize = 8000, transition = 0.8, maxTokenBytes = 32, minCount = 2 } = options;
  if (!Number.isInteger(vocabSize) || vocabSize <= BYTES || vocabSize > MAX_SYMBOLS + 1) {
    throw new RangeError(
      `Cannot train a vocabulary of ${vocabSize}: it must be ${BYTES + 1} to ${MAX_SYMBOLS + 1}.`,
    );
  }
  if (!(transition >= 0 && transition <= 1)) {
    throw new RangeError(`Cannot train with transition ${transition}: it must be 0 to 1.`);
  }
  if (!(maxTokenBytes >= 1)) {
    throw new RangeError(`Cannot train tokens of at most ${maxTokenBytes} bytes: at least 1.`);
  }
  if (!(minCount >= 1)) {
    throw new RangeError(`Cannot train with minCount ${minCount}: it must be at least 1.`);
  }
  const total = vocabSize - BYTES - 1;
  const inWords = Math.min(total, Math.max(0, Math.round(transition * vocabSize) - BYTES - 1));
  return { total, inWords, maxTokenBytes, minCount };
}

/** Yields the documents of a corpus with their weights. */
export async function* documentsOf(
  texts: TrainTokenizerOptions["texts"],
): AsyncGenerator<WeightedText> {
  for await (const item of texts) {
    const { text, weight } = typeof item === "string" ? { text: item, weight: 1 } : item;
    if (!Number.isInteger(weight) || weight < 1) {
      throw new RangeError(`A text has weight ${weight}: it must be a whole number from 1 on.`);
    }
    for (const document of text.split(END_OF_TEXT)) yield { text: document, weight };
  }
}

/**
 * Learns a tokenizer from a corpus.
 *
 * In each stage the pair of tokens that is adjacent most often is merged, again and again; among
 * equals the pair whose left token is older, then whose right token is older (bytes by value, then
 * merges in order). Overlapping pairs (`aaa` holds two) all count. The second stage starts from the
 * corpus as the first stage's merges encode it line by line, so its counts are those of the finished
 * tokenizer.
 *
 * @throws {RangeError} An option is out of its range, or the corpus is too small for the vocabulary.
 *
 * @example
 * ```ts
 * import { trainTokenizer } from "@bashling/bashling";
 * import { assertEquals } from "@std/assert";
 *
 * const texts = ["for i in 1 2 3; do echo $i; done\n", "for i in a b; do echo $i; done\n"];
 * const tokenizer = await trainTokenizer({ texts, vocabSize: 270 });
 * assertEquals(tokenizer.decode(tokenizer.encode("for i in x y")), "for i in x y");
 * ```
 */
export async function trainTokenizer(options: TrainTokenizerOptions): Promise<Tokenizer> {
  const { total, inWords, maxTokenBytes, minCount } = checkTrainOptions(options);
  const merges: number[] = [];
  const lengths = new Array<number>(BYTES).fill(1);
  let bytesRead = 0;
  const report = (stage: TrainProgress["stage"]) =>
    options.onProgress?.({ stage, merges: merges.length / 2, total, bytes: bytesRead });

  const lines = new ChunkCounts();
  const encoder = new TextEncoder();
  for await (const { text, weight } of documentsOf(options.texts)) {
    const bytes = encoder.encode(text);
    for (let i = 0; i < bytes.length;) {
      const end = lineChunkEnd(bytes, i, bytes.length);
      lines.add(bytes, i, end, weight);
      i = end;
    }
    bytesRead += bytes.length;
    report("read");
  }

  const run = (loop: MergeLoop, until: number, stage: TrainProgress["stage"]) => {
    for (let made = merges.length / 2; made < until; made++) {
      const pair = loop.merge();
      if (pair === undefined) return;
      merges.push(...pair);
      lengths.push(lengths[pair[0]] + lengths[pair[1]]);
      if (made % PROGRESS_EVERY === 0) report(stage);
    }
    report(stage);
  };

  if (inWords > 0) {
    const words = new ChunkCounts();
    for (let line = 0; line < lines.size; line++) {
      const end = lines.starts[line + 1];
      for (let i = lines.starts[line]; i < end;) {
        const stop = wordEnd(lines.bytes, i, end);
        words.add(lines.bytes, i, stop, lines.weights[line]);
        i = stop;
      }
    }
    const loop = new MergeLoop(words.starts[words.size], lengths, maxTokenBytes, minCount);
    for (let word = 0; word < words.size; word++) {
      loop.addChunk(words.bytes, words.starts[word], words.starts[word + 1], words.weights[word]);
    }
    run(loop, inWords, "words");
  }
  if (merges.length / 2 < total) {
    const bpe = new Bpe(merges);
    const symbols = new Uint32Array(lines.starts[lines.size]);
    const starts = new Uint32Array(lines.size + 1);
    for (let line = 0; line < lines.size; line++) {
      const { bytes, starts: at } = lines;
      starts[line + 1] = bpe.encodeChunk(bytes, at[line], at[line + 1], symbols, starts[line]);
    }
    const loop = new MergeLoop(starts[lines.size], lengths, maxTokenBytes, minCount);
    for (let line = 0; line < lines.size; line++) {
      loop.addChunk(symbols, starts[line], starts[line + 1], lines.weights[line]);
    }
    run(loop, total, "superwords");
  }
  return Tokenizer.fromMerges(requireAll(merges, total, minCount));
}

/** The merges, if there are as many as the vocabulary needs. */
export function requireAll(merges: number[], total: number, minCount: number): number[] {
  if (merges.length / 2 < total) {
    throw new RangeError(
      `Cannot fill a vocabulary of ${total + BYTES + 1}: the corpus has only ${
        merges.length / 2
      } ` +
        `pairs that occur ${minCount} times or more; give more text or a smaller vocabulary.`,
    );
  }
  return merges;
}
