/**
 * Document-aware batches: rows packed from whole documents that never see one another.
 *
 * A document of n tokens is the sequence s[0 … n] with s[n] = `<|endoftext|>`. Its inputs are
 * s[0 … n−1] and its targets s[1 … n], so every target stands in the same document as its input, and
 * the first token of a document is given, never predicted. Positions count from 0 in every piece of a
 * document; attention uses them to keep pieces apart.
 *
 * Training cuts documents longer than the context T into pieces of T inputs, each token still being
 * predicted once. Later pieces do not repeat the `#!/bin/bash\n# …` header: after a prompt the model
 * must learn to begin a script, not to continue one. Pieces, not documents, are shuffled, so that the
 * pieces of one long script do not fill a batch.
 *
 * @module
 */

import { IGNORED } from "../backend/backend.ts";
import { Random } from "../random.ts";
import type { TokenizedCorpus } from "./tokenized.ts";

/** Pieces from which the packer chooses what fits a row best. */
const LOOKAHEAD = 512;

/** B rows of T tokens. */
export interface Batch {
  /** Inputs (B, T); unused places at the end of a row hold `<|endoftext|>`. */
  tokens: Uint32Array<ArrayBuffer>;
  /** Next tokens (B, T), {@linkcode IGNORED} where nothing is to be predicted. */
  targets: Uint32Array<ArrayBuffer>;
  /** Places within pieces (B, T). */
  positions: Uint32Array<ArrayBuffer>;
  /** Targets that are not ignored. */
  count: number;
  /** Bytes of text that these targets stand for; `<|endoftext|>` has none. */
  bytes: number;
}

/** One corpus of a mixture. */
export interface BatchSource {
  /** Where its documents come from. */
  documents: TokenizedCorpus;
  /** Its share of the tokens, relative to the other sources' weights. */
  weight: number;
}

/** Options of {@linkcode BatchStream}. */
export interface BatchOptions {
  /** The mixture. */
  sources: BatchSource[];
  /** B, rows of a batch. */
  batchSize: number;
  /** T, tokens of a row. */
  contextLength: number;
  /** Decides the order. */
  seed: number;
}

/** Where a {@linkcode BatchStream} stands; JSON. */
export interface BatchStreamState {
  /** Seed of the order. */
  seed: number;
  /** T, which decides how documents are cut. */
  contextLength: number;
  /** Per source: its tokens and pieces, the epoch, the next piece in it, and tokens drawn so far. */
  sources: { tokens: number; pieces: number; epoch: number; cursor: number; drawn: number }[];
  /** Pieces drawn and not yet in a batch, as [source, piece]. */
  pending: [number, number][];
}

/** Consecutive inputs of one document. */
interface Piece {
  corpus: TokenizedCorpus;
  document: number;
  /** First input. */
  start: number;
  /** Number of inputs, at most T. */
  length: number;
}

/** A piece that remembers which of a stream's sources and pieces it is. */
interface StreamPiece extends Piece {
  id: [number, number];
}

/**
 * An endless stream of training batches from a weighted mixture of corpora.
 *
 * Each source is passed through in an order shuffled anew in every epoch. The source that lags most
 * behind its share of the tokens gives the next piece. Rows are packed best-fit: the oldest waiting
 * piece, then those that fill the row best. Everything follows from the seed, and a restored stream
 * continues exactly.
 */
export class BatchStream {
  readonly #batchSize: number;
  readonly #contextLength: number;
  #seed: number;
  #sources: ShuffledSource[];
  #pending: StreamPiece[] = [];

