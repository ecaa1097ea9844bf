/**
 * `deno task export CHECKPOINT WEIGHTS`: turns a checkpoint or a `best` folder into a Hugging Face
 * GPT-2 repository of f16 weights, with the same in 8 bits beside them.
 */
import { loadWeights, saveWeights } from "../src/model/weights.ts";

const [from, to, ...rest] = Deno.args;
if (!from || !to || rest.length > 0) {
  console.error("Usage: deno task export CHECKPOINT_FOLDER WEIGHTS_FOLDER");
  Deno.exit(2);
}
try {
  const { config, parameters, tokenizerJson } = await loadWeights(from);
  await saveWeights(to, { config, parameters, tokenizerJson }, { int8: true });
  console.error(`Wrote ${to}.`);
} catch (error) {
  console.error((error as Error).message);
  Deno.exit(1);
}
