/**
 * Training and encoding as their definitions say, without any speed: the oracle of the fast ones.
 *
 * @module
 */

import { BYTES } from "./bpe.ts";
import { LINE_PATTERN } from "./pretokenize.ts";
import { Tokenizer } from "./tokenizer.ts";
import { checkTrainOptions, documentsOf, requireAll, type TrainTokenizerOptions } from "./train.ts";

/** The words of a line chunk, as a pattern on text in which each character is one byte. */
const WORD_PATTERN = new RegExp(
  [
    "\\n+[ \\t]*", // newlines with indentation
    " ?[A-Za-z\\x80-\\xff]+", // letters
    " ?[0-9]{1,3}", // digits
    " ?[^ \\t\\n\\v\\f\\rA-Za-z0-9\\x80-\\xff]+", // other marks
    "[ \\t\\v\\f\\r]+(?= [^ \\t\\n\\v\\f\\r])|[ \\t\\v\\f\\r]+", // blanks, less the last space
  ].join("|"),
  "g",
);

/** Replaces each `left right` by `symbol`, from the left; `[1, 1, 1]` with 1 1 → 9 gives `[9, 1]`. */
function mergePair(symbols: number[], left: number, right: number, symbol: number): number[] {
  const merged: number[] = [];
  for (let i = 0; i < symbols.length; i++) {
    if (symbols[i] === left && symbols[i + 1] === right) {
      merged.push(symbol);
      i++;
    } else merged.push(symbols[i]);
  }
  return merged;
}

/** Encodes one chunk of bytes by making every merge in turn. Takes merges × bytes of time. */
export function encodeNaive(merges: ArrayLike<number>, bytes: ArrayLike<number>): number[] {
  let symbols = Array.from(bytes);
  for (let k = 0; 2 * k < merges.length; k++) {
    symbols = mergePair(symbols, merges[2 * k], merges[2 * k + 1], BYTES + k);
  }
  return symbols;
}

/** Does what {@linkcode trainTokenizer} does, counting all pairs anew for every merge. */
export async function trainNaive(options: TrainTokenizerOptions): Promise<Tokenizer> {
  const { total, inWords, maxTokenBytes, minCount } = checkTrainOptions(options);
  const lines = new Map<string, number>();
  for await (const { text, weight } of documentsOf(options.texts)) {
    const binary = Array.from(new TextEncoder().encode(text), (b) => String.fromCharCode(b)).join(
      "",
    );
    for (const [line] of binary.matchAll(new RegExp(LINE_PATTERN, "g"))) {
      lines.set(line, (lines.get(line) ?? 0) + weight);
    }
  }
  const bytesOf = (binary: string) => Array.from(binary, (char) => char.charCodeAt(0));
  const merges: number[] = [];
  const lengths = new Array<number>(BYTES).fill(1);

  const run = (chunks: { symbols: number[]; weight: number }[], until: number) => {
    while (merges.length / 2 < until) {
      const counts = new Map<number, number>();
      for (const { symbols, weight } of chunks) {
        for (let i = 1; i < symbols.length; i++) {
          const key = symbols[i - 1] * 2 ** 16 + symbols[i];
          counts.set(key, (counts.get(key) ?? 0) + weight);
        }
      }
      let best = -1, bestCount = 0;
      for (const [key, count] of counts) {
        const bytes = lengths[Math.floor(key / 2 ** 16)] + lengths[key % 2 ** 16];
        if (count < minCount || bytes > maxTokenBytes) continue;
        if (count > bestCount || (count === bestCount && key < best)) {
          [best, bestCount] = [key, count];
        }
      }
      if (best < 0) return;
      const left = Math.floor(best / 2 ** 16), right = best % 2 ** 16, symbol = lengths.length;
      lengths.push(lengths[left] + lengths[right]);
      merges.push(left, right);
      for (const chunk of chunks) chunk.symbols = mergePair(chunk.symbols, left, right, symbol);
    }
  };

  run(
    [...lines].flatMap(([line, weight]) =>
      [...line.matchAll(WORD_PATTERN)].map(([word]) => ({ symbols: bytesOf(word), weight }))
    ),
    inWords,
  );
  run(
    [...lines].map(([line, weight]) => ({ symbols: encodeNaive(merges, bytesOf(line)), weight })),
    total,
  );
  return Tokenizer.fromMerges(requireAll(merges, total, minCount));
}
