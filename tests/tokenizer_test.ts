import {
  assert,
  assertEquals,
  assertMatch,
  assertNotEquals,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { Random } from "../src/random.ts";
import { END_OF_TEXT, Tokenizer } from "../src/tokenizer/tokenizer.ts";
import { trainTokenizer } from "../src/tokenizer/train.ts";
import { randomText } from "./random_text.ts";

const SHIPPED = new URL("../weights/tokenizer.json", import.meta.url);
const json = await Deno.readTextFile(SHIPPED);
const shipped = Tokenizer.fromJSON(json);
const small = await trainTokenizer({
  texts: ["for i in a b\n    echo é😀\n".repeat(2)],
  vocabSize: 265,
});

Deno.test("decode() restores any string", () => {
  const random = new Random(1);
  for (const tokenizer of [shipped, small]) {
    for (let i = 0; i < 2000; i++) {
      const text = randomText(random, random.below(40));
      assertEquals(tokenizer.decode(tokenizer.encode(text)), text);
    }
    for (const text of ["", "\0", "\ufeffx", "\r\n\r\n", "a".repeat(5000), END_OF_TEXT]) {
      assertEquals(tokenizer.decode(tokenizer.encode(text)), text);
    }
  }
});

Deno.test("decode() gives U+FFFD where the string had lone surrogates", () => {
  assertEquals(shipped.decode(shipped.encode("a\ud800b\udc00")), "a\ufffdb\ufffd");
  const random = new Random(2);
  for (let i = 0; i < 1000; i++) {
    const text = randomText(random, 20, true);
    assertEquals(shipped.decode(shipped.encode(text)), text.toWellFormed());
  }
});

Deno.test("encode() makes the idioms of bash single tokens", () => {
  for (const text of ["#!/bin/bash", "for i in", "tar -czf", "\n    ", "set -euo pipefail"]) {
    assertEquals(shipped.encode(text).length, 1, text);
  }
  assertEquals(shipped.vocabSize, 8000);
});

Deno.test("encode() never joins a line's end with what stands before it", () => {
  const random = new Random(3);
  for (let id = 0; id < shipped.vocabSize; id++) {
    const text = new TextDecoder().decode(shipped.tokenBytes(id));
    assert(!text.includes("\n") || /^\n+[ \t]*$/.test(text), JSON.stringify(text));
  }
  for (let i = 0; i < 500; i++) {
    const [before, after] = [randomText(random, 10), randomText(random, 10).replace(/^\n+/, "x")];
    const joined = [
      ...shipped.encode(before.replace(/\n[ \t]*$/, "y")),
      ...shipped.encode("\nx" + after),
    ];
    assertEquals([...shipped.encode(before.replace(/\n[ \t]*$/, "y") + "\nx" + after)], joined);
  }
});

Deno.test("encode() makes <|endoftext|> the special token only when allowed", () => {
  const text = `one${END_OF_TEXT}${END_OF_TEXT}\n    two`;
  const plain = shipped.encode(text);
  assert(!plain.includes(shipped.endOfText));
  const special = shipped.encode(text, { allowSpecial: true });
  assertEquals([...special], [
    ...shipped.encode("one"),
    shipped.endOfText,
    shipped.endOfText,
    ...shipped.encode("\n    two"),
  ]);
  assertEquals(shipped.decode(special), text);
  assertEquals(shipped.byteLength(shipped.endOfText), 0);
});

Deno.test("streamDecoder() never emits half a character, and all of it in the end", () => {
  const random = new Random(4);
  for (let i = 0; i < 500; i++) {
    const text = randomText(random, 20).replaceAll("\ufffd", "");
    const decoder = small.streamDecoder();
    let streamed = "";
    for (const id of small.encode(text)) {
      const piece = decoder.push(id);
      assert(!piece.includes("\ufffd"), JSON.stringify(piece));
      streamed += piece;
    }
    assertEquals(decoder.flush(), "");
    assertEquals(streamed, text);
  }
});

Deno.test("streamDecoder() agrees with decode() on any ids", () => {
  const random = new Random(5);
  for (let i = 0; i < 500; i++) {
    const ids = Array.from({ length: 30 }, () => random.below(random.below(3) ? 257 : 8000));
    const decoder = shipped.streamDecoder();
    assertEquals(ids.map((id) => decoder.push(id)).join("") + decoder.flush(), shipped.decode(ids));
  }
});

Deno.test("streamDecoder() holds back only what may become a character", () => {
  const decoder = shipped.streamDecoder();
  const byte = (value: number) => decoder.push(1 + value);
  assertEquals(byte(0xff), "\ufffd");
  assertEquals(byte(0xe2), "");
  assertEquals(byte(0x41), "\ufffdA");
  assertEquals([byte(0xe2), byte(0x82), byte(0xac)], ["", "", "€"]);
  assertEquals([byte(0xf0), byte(0x9f), decoder.flush()], ["", "", "\ufffd"]);
});

Deno.test("tokenBytes() and decode() refuse ids outside the vocabulary", () => {
  for (const id of [-1, 8000, 1.5, NaN]) {
    assertThrows(() => shipped.tokenBytes(id), RangeError, "not in the vocabulary 0…7999");
    assertThrows(() => shipped.decode([5, id]), RangeError);
  }
  assertEquals([...shipped.tokenBytes(1 + 65)], [65]);
});

Deno.test("toJSON() and fromJSON() are inverse", () => {
  assertEquals(shipped.toJSON(), json);
  assertEquals(Tokenizer.fromJSON(small.toJSON()).toJSON(), small.toJSON());
});

Deno.test("fromJSON() reads merges as pairs and ids in any order", async () => {
  const file = JSON.parse(json);
  file.model.merges = file.model.merges.map((merge: string) => merge.split(" "));
  const last = shipped.vocabSize - 1;
  for (const token in file.model.vocab) file.model.vocab[token] = last - file.model.vocab[token];
  file.added_tokens[0].id = last;
  const reversed = Tokenizer.fromJSON(JSON.stringify(file));
  assertEquals(reversed.endOfText, last);
  const text = randomText(new Random(6), 200) + json.slice(0, 2000);
  assertEquals([...reversed.encode(text)], [...shipped.encode(text)].map((id) => last - id));
  assertEquals(reversed.decode(reversed.encode(text)), text);
  assertNotEquals(await reversed.fingerprint(), await shipped.fingerprint());
});

Deno.test("fingerprint() depends on the tokenizer, not on the layout of its file", async () => {
  const compact = Tokenizer.fromJSON(JSON.stringify(JSON.parse(json)));
  assertMatch(await shipped.fingerprint(), /^[0-9a-f]{64}$/);
  assertEquals(await compact.fingerprint(), await shipped.fingerprint());
  assertNotEquals(await small.fingerprint(), await shipped.fingerprint());
});

Deno.test("load() takes a path, a file URL and its text", async () => {
  for (const source of [SHIPPED, SHIPPED.href, decodeURIComponent(SHIPPED.pathname)]) {
    assertEquals((await Tokenizer.load(source)).vocabSize, 8000);
  }
  await assertRejects(() => Tokenizer.load("no/such/tokenizer.json"), Deno.errors.NotFound);
});

// deno-lint-ignore no-explicit-any
const MALFORMED: [why: RegExp, error: typeof Error, edit: (file: any) => unknown][] = [
  [/no "model"/, SyntaxError, () => null],
  [/no "model"/, SyntaxError, (file) => delete file.model],
  [/no "vocab"/, SyntaxError, (file) => file.model.vocab = []],
  [/no "merges"/, SyntaxError, (file) => delete file.model.merges],
  [/merge 3 is not a pair/, SyntaxError, (file) => file.model.merges[3] = "a b c"],
  [/merge 3 is not a pair/, SyntaxError, (file) => file.model.merges[3] = 7],
  [/merge 0 uses "zzz"/, RangeError, (file) => file.model.merges[0] = "zzz a"],
  [/merge 0 uses 1/, RangeError, (file) => file.model.merges[0] = [1, "a"]],
  [/nothing before it makes/, RangeError, (file) => file.model.merges.reverse()],
  [/two merges make/, RangeError, (file) => file.model.merges[1] = file.model.merges[0]],
  [/8000 tokens, but .* make 7999/, RangeError, (file) => file.model.merges.pop()],
  [/id 8001 .* not in 0…7999/, RangeError, (file) => file.model.vocab.A = 8001],
  [/id "x" .* not in/, RangeError, (file) => file.model.vocab.A = "x"],
  [/id 5 is given twice/, RangeError, (file) => file.model.vocab.A = 5],
  [/vocabulary has no "A"/, RangeError, (file) => {
    file.model.vocab.zzz = file.model.vocab.A;
    delete file.model.vocab.A;
  }],
  [/added token must be/, RangeError, (file) => file.added_tokens = []],
  [/added token must be/, RangeError, (file) => file.added_tokens.push(file.added_tokens[0])],
  [/has id 9 as added token and 0/, RangeError, (file) => file.added_tokens[0].id = 9],
  [/must not strip/, RangeError, (file) => file.added_tokens[0].lstrip = true],
  [/model is "WordPiece", not "BPE"/, RangeError, (file) => file.model.type = "WordPiece"],
  [/"dropout": 0.1/, RangeError, (file) => file.model.dropout = 0.1],
  [/normalizes/, RangeError, (file) => file.normalizer = { type: "NFC" }],
  [/post-processor/, RangeError, (file) => file.post_processor = { type: "TemplateProcessing" }],
  [/pre-tokenizer/, RangeError, (file) => file.pre_tokenizer = { type: "ByteLevel" }],
  [/pre-tokenizer/, RangeError, (file) => file.pre_tokenizer.pretokenizers[1].use_regex = true],
];

Deno.test("fromJSON() says in one sentence what is wrong with a file", () => {
  for (const [why, error, edit] of MALFORMED) {
    let file = JSON.parse(json);
    if (edit(file) === null) file = null;
    const thrown = assertThrows(() => Tokenizer.fromJSON(JSON.stringify(file)), error);
    assertMatch(thrown.message, why);
    assertMatch(thrown.message, /^Cannot (read|use) the tokenizer: [^\n]*\.$/);
  }
  assertThrows(() => Tokenizer.fromJSON(json.slice(0, 5000)), SyntaxError, "not JSON");
  assertThrows(() => Tokenizer.fromJSON(""), SyntaxError, "not JSON");
});