  /** @throws {RangeError} if there is no source or a number cannot be. */
  constructor({ sources, batchSize, contextLength, seed }: BatchOptions) {
    checkShape(batchSize, contextLength);
    if (sources.length === 0) {
      throw new RangeError("A batch stream has no source: give at least one corpus.");
    }
    for (const { documents, weight } of sources) {
      if (!(weight > 0 && Number.isFinite(weight))) {
        throw new RangeError(
          `The weight of ${documents.name} is ${weight}, expected a number above 0.`,
        );
      }
    }
    this.#batchSize = batchSize;
    this.#contextLength = contextLength;
    this.#seed = seed;
    this.#sources = sources.map(({ documents, weight }, i) =>
      new ShuffledSource(documents, weight, contextLength, i, seed)
    );
  }

  /** Passes through each source so far, fractions included: 1.5 is midway through the second. */
  get epochs(): number[] {
    return this.#sources.map((source) => source.epoch + source.cursor / source.pieces);
  }

  /** Draws the next batch. */
  next(): Batch {
    const rows: Piece[][] = [];
    while (rows.length < this.#batchSize) {
      while (this.#pending.length < LOOKAHEAD) this.#pending.push(this.#draw());
      rows.push(packRow(this.#pending, this.#contextLength));
    }
    const batch = emptyBatch(this.#batchSize, this.#contextLength, this.#sources[0].corpus);
    rows.forEach((row, b) => {
      let at = b * this.#contextLength;
      for (const piece of row) {
        writePiece(batch, at, piece);
        at += piece.length;
      }
    });
    return batch;
  }

  /** All that {@linkcode restore} needs to continue after the last batch drawn. */
  state(): BatchStreamState {
    return {
      seed: this.#seed,
      contextLength: this.#contextLength,
      sources: this.#sources.map(({ corpus, pieces, epoch, cursor, drawn }) => {
        return { tokens: corpus.tokens, pieces, epoch, cursor, drawn };
      }),
      pending: this.#pending.map(({ id }) => id),
    };
  }

  /**
   * Continues where `state` was taken. The sources must be the same, in the same order.
   * @throws {RangeError} if they are not, or the context length differs.
   */
  restore(state: BatchStreamState): void {
    if (state.contextLength !== this.#contextLength) {
      throw new RangeError(
        `Cannot resume: batches had ${state.contextLength} tokens a row and now have ${this.#contextLength}; use the same context length.`,
      );
    }
    const sizes = (sources: { tokens: number; pieces: number }[]): string =>
      sources.map(({ tokens, pieces }) => `${tokens} tokens in ${pieces} pieces`).join(" and ");
    const [held, hold] = [sizes(state.sources), sizes(this.state().sources)];
    if (held !== hold) {
      throw new RangeError(
        `Cannot resume: the data had ${held} and now has ${hold}; give the same data in the same order.`,
      );
    }
    this.#seed = state.seed;
    this.#sources = this.#sources.map((source, i) => {
      const { epoch, cursor, drawn } = state.sources[i];
      const { corpus, weight } = source;
      const restored = new ShuffledSource(
        corpus,
        weight,
        this.#contextLength,
        i,
        state.seed,
        epoch,
      );
      restored.cursor = cursor;
      restored.drawn = drawn;
      return restored;
    });
    this.#pending = state.pending.map(([source, piece]) => this.#piece(source, piece));
  }

  #draw(): StreamPiece {
    let least = 0;
    this.#sources.forEach(({ drawn, weight }, i) => {
      const { drawn: other, weight: otherWeight } = this.#sources[least];
      if (drawn / weight < other / otherWeight) least = i;
    });
    const piece = this.#piece(least, this.#sources[least].next());
    this.#sources[least].drawn += piece.length;
    return piece;
  }

  #piece(source: number, piece: number): StreamPiece {
    return { ...this.#sources[source].piece(piece), id: [source, piece] };
  }
}

/** The pieces of one corpus in shuffled order, epoch after epoch. */
class ShuffledSource {
  /** Next place in the epoch's order. */
  cursor = 0;
  /** Tokens drawn since the stream began. */
  drawn = 0;
  /** Piece numbers before each document, and all pieces last (documents + 1). */
  readonly #first: Uint32Array;
  readonly #order: Uint32Array;

  constructor(
    readonly corpus: TokenizedCorpus,
    readonly weight: number,
    readonly contextLength: number,
    readonly index: number,
    readonly seed: number,
    public epoch: number = 0,
  ) {
    this.#first = new Uint32Array(corpus.documents + 1);
    for (let i = 0; i < corpus.documents; i++) {
      this.#first[i + 1] = this.#first[i] + Math.ceil(corpus.documentLength(i) / contextLength);
    }
    this.#order = new Uint32Array(this.pieces);
    this.#shuffle();
  }

  get pieces(): number {
    return this.#first[this.corpus.documents];
  }

  next(): number {
    if (this.cursor === this.pieces) {
      this.cursor = 0;
      this.epoch++;
      this.#shuffle();
    }
    return this.#order[this.cursor++];
  }

  piece(piece: number): Piece {
    let low = 0, high = this.corpus.documents - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.#first[middle] <= piece) low = middle;
      else high = middle - 1;
    }
    const start = (piece - this.#first[low]) * this.contextLength;
    const length = Math.min(this.contextLength, this.corpus.documentLength(low) - start);
    return { corpus: this.corpus, document: low, start, length };
  }

  #shuffle(): void {
    const { seed, index, epoch } = this;
    for (let i = 0; i < this.pieces; i++) this.#order[i] = i;
    const mixed = Math.imul(index + 1, 0x9e3779b1) ^ Math.imul(epoch + 1, 0x85ebca77);
    new Random((seed ^ mixed) >>> 0).shuffle(this.#order);
  }
}

