/**
 * The file `tokenizer.json` of Hugging Face's `tokenizers`: what this project writes and reads.
 *
 * @module
 */

import { BYTES } from "./bpe.ts";
import { LINE_PATTERN } from "./pretokenize.ts";

/** The only special token. */
export const END_OF_TEXT = "<|endoftext|>";

const NONE = -1;

const isPrintable = (byte: number): boolean =>
  (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;

/** GPT-2's alphabet: a visible character for each byte; those without one get U+0100, U+0101 … */
export const BYTE_TO_CHAR: readonly string[] = (() => {
  let spare = 0x100;
  return Array.from(
    { length: BYTES },
    (_, byte) => String.fromCodePoint(isPrintable(byte) ? byte : spare++),
  );
})();

const PRE_TOKENIZER = {
  type: "Sequence",
  pretokenizers: [
    { type: "Split", pattern: { Regex: LINE_PATTERN }, behavior: "Isolated", invert: false },
    { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: false },
  ],
};

/** What a `tokenizer.json` says, in terms of the symbols of {@linkcode Bpe}. */
export interface TokenizerData {
  /** Left and right symbol of each merge, alternating. */
  merges: number[];
  /** Id of each symbol. */
  ids: Uint32Array;
  /** Id of `<|endoftext|>`. */
  endOfText: number;
}

type Json = null | boolean | number | string | Json[] | { [key: string]: Json | undefined };
type JsonObject = { [key: string]: Json | undefined };

const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const unreadable = (why: string) => new SyntaxError(`Cannot read the tokenizer: ${why}.`);
const unsupported = (why: string) => new RangeError(`Cannot use the tokenizer: ${why}.`);

/** The `tokenizer.json` of a tokenizer. The same tokenizer always gives the same text. */
export function formatTokenizerJSON({ merges, ids, endOfText }: TokenizerData): string {
  const strings = [...BYTE_TO_CHAR];
  const mergeLines: string[] = [];
  for (let k = 0; k < merges.length; k += 2) {
    const left = strings[merges[k]], right = strings[merges[k + 1]];
    mergeLines.push(`${left} ${right}`);
    strings.push(left + right);
  }
  const byId: string[] = [];
  strings.forEach((string, symbol) => byId[ids[symbol]] = string);
  byId[endOfText] = END_OF_TEXT;
  const file = {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: [{
      id: endOfText,
      content: END_OF_TEXT,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    }],
    normalizer: null,
    pre_tokenizer: PRE_TOKENIZER,
    post_processor: null,
    decoder: { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: false },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(byId.map((string, id) => [string, id])),
      merges: mergeLines,
    },
  };
  return JSON.stringify(file, null, 1) + "\n";
}

/**
 * Reads a `tokenizer.json`: byte-level BPE, this project's pretokenizer, `<|endoftext|>` as the only
 * special token, ids in any order.
 *
 * @throws {SyntaxError} The text is not JSON or lacks what a tokenizer must have.
 * @throws {RangeError} The tokenizer is of another kind, or its vocabulary and merges disagree.
 */
