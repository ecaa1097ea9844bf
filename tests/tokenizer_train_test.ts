import { assert, assertEquals, assertRejects } from "@std/assert";
import { Random } from "../src/random.ts";
import { Bpe, BYTES } from "../src/tokenizer/bpe.ts";
import { encodeNaive, trainNaive } from "../src/tokenizer/naive.ts";
import { lineChunkEnd } from "../src/tokenizer/pretokenize.ts";
import { Tokenizer } from "../src/tokenizer/tokenizer.ts";
import { parseTokenizerJSON } from "../src/tokenizer/tokenizer_json.ts";
import { trainTokenizer, type TrainTokenizerOptions } from "../src/tokenizer/train.ts";
import { randomText } from "./random_text.ts";

const ALPHABETS = ["ab \n", "aaab  \n", "abc1 .\n\té", "a", "xyz 12345 '/-\n    "];

/** Text of random characters of one alphabet. */
function babble(random: Random, alphabet: string, length: number): string {
  const characters = [...alphabet];
  return Array.from({ length }, () => characters[random.below(characters.length)]).join("");
}

const mergesOf = (tokenizer: Tokenizer): number[] => parseTokenizerJSON(tokenizer.toJSON()).merges;

const tokensOf = (tokenizer: Tokenizer): string[] =>
  Array.from(
    { length: tokenizer.vocabSize - BYTES - 1 },
    (_, merge) => tokenizer.decode([BYTES + 1 + merge]),
  );

Deno.test("trainTokenizer() makes the merges of trainNaive()", async () => {
  const random = new Random(1);
  let filled = 0;
  for (let round = 0; round < 120; round++) {
    const alphabet = ALPHABETS[round % ALPHABETS.length];
    const options: TrainTokenizerOptions = {
      texts: Array.from({ length: 1 + random.below(5) }, () => ({
        text: random.below(4) ? babble(random, alphabet, 200) : randomText(random, 100),
        weight: 1 + random.below(3),
      })),
      vocabSize: 258 + random.below(60),
      transition: [0, 0.85, 0.9, 0.95, 1][random.below(5)],
      maxTokenBytes: [4, 7, 32][random.below(3)],
      minCount: 1 + random.below(3),
    };
    // Texts too small for the vocabulary must fail alike, with the same number of pairs.
    const outcome = (trained: Promise<Tokenizer>) =>
      trained.then((tokenizer) => tokenizer.toJSON(), (error: Error) => error.message);
    const expected = await outcome(trainNaive(options));
    assertEquals(await outcome(trainTokenizer(options)), expected);
    if (expected.startsWith("{")) filled++;
  }
  assert(filled > 60, `${filled} vocabularies could be filled`);
});

Deno.test("trainTokenizer() merges in words first and over spaces after the transition", async () => {
  const texts = ["ab cd\n".repeat(9) + "ab\n".repeat(2)];
  const words = await trainTokenizer({ texts, vocabSize: 260, transition: 1 });
  assertEquals(tokensOf(words), ["ab", " c", " cd"]);
  const both = await trainTokenizer({ texts, vocabSize: 261, transition: 260 / 261 });
  assertEquals(tokensOf(both), ["ab", " c", " cd", "ab cd"]);
  const superwords = await trainTokenizer({ texts, vocabSize: 261, transition: 0 });
  assertEquals(tokensOf(superwords), ["ab", " c", "ab c", "ab cd"]);
});

Deno.test("trainTokenizer() takes the older pair among equally frequent ones", async () => {
  // "cd" and "ab" occur twice each: "ab" wins, since its left byte is smaller; then "xa" and "xb".
  const pairs = await trainTokenizer({
    texts: ["cd ab", "cd\nab\nxb\nxb\nxa\nxa"],
    vocabSize: 261,
  });
  assertEquals(tokensOf(pairs), ["ab", "cd", "xa", "xb"]);
});

Deno.test("trainTokenizer() never learns <|endoftext|>, nor a token that spans it", async () => {
  const tokenizer = await trainTokenizer({
    texts: ["ab<|endoftext|>cd".repeat(50)],
    vocabSize: 259,
    transition: 0,
  });
  assertEquals(tokensOf(tokenizer), ["ab", "cd"]);
});

Deno.test("trainTokenizer() counts a weighted text as often as its weight says", async () => {
  const weighted = [{ text: "ab ab", weight: 3 }, "cd cd cd cd cd"];
  const repeated = ["ab ab", "ab ab", "ab ab", "cd cd cd cd cd"];
  const [a, b] = await Promise.all(
    [weighted, repeated].map((texts) => trainTokenizer({ texts, vocabSize: 262 })),
  );
  assertEquals(a.toJSON(), b.toJSON());
  await assertRejects(
    () => trainTokenizer({ texts: [{ text: "ab", weight: 0.5 }], vocabSize: 258 }),
    RangeError,
    "weight 0.5",
  );
});

