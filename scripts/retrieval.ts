/**
 * The commands of the sentences most like a sentence, as a measure for what a model is worth: whoever
 * has the training pairs at hand could look them up instead.
 *
 *     deno run --allow-read scripts/retrieval.ts pairs.train.jsonl.gz pairs.valid.jsonl.gz
 *
 * Sentences are bags of words and word pairs, weighted by how rare these are (tf–idf), and likeness is
 * the cosine.
 *
 * @module
 */

import { compareCommands, GUESSES, type Pair, readPairs } from "../src/evaluate_commands.ts";

/** Finds the sentences most like another. */
export class Retrieval {
  readonly #pairs: readonly Pair[];
  /** For each term the sentences that have it, and its weight in each, unit length. */
  readonly #postings = new Map<string, { pairs: number[]; weights: number[] }>();
  readonly #idf = new Map<string, number>();

  constructor(pairs: readonly Pair[]) {
    this.#pairs = pairs;
    const bags = pairs.map(({ nl }) => termsOf(nl));
    for (const bag of bags) {
      for (const term of bag.keys()) this.#idf.set(term, (this.#idf.get(term) ?? 0) + 1);
    }
    for (const [term, count] of this.#idf) this.#idf.set(term, Math.log(1 + pairs.length / count));
    bags.forEach((bag, i) => {
      for (const [term, weight] of this.#vector(bag)) {
        let posting = this.#postings.get(term);
        if (!posting) this.#postings.set(term, posting = { pairs: [], weights: [] });
        posting.pairs.push(i);
        posting.weights.push(weight);
      }
    });
  }

  /** Commands of the `count` sentences most like `nl`, the likest first, each command once. */
  nearest(nl: string, count: number): string[] {
    const likeness = new Float64Array(this.#pairs.length);
    for (const [term, weight] of this.#vector(termsOf(nl))) {
      const posting = this.#postings.get(term);
      posting?.pairs.forEach((pair, i) => likeness[pair] += weight * posting.weights[i]);
    }
    const order = [...likeness.keys()].sort((a, b) => likeness[b] - likeness[a] || a - b);
    const commands = new Set<string>();
    for (const pair of order) {
      commands.add(this.#pairs[pair].cmd);
      if (commands.size === count) break;
    }
    return [...commands];
  }

  #vector(bag: Map<string, number>): [term: string, weight: number][] {
    const weighted = [...bag].map(([term, count]): [string, number] => [
      term,
      (1 + Math.log(count)) * (this.#idf.get(term) ?? 0),
    ]);
    const length = Math.hypot(...weighted.map(([, weight]) => weight)) || 1;
    return weighted.map(([term, weight]) => [term, weight / length]);
  }
}

function termsOf(nl: string): Map<string, number> {
  const words = nl.toLowerCase().match(/[a-z0-9]+/g) ?? [], bag = new Map<string, number>();
  const terms = [...words, ...words.slice(1).map((word, i) => `${words[i]} ${word}`)];
  for (const term of terms) bag.set(term, (bag.get(term) ?? 0) + 1);
  return bag;
}

if (import.meta.main) {
  const [known, asked] = Deno.args;
  if (asked === undefined) {
    console.error("Usage: deno run --allow-read scripts/retrieval.ts KNOWN.jsonl ASKED.jsonl");
    Deno.exit(2);
  }
  const retrieval = new Retrieval(await readPairs(known)), pairs = await readPairs(asked);
  const guesses = pairs.map(({ nl }) => retrieval.nearest(nl, GUESSES));
  console.log(JSON.stringify(compareCommands(pairs, guesses)));
}
