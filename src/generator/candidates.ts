/**
 * The tokens to draw from when the largest logits of a step are too few: many of them may not come
 * next, because a script would become invalid or has to go on in a certain way.
 *
 * @module
 */

import type { StreamLogits } from "../gpt/decode.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { selectLargest } from "./sampler.ts";

/** Some tokens of a step, the likeliest first; of equally likely ones the lower id first. */
export interface Candidates extends Pick<StreamLogits, "normalizer" | "values" | "ids"> {
  /** No other token may be drawn. */
  readonly isComplete?: boolean;
}

/** Largest logits that are sorted in hope that enough of them may come next. */
const WIDE = 512;

/** The largest of all logits, many more than a step gives unasked. */
export async function widen(logits: StreamLogits): Promise<Candidates> {
  const all = await logits.all(), count = Math.min(WIDE, all.length);
  const ids = new Uint32Array(count);
  selectLargest(all, count, ids);
  return { ...sorted(all, ids, logits), isComplete: count === all.length };
}

/** All tokens with which a text can go on that has to go on with the bytes `forced`. */
export async function forcedCandidates(
  logits: StreamLogits,
  tokenizer: Tokenizer,
  forced: Uint8Array,
): Promise<Candidates> {
  const ids = forcedTokens(tokenizer, forced).slice();
  return { ...sorted(await logits.all(), ids, logits), isComplete: true };
}

function sorted(
  all: Float32Array,
  ids: Uint32Array,
  { normalizer }: StreamLogits,
): Omit<Candidates, "isComplete"> {
  ids.sort((a, b) => all[b] - all[a] || a - b);
  return { normalizer, ids, values: Float32Array.from(ids, (id) => all[id]) };
}

/** Whether a text that has to go on with the bytes `forced` can go on with those of a token. */
export function startsAlike(bytes: Uint8Array, forced: Uint8Array): boolean {
  const length = Math.min(bytes.length, forced.length);
  for (let i = 0; i < length; i++) if (bytes[i] !== forced[i]) return false;
  return true;
}

/** Lists that a tokenizer keeps: most scripts go on with one of a few indentations. */
const MOST_LISTS = 32;

const lists = new WeakMap<Tokenizer, Map<string, Uint32Array<ArrayBuffer>>>();

/** The ids of the tokens that {@linkcode startsAlike}, rising. */
function forcedTokens(tokenizer: Tokenizer, forced: Uint8Array): Uint32Array<ArrayBuffer> {
  let known = lists.get(tokenizer);
  if (!known) lists.set(tokenizer, known = new Map());
  const key = forced.join();
  let ids = known.get(key);
  if (!ids) {
    const found: number[] = [];
    for (let id = 0; id < tokenizer.vocabSize; id++) {
      if (id !== tokenizer.endOfText && startsAlike(tokenizer.tokenBytes(id), forced)) {
        found.push(id);
      }
    }
    if (known.size === MOST_LISTS) known.clear();
    known.set(key, ids = Uint32Array.from(found));
  }
  return ids;
}
