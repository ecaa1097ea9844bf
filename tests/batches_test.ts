import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { IGNORED } from "../src/backend/backend.ts";
import { type Batch, BatchStream, evaluationBatches } from "../src/corpus/batches.ts";
import { tokenFile } from "../src/corpus/token_file.ts";
import { type TextTokenizer, TokenizedCorpus } from "../src/corpus/tokenized.ts";
import { Random } from "../src/random.ts";

const END = 256;

/** One id per byte. */
const bytesTokenizer: TextTokenizer = {
  encode: (text) => Uint32Array.from(new TextEncoder().encode(text)),
  byteLength: (id) => (id < END ? 1 : 0),
  endOfText: END,
  vocabSize: 257,
};

/** Documents of random lengths whose text tells document and place apart. */
function randomDocuments(count: number, longest: number, seed: number): string[] {
  const random = new Random(seed);
  return Array.from(
    { length: count },
    () =>
      Array.from(
        { length: 1 + random.below(longest) },
        () => String.fromCharCode(33 + random.below(90)),
      ).join(""),
  );
}

const corpus = (documents: string[], name = "test"): Promise<TokenizedCorpus> =>
  TokenizedCorpus.from(documents, bytesTokenizer, { name });

/** The pieces of a batch as text, `$` for the end, and checks of its shape on the way. */
function pieces(batch: Batch, B: number, T: number): string[] {
  const found: string[] = [];
  let count = 0, bytes = 0;
  for (let b = 0; b < B; b++) {
    for (let t = 0; t < T; t++) {
      const i = b * T + t;
      if (t === 0) assertEquals(batch.positions[i], 0);
      assert(batch.positions[i] <= t);
      const target = batch.targets[i];
      if (target !== IGNORED) {
        count++;
        if (target !== END) bytes++;
        if (batch.positions[i] === 0) found.push(String.fromCharCode(batch.tokens[i]));
        else assertEquals(batch.positions[i], batch.positions[i - 1] + 1);
        found[found.length - 1] += target === END ? "$" : String.fromCharCode(target);
        if (t + 1 < T && batch.positions[i + 1] > 0) assertEquals(batch.tokens[i + 1], target);
      }
    }
  }
  assertEquals([batch.count, batch.bytes], [count, bytes]);
  return found;
}

Deno.test("TokenizedCorpus.from() counts documents, tokens and bytes and leaves out empty texts", async () => {
  const reports: number[] = [];
  const documents = await TokenizedCorpus.from(["ab", "", "é"], bytesTokenizer, {
    onProgress: ({ documents }) => reports.push(documents),
  });
  assertEquals([documents.documents, documents.tokens, documents.bytes], [2, 4, 4]);
  assertEquals(reports, [2]);
  const out = new Uint32Array(3);
  documents.read(0, 0, out);
  assertEquals([...out], [97, 98, END]);
  documents.read(1, 1, out.subarray(0, 2));
  assertEquals([...out], [0xa9, END, END]);
});

Deno.test("TokenizedCorpus.from() rejects a corpus without text", async () => {
  await assertRejects(() => corpus(["", ""], "empty.txt"), RangeError, "empty.txt holds no text");
});

Deno.test("BatchStream.next() gives every piece of every document once per epoch", async () => {
  const B = 3, T = 16;
  const texts = randomDocuments(400, 50, 1);
  const expected = texts.flatMap((text) => {
    const whole = text + "$";
    return Array.from(
      { length: Math.ceil(text.length / T) },
      (_, i) => whole.slice(i * T, (i + 1) * T + 1),
    );
  }).sort();
  const stream = new BatchStream({
    sources: [{ documents: await corpus(texts), weight: 1 }],
    batchSize: B,
    contextLength: T,
    seed: 7,
  });
  const found = new Map<string, number>();
  const seen: string[] = [];
  while (stream.epochs[0] < 3) {
    for (const piece of pieces(stream.next(), B, T)) {
      found.set(piece, (found.get(piece) ?? 0) + 1);
      seen.push(piece);
    }
  }
  // The packer holds back some pieces, so an epoch is complete once the next one is well on its way.
  for (const piece of expected) {
    const copies = expected.filter((other) => other === piece).length;
    assert((found.get(piece) ?? 0) >= 2 * copies, `"${piece}" is missing`);
  }
  assertEquals(seen.every((piece) => expected.includes(piece)), true);
  assert(seen.slice(0, 100).join() !== expected.slice(0, 100).join());
});