/** Options of {@linkcode evaluationBatches}. */
export interface EvaluationOptions {
  /** What to score. */
  documents: TokenizedCorpus;
  /** B, rows of a batch. */
  batchSize: number;
  /** T, tokens of a row. */
  contextLength: number;
}

/**
 * Batches that score every document once, in order, each apart from the others.
 *
 * The rule: a document's first token is given; every later token of its text is scored once;
 * `<|endoftext|>` is not scored, for it stands for no text. Documents longer than the context T are
 * read by windows of T that advance by T/2, and only tokens not scored before are scored, so that
 * each has at least T/2 tokens before it or the document's beginning. Bits per byte are
 * Σ nats / ln 2 / Σ `batch.bytes`, where the bytes are those of the scored tokens.
 *
 * @throws {RangeError} if a number cannot be.
 */
export function* evaluationBatches(options: EvaluationOptions): Generator<Batch, void, unknown> {
  const { documents, batchSize, contextLength } = options;
  checkShape(batchSize, contextLength);
  const windows = evaluationWindows(documents, contextLength);
  const pending: (Piece & { scored: number })[] = [];
  let batch = emptyBatch(batchSize, contextLength, documents);
  let b = 0;
  while (true) {
    while (pending.length < LOOKAHEAD) {
      const { value } = windows.next();
      if (!value) break;
      pending.push(value);
    }
    if (pending.length === 0) break;
    let at = b * contextLength;
    for (const piece of packRow(pending, contextLength)) {
      writePiece(batch, at, piece, piece.scored);
      at += piece.length;
    }
    if (++b === batchSize) {
      yield batch;
      batch = emptyBatch(batchSize, contextLength, documents);
      b = 0;
    }
  }
  if (b > 0) yield batch;
}

/** Windows of all documents; targets before `scored` were scored by the window before. */
function* evaluationWindows(
  corpus: TokenizedCorpus,
  contextLength: number,
): Generator<Piece & { scored: number }, undefined, unknown> {
  const stride = Math.max(1, contextLength >> 1);
  for (let document = 0; document < corpus.documents; document++) {
    const inputs = corpus.documentLength(document) - 1;
    let end = 0;
    for (let start = 0; end < inputs; start += stride) {
      const length = Math.min(contextLength, inputs - start);
      yield { corpus, document, start, length, scored: end - start };
      end = start + length;
    }
  }
}

/**
 * Takes from `pending` the pieces of one row: the first, then each time the piece that, with the
 * longest that would still fit beside it, fills the row best; of equals the longest.
 */
function packRow<P extends Piece>(pending: P[], contextLength: number): P[] {
  const row = pending.splice(0, 1);
  // longest[n] is the length of the longest piece that fits n places, 0 if none does.
  const longest = new Uint32Array(contextLength + 1);
  for (const { length } of pending) longest[length] = length;
  for (let n = 1; n <= contextLength; n++) longest[n] ||= longest[n - 1];
  for (let room = contextLength - row[0].length; longest[room] > 0;) {
    let best = -1, most = 0;
    for (let i = 0; i < pending.length; i++) {
      const { length } = pending[i];
      if (length > room) continue;
      const filled = length + longest[room - length];
      if (filled > most || (filled === most && length > pending[best].length)) {
        best = i;
        most = filled;
      }
    }
    if (best < 0) break; // The table still knows pieces that this row has taken.
    room -= pending[best].length;
    row.push(...pending.splice(best, 1));
  }
  return row;
}

function emptyBatch(batchSize: number, contextLength: number, corpus: TokenizedCorpus): Batch {
  const size = batchSize * contextLength;
  return {
    tokens: new Uint32Array(size).fill(corpus.endOfText),
    targets: new Uint32Array(size).fill(IGNORED),
    positions: new Uint32Array(size),
    count: 0,
    bytes: 0,
  };
}

/** Writes a piece at `at`; its first `given` targets are ignored. */
function writePiece(
  batch: Batch,
  at: number,
  { corpus, document, start, length }: Piece,
  given = 0,
): void {
  const s = new Uint32Array(length + 1);
  corpus.read(document, start, s);
  for (let i = 0; i < length; i++) {
    batch.tokens[at + i] = s[i];
    batch.positions[at + i] = i;
    if (i < given) continue;
    batch.targets[at + i] = s[i + 1];
    batch.bytes += corpus.byteLengths[s[i + 1]];
    batch.count++;
  }
}

function checkShape(batchSize: number, contextLength: number): void {
  for (const [name, value] of Object.entries({ batchSize, contextLength })) {
    if (!Number.isInteger(value) || value < 1) {
      throw new RangeError(`Batches' ${name} is ${value}, expected a whole number above 0.`);
    }
  }
}
