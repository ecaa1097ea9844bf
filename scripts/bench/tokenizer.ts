/**
 * Megabytes of text per second on one thread: encoded, and learnt from.
 *
 * @module
 */

import { Tokenizer } from "../../src/tokenizer/tokenizer.ts";
import { trainTokenizer } from "../../src/tokenizer/train.ts";
import { reason, type Result, type Runner, timeAll } from "./measure.ts";

/** Encodes a text and says whether the ids are right. */
interface Encoder {
  description: string;
  encode(text: string): ArrayLike<number> | Promise<ArrayLike<number>>;
  /** @throws {Error} if `ids` are not those of `text`. */
  check(text: string, ids: ArrayLike<number>): void | Promise<void>;
}

const vocabulary = new URL("../../weights/tokenizer.json", import.meta.url);

async function own(): Promise<Encoder> {
  const tokenizer = await Tokenizer.load(vocabulary);
  return {
    description: `${tokenizer.vocabSize} tokens`,
    encode: (text) => tokenizer.encode(text),
    check(text, ids) {
      if (tokenizer.decode(ids as Uint32Array) !== text) {
        throw new Error("its ids decode otherwise");
      }
    },
  };
}

/** Hugging Face's tokenizer in Rust, on our vocabulary. */
async function huggingFace(): Promise<Encoder> {
  const { Tokenizer: Peer } = await import("npm:tokenizers@0.23.2");
  const peer = Peer.fromString(await Deno.readTextFile(vocabulary));
  const tokenizer = await Tokenizer.load(vocabulary);
  return {
    description: "native, same vocabulary",
    encode: async (text) => (await peer.encode(text, null, { addSpecialTokens: false })).getIds(),
    check(text, ids) {
      const expected = tokenizer.encode(text, { allowSpecial: true });
      if (expected.join() !== Array.from(ids).join()) throw new Error("its ids are not ours");
    },
  };
}

/** OpenAI's vocabularies in JavaScript. */
async function gptTokenizer(): Promise<Encoder> {
  const { encode, decode, vocabularySize } = await import("npm:gpt-tokenizer@4.0.0");
  return {
    description: `${vocabularySize} tokens`,
    encode: (text) => encode(text),
    check(text, ids) {
      if (decode(Array.from(ids)) !== text) throw new Error("its ids decode otherwise");
    },
  };
}

/** All contenders; the first is ours. */
export const ENCODERS: Record<string, () => Promise<Encoder>> = {
  "Tokenizer": own,
  "tokenizers": huggingFace,
  "gpt-tokenizer": gptTokenizer,
};

/** Options of {@linkcode benchTokenizer}. */
export interface TokenizerBenchOptions {
  /** Contenders by name, see {@linkcode ENCODERS}. */
  contenders: string[];
  /** Timed runs of each contender. */
  rounds: number;
  /** A file to encode instead of the repository's own scripts. */
  text?: string;
}

/** The scripts that the repository ships, one after the other. */
async function ownScripts(): Promise<string> {
  const root = new URL("../../src/corpus/bash/", import.meta.url);
  const texts: string[] = [];
  for (const family of await Array.fromAsync(Deno.readDir(root))) {
    if (!family.isDirectory) continue;
    const folder = new URL(`${family.name}/`, root);
    for await (const { name } of Deno.readDir(folder)) {
      texts.push(await Deno.readTextFile(new URL(name, folder)));
    }
  }
  return texts.sort().join("\n");
}

/** Tokens of the vocabulary that training makes. */
const TRAINED_VOCABULARY = 2000;

/**
 * Times encoding, then training. A contender whose ids are wrong is not timed. `tokenizers` can train
 * too, but its package for JavaScript takes neither a vocabulary size nor a trainer.
 */
export async function benchTokenizer(options: TokenizerBenchOptions): Promise<Result[]> {
  const text = options.text === undefined
    ? await ownScripts()
    : await Deno.readTextFile(options.text);
  const bytes = new TextEncoder().encode(text).length;
  const input = `${options.text === undefined ? "our scripts" : "a file"}, ${bytes} bytes`;
  const results: Result[] = [], timed: { result: Result; runner: Runner }[] = [];
  for (const contender of options.contenders) {
    const result: Result = {
      bench: "tokenizer",
      contender,
      input,
      unit: "MB/s",
      note: "",
    };
    results.push(result);
    try {
      const { description, encode, check } = await ENCODERS[contender]();
      const ids = await encode(text);
      await check(text, ids);
      result.note = `${description}, ${(bytes / ids.length).toFixed(2)} bytes per token`;
      const run = async (): Promise<void> => void await encode(text);
      timed.push({ result, runner: { work: bytes / 1e6, run } });
    } catch (error) {
      result.note = `not run: ${reason(error)}`;
    }
  }
  const train = async (): Promise<void> => {
    await trainTokenizer({ texts: [text], vocabSize: TRAINED_VOCABULARY });
  };
  const training: Result = {
    bench: "tokenizer",
    contender: "trainTokenizer",
    input,
    unit: "MB/s",
    note: `${TRAINED_VOCABULARY} tokens, two stages`,
  };
  results.push(training);
  try {
    await train();
    timed.push({ result: training, runner: { work: bytes / 1e6, run: train } });
  } catch (error) {
    training.note = `not run: ${reason(error)}`;
  }
  await timeAll(timed, options.rounds);
  return results;
}