Deno.test("BatchStream.next() leaves few places unused", async () => {
  const B = 8, T = 128;
  const documents = await corpus(randomDocuments(2000, 200, 2));
  const stream = new BatchStream({
    sources: [{ documents, weight: 1 }],
    batchSize: B,
    contextLength: T,
    seed: 1,
  });
  let count = 0;
  for (let i = 0; i < 50; i++) count += stream.next().count;
  assert(count / (50 * B * T) > 0.98, `${count / (50 * B * T)} of the places are used`);
});

Deno.test("BatchStream.next() shares tokens by weight", async () => {
  const B = 4, T = 32;
  const long = await corpus(Array(50).fill("x".repeat(100)));
  const short = await corpus(Array(50).fill("yyyyy"));
  const stream = new BatchStream({
    sources: [{ documents: long, weight: 3 }, { documents: short, weight: 1 }],
    batchSize: B,
    contextLength: T,
    seed: 1,
  });
  const count = [0, 0];
  for (let i = 0; i < 200; i++) {
    const batch = stream.next();
    batch.tokens.forEach((token, j) => {
      if (batch.targets[j] !== IGNORED) count[token === 120 ? 0 : 1]++;
    });
  }
  const share = count[0] / (count[0] + count[1]);
  // 256 waiting pieces of at most 32 tokens may be uneven among 25,600 tokens.
  assert(Math.abs(share - 0.75) < 0.05, `the share is ${share}`);
});

Deno.test("BatchStream.restore() continues exactly, across epochs and through JSON", async () => {
  const sources = [
    { documents: await corpus(randomDocuments(60, 90, 3)), weight: 2 },
    { documents: await corpus(randomDocuments(500, 9, 4)), weight: 1 },
  ];
  const options = { sources, batchSize: 2, contextLength: 24, seed: 5 };
  const whole = new BatchStream(options);
  const batches = Array.from({ length: 300 }, () => whole.next());
  assert(whole.epochs[0] > 2);
  for (const n of [0, 1, 150]) {
    const first = new BatchStream(options);
    for (let i = 0; i < n; i++) assertEquals(first.next(), batches[i]);
    const state = JSON.parse(JSON.stringify(first.state()));
    const second = new BatchStream({ ...options, seed: 99 });
    second.next();
    second.restore(state);
    for (let i = n; i < 300; i++) assertEquals(second.next(), batches[i]);
    assertEquals(second.epochs, whole.epochs);
  }
  const other = new BatchStream({ ...options, seed: 6 });
  assert(other.next().tokens.join() !== batches[0].tokens.join());
});

Deno.test("BatchStream.restore() throws when the data or the context differ", async () => {
  const documents = await corpus(["abc", "defg"]);
  const options = {
    sources: [{ documents, weight: 1 }],
    batchSize: 1,
    contextLength: 8,
    seed: 1,
  };
  const state = new BatchStream(options).state();
  assertThrows(
    () => new BatchStream({ ...options, contextLength: 4 }).restore(state),
    RangeError,
    "use the same context length",
  );
  const sources = [{ documents, weight: 1 }, { documents, weight: 1 }];
  assertThrows(
    () => new BatchStream({ ...options, sources }).restore(state),
    RangeError,
    "the data had 7 tokens in 2 pieces and now has 7 tokens in 2 pieces and 7 tokens in 2 pieces",
  );
});

Deno.test("BatchStream() throws when a number cannot be", async () => {
  const source = { documents: await corpus(["abc"]), weight: 1 };
  const options = { sources: [source], batchSize: 1, contextLength: 8, seed: 1 };
  assertThrows(() => new BatchStream({ ...options, batchSize: 0 }), RangeError, "batchSize is 0");
  assertThrows(() => new BatchStream({ ...options, sources: [] }), RangeError, "no source");
  assertThrows(
    () => new BatchStream({ ...options, sources: [{ ...source, weight: -1 }] }),
    RangeError,
    "weight of test is -1",
  );
});

