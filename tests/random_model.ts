/** A small model with random weights in a temporary folder, for tests of whatever uses a model. */

import type { ModelConfig } from "../src/model/config.ts";
import { initialParameters } from "../src/model/parameters.ts";
import { saveWeights } from "../src/model/weights.ts";
import type { Tokenizer } from "../src/tokenizer/tokenizer.ts";
import { trainTokenizer } from "../src/tokenizer/train.ts";

const TEXT = `#!/bin/bash
# Make a copy of each file and print its name — ünïcödé 東京 🙂

set -euo pipefail
for i in *.txt; do
  cp "$i" "$i.bak"
  echo "$i"
done
for i in 1 2 3; do
  echo "$i 🙂 東京"
done
`;

/** A tokenizer of a few merges, with newlines, words and parts of characters among them. */
export const tokenizer: Tokenizer = await trainTokenizer({
  texts: [TEXT.repeat(4)],
  vocabSize: 320,
});

/** Shape of the random model. */
export const config: ModelConfig = {
  vocabSize: tokenizer.vocabSize,
  contextLength: 128,
  layers: 2,
  width: 32,
  heads: 2,
};

/** Writes the model; remove the folder after use. */
export async function writeRandomModel(seed = 1): Promise<string> {
  const folder = await Deno.makeTempDir({ prefix: "bashling-" });
  const parameters = initialParameters(config, seed);
  // Logits of fresh weights are all alike; larger ones make the options' work visible.
  for (let i = 0; i < parameters.length; i++) parameters[i] *= 4;
  await saveWeights(folder, { config, parameters, tokenizerJson: tokenizer.toJSON() });
  return folder;
}
