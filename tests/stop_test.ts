import { assert, assertEquals } from "@std/assert";
import { StopMatcher } from "../src/generator/stop.ts";
import { Random } from "../src/random.ts";

/** The rule by definition: the first end at which a stop string ends, the earliest start of those. */
function cut(text: string, stops: string[]): { text: string; stop?: string } {
  for (let end = 1; end <= text.length; end++) {
    const matches = stops.filter((stop) => text.slice(0, end).endsWith(stop));
    if (matches.length === 0) continue;
    const stop = matches.reduce((a, b) => (b.length > a.length ? b : a));
    return { text: text.slice(0, end - stop.length), stop };
  }
  return { text };
}

Deno.test("StopMatcher cuts where the rule says when texts and pieces are random", () => {
  const random = new Random(2);
  const letters = ["a", "b", "🙂", "é"];
  const word = (most: number) =>
    Array.from({ length: 1 + random.below(most) }, () => letters[random.below(4)]).join("");
  let stopped = 0;
  for (let i = 0; i < 3000; i++) {
    const text = word(24);
    const stops = Array.from({ length: random.below(4) }, () => word(5));
    const matcher = new StopMatcher(stops);
    let streamed = "", stop: string | undefined;
    let rest = [...text];
    while (rest.length > 0 && stop === undefined) {
      const size = 1 + random.below(3);
      const match = matcher.push(rest.slice(0, size).join(""));
      rest = rest.slice(size);
      assert(match.text.isWellFormed());
      streamed += match.text;
      stop = match.stop;
    }
    if (stop === undefined) streamed += matcher.flush();
    else stopped++;
    const wanted = cut(text, stops);
    assertEquals([streamed, stop], [wanted.text, wanted.stop], JSON.stringify({ text, stops }));
  }
  assert(stopped > 500 && stopped < 2500);
});

Deno.test("StopMatcher holds back no more than may begin a stop string", () => {
  const matcher = new StopMatcher(["done", "do it"]);
  assertEquals(matcher.push("a do"), { text: "a " });
  assertEquals(matcher.push("wn"), { text: "down" });
  assertEquals(matcher.push(" don"), { text: " " });
  assertEquals(matcher.flush(), "don");
});
