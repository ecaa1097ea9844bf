import { assertEquals } from "@std/assert";
import { Tokenizer as HuggingFace } from "npm:tokenizers@0.23.2";
import { Random } from "../src/random.ts";
import { Tokenizer } from "../src/tokenizer/tokenizer.ts";
import { megabyteOfText, randomText } from "./random_text.ts";

const json = await Deno.readTextFile(new URL("../weights/tokenizer.json", import.meta.url));
const peer = HuggingFace.fromString(json);
const tokenizer = Tokenizer.fromJSON(json);

/** Checks that both give the same ids; `<|endoftext|>` is special to the peer, so here too. */
async function assertSameIds(text: string): Promise<void> {
  const ids = tokenizer.encode(text, { allowSpecial: true });
  const expected = (await peer.encode(text, null, { addSpecialTokens: false })).getIds();
  if (ids.join() === expected.join()) return;
  const at = ids.findIndex((id, i) => id !== expected[i]);
  const around = (tokens: ArrayLike<number>) => Array.from(tokens).slice(at - 3, at + 3);
  assertEquals(around(ids), around(expected), `from token ${at} on`);
  assertEquals(ids.length, expected.length);
}

Deno.test("encode() gives the ids of npm:tokenizers on a megabyte of text", async () => {
  await assertSameIds(await megabyteOfText(new Random(1)));
});

Deno.test("encode() gives the ids of npm:tokenizers on 10,000 random Unicode strings", async () => {
  const random = new Random(2);
  for (let i = 0; i < 10_000; i++) await assertSameIds(randomText(random, 1 + random.below(30)));
});

Deno.test("decode() gives the text of npm:tokenizers, bytes that are no UTF-8 included", async () => {
  const random = new Random(4);
  for (let i = 0; i < 1000; i++) {
    const ids = Array.from({ length: 20 }, () => random.below(random.below(2) ? 257 : 8000));
    assertEquals(tokenizer.decode(ids), await peer.decode(ids, false));
  }
});