Deno.test("trainTokenizer() reports its progress", async () => {
  const stages = new Set<string>();
  let last = 0;
  await trainTokenizer({
    texts: ["one two three four five six"],
    vocabSize: 265,
    transition: 0.99,
    minCount: 1,
    onProgress: ({ stage, merges, total, bytes }) => {
      stages.add(stage);
      assert(merges >= last && merges <= total && bytes === 27);
      last = merges;
    },
  });
  assertEquals([...stages], ["read", "words", "superwords"]);
  assertEquals(last, 8);
});

Deno.test("trainTokenizer() refuses options out of range and a corpus that is too small", async () => {
  const refused: [Partial<TrainTokenizerOptions>, string][] = [
    [{ vocabSize: 256 }, "vocabulary of 256: it must be 257 to 65536"],
    [{ vocabSize: 70_000 }, "vocabulary of 70000"],
    [{ vocabSize: NaN }, "vocabulary of NaN"],
    [{ transition: 1.5 }, "transition 1.5: it must be 0 to 1"],
    [{ maxTokenBytes: 0 }, "at most 0 bytes"],
    [{ minCount: 0 }, "minCount 0"],
    [{ vocabSize: 300 }, "only 2 pairs that occur 2 times or more"],
  ];
  for (const [options, message] of refused) {
    await assertRejects(
      () => trainTokenizer({ texts: ["abc abc"], ...options }),
      RangeError,
      message,
    );
  }
});

Deno.test("encodeChunk() gives what merging by rank gives", async () => {
  const random = new Random(2);
  const encode = (bpe: Bpe, bytes: Uint8Array) => {
    const out = new Uint32Array(bytes.length);
    return [...out.subarray(0, bpe.encodeChunk(bytes, 0, bytes.length, out, 0))];
  };
  for (const alphabet of ALPHABETS) {
    for (const transition of [0, 1]) {
      const texts = Array.from({ length: 4 }, () => babble(random, alphabet, 400));
      // "a" alone has no more than five merges in a text this short.
      const vocabSize = alphabet === "a" ? 262 : 310;
      const merges = mergesOf(await trainTokenizer({ texts, vocabSize, transition, minCount: 1 }));
      const bpe = new Bpe(merges);
      for (let i = 0; i < 200; i++) {
        const bytes = new TextEncoder().encode(babble(random, alphabet, random.below(60)));
        assertEquals(encode(bpe, bytes), encodeNaive(merges, bytes));
      }
    }
  }
  // Any list of merges will do, also one that no training makes and whose tokens may be unreachable.
  for (let i = 0; i < 300; i++) {
    const merges: number[] = [];
    const strings = Array.from({ length: BYTES }, (_, byte) => String.fromCharCode(byte));
    const known = [97, 98, 99];
    for (let tries = 0; tries < 40; tries++) {
      const [left, right] = [known[random.below(known.length)], known[random.below(known.length)]];
      const joined = strings[left] + strings[right];
      if (joined.length > 12 || strings.includes(joined)) continue;
      known.push(strings.push(joined) - 1);
      merges.push(left, right);
    }
    const bpe = new Bpe(merges);
    for (let k = 0; k < 20; k++) {
      const bytes = new TextEncoder().encode(babble(random, "abc", random.below(40)));
      assertEquals(encode(bpe, bytes), encodeNaive(merges, bytes));
    }
  }
});

Deno.test("encodeChunk() does work in proportion to the text", async () => {
  const json = await Deno.readTextFile(new URL("../weights/tokenizer.json", import.meta.url));
  const random = new Random(3);
  const deep = mergesOf(
    await trainTokenizer({ texts: [babble(random, "aab", 20_000)], vocabSize: 600 }),
  );
  const work = (merges: number[], text: string): number => {
    const bpe = new Bpe(merges), bytes = new TextEncoder().encode(text);
    const out = new Uint32Array(bytes.length);
    let n = 0;
    for (let i = 0; i < bytes.length;) {
      const end = lineChunkEnd(bytes, i, bytes.length);
      n = bpe.encodeChunk(bytes, i, end, out, n);
      i = end;
    }
    return bpe.candidates;
  };
  const long = babble(random, "aab", 1 << 17);
  const texts: [merges: number[], text: string][] = [
    [parseTokenizerJSON(json).merges, "a".repeat(1 << 17)],
    [parseTokenizerJSON(json).merges, " ".repeat(1 << 17)],
    [parseTokenizerJSON(json).merges, babble(random, "etaoinshrdlu/_-", 1 << 17)],
    [deep, long],
    [deep, "a".repeat(1 << 17)],
  ];
  for (const [merges, text] of texts) {
    const half = work(merges, text.slice(0, text.length / 2)), all = work(merges, text);
    assert(all < 2 * text.length, `${all} candidates for ${text.length} bytes`);
    assert(all < 2.1 * half + 100, `${half} candidates for one half, ${all} for both`);
  }
});

Deno.test("encodeChunk() takes a megabyte without a space", async () => {
  const tokenizer = await Tokenizer.load(new URL("../weights/tokenizer.json", import.meta.url));
  for (const text of ["a".repeat(1e6), babble(new Random(4), "etaoinshrdlu/_-", 1e6)]) {
    const ids = tokenizer.encode(text);
    assert(ids.length < 0.8 * text.length);
    assert(tokenizer.decode(ids) === text);
  }
});