Deno.test("evaluationBatches() scores every token but each document's first, once", async () => {
  const B = 2, T = 16;
  const texts = [...randomDocuments(80, 100, 6), "x".repeat(17), "y".repeat(16), "z"];
  const documents = await corpus(texts);
  const scored = new Map<string, number>();
  let count = 0, bytes = 0;
  for (const batch of evaluationBatches({ documents, batchSize: B, contextLength: T })) {
    count += batch.count;
    bytes += batch.bytes;
    for (let i = 0; i < B * T; i++) {
      if (batch.targets[i] === IGNORED) continue;
      assert(batch.targets[i] !== END);
      // At least half a context, or the document's beginning, stands before a scored token.
      const start = i - batch.positions[i];
      const context = String.fromCharCode(...batch.tokens.subarray(start, i + 1));
      const predicted = String.fromCharCode(batch.targets[i]);
      assert(
        context.length >= T / 2 || texts.some((text) => text.startsWith(context + predicted)),
      );
      scored.set(predicted, (scored.get(predicted) ?? 0) + 1);
    }
  }
  const expected = new Map<string, number>();
  for (const text of texts) {
    for (const c of text.slice(1)) expected.set(c, (expected.get(c) ?? 0) + 1);
  }
  const total = texts.reduce((sum, text) => sum + text.length - 1, 0);
  assertEquals([count, bytes], [total, total]);
  assertEquals(new Map([...scored].sort()), new Map([...expected].sort()));
});

Deno.test("TokenizedCorpus.from() keeps ids in a file that reads like memory", async () => {
  const folder = await Deno.makeTempDir();
  const texts = randomDocuments(3000, 300, 8);
  const file = `${folder}/ids.safetensors`;
  const memory = await corpus(texts);
  for (const given of [texts, ["not read, for the file is there"]]) {
    using documents = await TokenizedCorpus.from(given, bytesTokenizer, { file });
    assertEquals(
      [documents.documents, documents.tokens, documents.bytes],
      [memory.documents, memory.tokens, memory.bytes],
    );
    const options = { batchSize: 4, contextLength: 64, seed: 1 };
    const a = new BatchStream({ ...options, sources: [{ documents, weight: 1 }] });
    const b = new BatchStream({ ...options, sources: [{ documents: memory, weight: 1 }] });
    for (let i = 0; i < 50; i++) assertEquals(a.next(), b.next());
  }
  // A damaged file is written anew, and a failure leaves nothing behind.
  await Deno.truncate(file, 5000);
  using again = await TokenizedCorpus.from(["abc"], bytesTokenizer, { file });
  assertEquals(again.tokens, 3);
  await assertRejects(
    () => TokenizedCorpus.from([], bytesTokenizer, { file: `${folder}/none` }),
    RangeError,
    "holds no text",
  );
  assertEquals((await Array.fromAsync(Deno.readDir(folder))).length, 1);
  await Deno.remove(folder, { recursive: true });
});

Deno.test("tokenFile() names a file for large texts only, another for each tokenizer and part", async () => {
  const folder = await Deno.makeTempDir();
  const before = Deno.env.get("XDG_CACHE_HOME");
  Deno.env.set("XDG_CACHE_HOME", folder);
  try {
    const tokenizer = (name: string) => ({ fingerprint: () => Promise.resolve(name) });
    await Deno.writeTextFile(`${folder}/a.txt`, "small");
    assertEquals(await tokenFile(`${folder}/a.txt`, tokenizer("x")), undefined);
    assertEquals(await tokenFile(folder, tokenizer("x")), undefined);
    assertEquals(await tokenFile(`${folder}/none`, tokenizer("x")), undefined);
    await Deno.truncate(`${folder}/a.txt`, 200_000_000);
    const names = new Set<string | undefined>();
    for (const name of ["x", "y"]) {
      for (const part of ["", "valid"]) {
        const file = await tokenFile(`${folder}/a.txt`, tokenizer(name), part);
        assertEquals(await tokenFile(`${folder}/a.txt`, tokenizer(name), part), file);
        assert(file!.startsWith(`${folder}/bashling/tokens/`));
        names.add(file);
      }
    }
    await Deno.truncate(`${folder}/a.txt`, 200_000_001);
    names.add(await tokenFile(`${folder}/a.txt`, tokenizer("x")));
    assertEquals(names.size, 5);
  } finally {
    if (before === undefined) Deno.env.delete("XDG_CACHE_HOME");
    else Deno.env.set("XDG_CACHE_HOME", before);
    await Deno.remove(folder, { recursive: true });
  }
});
