/**
 * A stream's chunks joined are the text of the whole answer, whatever else is made at the same time.
 */

import { assert, assertEquals } from "@std/assert";
import { Random } from "../src/random.ts";
import { type Chunk, errorOf, eventsOf, post, withService } from "./service.ts";

const SEEDS = 200, AT_ONCE = 24;

/** Beginnings in many scripts; the small random model has tokens that are parts of characters. */
const PROMPTS = [
  "List all files",
  "Größe aller Dateien",
  "東京 のファイルを表示",
  "Print 🙂 and 👩‍👩‍👧",
  "# Ünïcödé ￼ é\necho '東",
  "Copy each file and print its name",
];

type Body = Record<string, unknown>;

/** One choice of an answer, whole or from a stream. */
interface Told {
  text: string;
  reason: string | null;
  seed?: number;
}

/** A request made from a seed; half of them stop at a string, half have any bytes as they come. */
function bodyOf(seed: number): Body {
  const random = new Random(seed);
  const isFree = random.below(2) === 0;
  return {
    prompt: PROMPTS[random.below(PROMPTS.length)],
    seed,
    max_tokens: 20 + random.below(40),
    temperature: isFree ? 2 : 0.8 + random.uniform() / 2,
    ...(isFree ? { top_k: 0, top_p: 1 } : {}),
    syntax: isFree ? "off" : "enforce",
    verdict: random.below(4) === 0,
    echo: random.below(2) === 0,
  };
}

async function whole(base: string, body: Body): Promise<Told[]> {
  const response = await post(`${base}/v1/completions`, body);
  if (response.status !== 200) throw new Error((await errorOf(response)).message);
  const { choices } = await response.json() as Chunk;
  return choices.map(({ text, finish_reason: reason, seed }) => ({ text: text!, reason, seed }));
}

/** Joins the chunks of each choice; `check` sees each text as it grows. */
async function streamed(
  base: string,
  body: Body,
  check: (text: string) => void = () => {},
): Promise<Told[]> {
  const told: Told[] = [];
  const response = await post(`${base}/v1/completions`, { ...body, stream: true });
  if (response.status !== 200) throw new Error((await errorOf(response)).message);
  for await (const { choices: [choice] } of eventsOf(response)) {
    const one = told[choice.index] ??= { text: "", reason: null };
    assertEquals(one.reason, null, "a choice goes on after its end");
    assert(choice.text!.isWellFormed(), "half a character");
    one.text += choice.text;
    one.reason = choice.finish_reason;
    if (choice.seed !== undefined) one.seed = choice.seed;
    check(one.text);
  }
  return told;
}

/** Calls `work` with 0 to `count` − 1, some at once. */
async function inParallel<Result>(
  count: number,
  work: (i: number) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = [];
  let next = 0;
  const worker = async () => {
    while (next < count) {
      const i = next++;
      results[i] = await work(i);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return results;
}

for (const weights of ["random", "shipped"] as const) {
  const model = { streams: 8, ...(weights === "shipped" ? { weights: undefined } : {}) };
  const seeds = weights === "random" ? SEEDS : 40;

  Deno.test(`a stream joined is the whole text, and a seed's text the same alone and in company, with ${weights} weights`, () =>
    withService({ model }, async ({ base, service }) => {
      const bodies = Array.from({ length: seeds }, (_, seed) => bodyOf(seed));
      const alone: Told[][] = [];
      for (const body of bodies) alone.push(await whole(base, body));
      // Streams and whole answers together, in another order, so that other batches are made.
      const order = new Random(1).shuffle(Array.from({ length: 2 * seeds }, (_, i) => i));
      await inParallel(2 * seeds, async (i) => {
        const seed = order[i] % seeds;
        const told = await (order[i] < seeds ? whole : streamed)(base, bodies[seed]);
        assertEquals(told, alone[seed], `seed ${seed}, ${order[i] < seeds ? "whole" : "stream"}`);
      });
      const texts = alone.map(([{ text }]) => text);
      assertEquals(new Set(texts).size > seeds / 2, true, "the texts are too much alike");
      if (weights === "random") {
        const multibyte = texts.filter((text) => /[^\0-\x7f]/.test(text));
        assert(multibyte.length > seeds / 4, `${multibyte.length} texts have more than ASCII`);
        assert(texts.some((text) => /[🙂東京ünïcödé]/u.test(text)));
      }
      assertEquals(service.kept, 0);
    }));
}

Deno.test("a stream never has any of its stop string, and ends where the whole text does", () =>
  withService({ model: { streams: 8 } }, async ({ base, service }) => {
    let stopped = 0;
    await inParallel(SEEDS, async (seed) => {
      const random = new Random(seed + 1000);
      const body: Body = { ...bodyOf(seed), echo: false };
      const [{ text }] = await whole(base, body);
      const characters = [...text];
      if (characters.length < 4) return;
      const at = random.below(characters.length - 3), length = 1 + random.below(4);
      const stop = characters.slice(at, at + length).join("");
      // Others that begin alike are held back and then given.
      const begun = [...stop].slice(0, -1).join("") + "\u{10fffd}";
      const stopping = { ...body, stop: [begun, stop] };
      const [expected] = await whole(base, stopping);
      const [told] = await streamed(base, stopping, (grown) => {
        assert(expected.text.startsWith(grown), `seed ${seed}: ${stop} was begun in ${grown}`);
      });
      assertEquals(told, expected, `seed ${seed}`);
      // With only valid scripts what is open is closed behind the text before the stop string.
      const before = text.slice(0, text.indexOf(stop));
      if (body.syntax === "off") assertEquals(told.text, before);
      else assert(told.text.startsWith(before) || before.startsWith(told.text.trimEnd()));
      if (body.syntax === "off") assertEquals(told.text.includes(stop), false);
      if (told.reason === "stop") stopped++;
    });
    assert(stopped > SEEDS * 0.8, `${stopped} of ${SEEDS} were stopped`);
    assertEquals(service.kept, 0);
  }));

Deno.test("several scripts in one stream are those of the whole answer, of chats too", () =>
  withService({ queue: 1000, model: { streams: 8 } }, async ({ base }) => {
    await inParallel(24, async (seed) => {
      const { echo: _, ...body } = bodyOf(seed);
      const many = { ...body, n: 3, prompt: [body.prompt, PROMPTS[0]] };
      const expected = await whole(base, many);
      assertEquals(expected.length, 6);
      assertEquals(expected.map((one) => one.seed), [0, 1, 2, 0, 1, 2].map((i) => seed + i));
      assertEquals(await streamed(base, many), expected);

      const { prompt, ...others } = body;
      const chat = { ...others, messages: [{ role: "user", content: prompt }] };
      const answer = await post(`${base}/v1/chat/completions`, chat);
      const { choices: [{ message }] } = await answer.json() as Chunk;
      let text = "";
      const stream = await post(`${base}/v1/chat/completions`, { ...chat, stream: true });
      for await (const { choices: [{ delta }] } of eventsOf(stream)) text += delta!.content ?? "";
      assertEquals(text, message!.content);
      const [echoed] = await whole(base, { ...body, echo: true });
      assertEquals(text, echoed.text);
    });
  }));