export function parseTokenizerJSON(text: string): TokenizerData {
  let file: Json;
  try {
    file = JSON.parse(text);
  } catch (error) {
    throw unreadable(`it is not JSON (${(error as Error).message})`);
  }
  if (!isObject(file) || !isObject(file.model)) throw unreadable(`it has no "model"`);
  const { model } = file;
  checkKind(file, model);
  if (!isObject(model.vocab)) throw unreadable(`its model has no "vocab"`);
  if (!Array.isArray(model.merges)) throw unreadable(`its model has no "merges"`);

  const vocab = readVocab(model.vocab);
  const endOfText = readEndOfText(file.added_tokens, vocab);
  const tokens = vocab.size;
  if (tokens !== BYTES + model.merges.length + 1) {
    throw unsupported(
      `its vocabulary has ${tokens} tokens, but ${BYTES} bytes, ${model.merges.length} merges and ` +
        `${END_OF_TEXT} make ${BYTES + model.merges.length + 1}`,
    );
  }
  const ids = new Uint32Array(tokens - 1);
  /** Symbol of each id, or NONE before the merge that makes it. */
  const symbols = new Int32Array(tokens).fill(NONE);
  let size = 0;
  const define = (string: string): void => {
    const id = vocab.get(string);
    if (id === undefined) throw unsupported(`its vocabulary has no "${string}"`);
    if (symbols[id] !== NONE) throw unsupported(`two merges make "${string}"`);
    symbols[id] = size;
    ids[size++] = id;
  };
  const find = (part: Json, k: number): number => {
    const id = typeof part === "string" ? vocab.get(part) : undefined;
    if (id === undefined || symbols[id] === NONE) {
      throw unsupported(`merge ${k} uses ${JSON.stringify(part)}, which nothing before it makes`);
    }
    return symbols[id];
  };
  BYTE_TO_CHAR.forEach(define);
  const merges: number[] = [];
  model.merges.forEach((merge, k) => {
    const parts = typeof merge === "string" ? merge.split(" ") : merge;
    if (!Array.isArray(parts) || parts.length !== 2) throw unreadable(`merge ${k} is not a pair`);
    merges.push(find(parts[0], k), find(parts[1], k));
    define(`${parts[0]}${parts[1]}`);
  });
  return { merges, ids, endOfText };
}

/** Refuses every setting under which the same merges would give other ids. */
function checkKind(file: JsonObject, model: JsonObject): void {
  if (model.type !== "BPE") {
    throw unsupported(`its model is ${JSON.stringify(model.type)}, not "BPE"`);
  }
  for (
    const setting of ["dropout", "continuing_subword_prefix", "end_of_word_suffix", "ignore_merges"]
  ) {
    if (model[setting]) {
      throw unsupported(`its model has "${setting}": ${JSON.stringify(model[setting])}`);
    }
  }
  if (file.normalizer) throw unsupported("it normalizes text, so that it could not be restored");
  const after = file.post_processor;
  if (after && !(isObject(after) && after.type === "ByteLevel")) {
    throw unsupported("it has a post-processor that may add tokens");
  }
  const before = isObject(file.pre_tokenizer) ? file.pre_tokenizer.pretokenizers : undefined;
  const [split, byteLevel] = Array.isArray(before) ? before : [];
  const matches = Array.isArray(before) && before.length === 2 &&
    isObject(split) && split.type === "Split" && split.behavior === "Isolated" && !split.invert &&
    isObject(split.pattern) && split.pattern.Regex === LINE_PATTERN &&
    isObject(byteLevel) && byteLevel.type === "ByteLevel" &&
    byteLevel.add_prefix_space === false && byteLevel.use_regex === false;
  if (!matches) {
    throw unsupported(
      `its pre-tokenizer is not a split at ${LINE_PATTERN} and then bytes; retrain it here`,
    );
  }
}

/** The vocabulary as a map, its ids checked to be 0, 1, 2 … each once. */
function readVocab(vocab: JsonObject): Map<string, number> {
  const map = new Map<string, number>();
  const entries = Object.entries(vocab);
  const seen = new Uint8Array(entries.length);
  for (const [string, id] of entries) {
    if (typeof id !== "number" || !Number.isInteger(id) || id < 0 || id >= entries.length) {
      throw unsupported(
        `id ${JSON.stringify(id)} of ${JSON.stringify(string)} is not in 0…${entries.length - 1}`,
      );
    }
    if (seen[id]++) throw unsupported(`id ${id} is given twice`);
    map.set(string, id);
  }
  return map;
}

/** Id of the one special token, which must stand in the vocabulary too. */
function readEndOfText(added: Json | undefined, vocab: Map<string, number>): number {
  const tokens = Array.isArray(added) ? added : [];
  const [token] = tokens;
  if (tokens.length !== 1 || !isObject(token) || token.content !== END_OF_TEXT) {
    throw unsupported(`its only added token must be ${END_OF_TEXT}`);
  }
  if (token.single_word || token.lstrip || token.rstrip) {
    throw unsupported(`${END_OF_TEXT} must not strip or bound its neighbours`);
  }
  const id = vocab.get(END_OF_TEXT);
  if (id === undefined || token.id !== id) {
    throw unsupported(`${END_OF_TEXT} has id ${token.id} as added token and ${id} as vocabulary`);
  }
  return id;
}
