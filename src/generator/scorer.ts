/**
 * Scores texts: how probable the model finds them.
 *
 * @module
 */

import type { Backend, Program, Tensor } from "../backend/backend.ts";
import { type Batch, evaluationBatches } from "../corpus/batches.ts";
import { TokenizedCorpus } from "../corpus/tokenized.ts";
import {
  type Activations,
  activationTensors,
  allocateActivations,
  allocateHead,
  type Head,
  headForward,
  sequenceForward,
} from "../gpt/forward.ts";
import type { ModelConfig } from "../model/config.ts";
import type { ModelTensors } from "../model/parameters.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import type { Score } from "./generator.ts";
import { turn } from "./streams.ts";

/**
 * Scores documents by the rule of `evaluationBatches`.
 * @param evaluate Summed loss in nats of a batch of one row.
 * @throws {RangeError} if no document has two tokens.
 */
export async function scoreDocuments(
  documents: string[],
  tokenizer: Tokenizer,
  contextLength: number,
  evaluate: (batch: Batch) => Promise<number>,
): Promise<Score> {
  const score: Score = { nats: 0, tokens: 0, bytes: 0, bitsPerByte: 0 };
  const corpus = await TokenizedCorpus.from(documents, tokenizer, { name: "The text" });
  for (const batch of evaluationBatches({ documents: corpus, batchSize: 1, contextLength })) {
    score.nats += await evaluate(batch);
    score.tokens += batch.count;
    score.bytes += batch.bytes;
    await turn();
  }
  if (score.tokens === 0) {
    throw new RangeError(
      "The text has one token, and a document's first token is given, not scored: give a longer text.",
    );
  }
  score.bitsPerByte = score.nats / Math.LN2 / score.bytes;
  return score;
}

/** A recorded forward pass over one row of L tokens, with its loss. */
export class EvaluationPass implements Disposable {
  readonly #backend: Backend;
  readonly #inputs: { tokens: Tensor; positions: Tensor };
  readonly #acts: Activations;
  readonly #head: Head;
  readonly #sum: Tensor;
  readonly #program: Program;

  /** Allocates activations for L rows and records the program. */
  constructor(backend: Backend, config: ModelConfig, params: ModelTensors) {
    const T = config.contextLength;
    this.#backend = backend;
    const inputs = this.#inputs = {
      tokens: backend.tensor([T], "u32"),
      positions: backend.tensor([T], "u32"),
    };
    const acts = this.#acts = allocateActivations(backend, config, T, false);
    const head = this.#head = allocateHead(backend, config, T);
    const sum = this.#sum = backend.tensor([1]);
    this.#program = backend.record((ops) => {
      sequenceForward(ops, inputs, params, acts, { B: 1, NH: config.heads });
      headForward(backend, ops, params, acts.lnf, head);
      ops.fill({ x: sum, value: 0 });
      ops.sum({ out: sum, x: head.losses });
    });
  }

  /** Summed loss in nats of a batch of one row. */
  async run({ tokens, positions, targets }: Batch): Promise<number> {
    this.#backend.write(this.#inputs.tokens, tokens);
    this.#backend.write(this.#inputs.positions, positions);
    this.#backend.write(this.#head.targets, targets);
    this.#backend.run(this.#program);
    return (await this.#backend.read(this.#sum))[0];
  }

  [Symbol.dispose](): void {
    const { tokens, positions } = this.#inputs;
    const owned = new Set([
      tokens,
      positions,
      this.#sum,
      ...Object.values(this.#head),
      ...activationTensors(this.#acts),
    ]);
    for (const tensor of owned) this.#backend.free(tensor);
  }
}
