import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { alternate, expectNear, median, type Result, table } from "../scripts/bench/measure.ts";

Deno.test("median() takes the middle of the sorted values, or the mean of the two middle ones", () => {
  assertEquals(median([3, 1, 2]), 2);
  assertEquals(median([10, 1, 2, 4]), 3);
});

Deno.test("alternate() runs the contenders in turn, once to warm up", async () => {
  const order: string[] = [];
  const runner = (name: string, work: number) => ({
    work,
    run: () => Promise.resolve(void order.push(name)),
  });
  const rates = await alternate([runner("a", 1), runner("b", 2)], 2);
  assertEquals(order.join(""), "ababab");
  assertEquals(rates.length, 2);
});

Deno.test("expectNear() throws when a contender's figure is off, or no number", () => {
  expectNear("loss", 9.001, 9);
  assertThrows(() => expectNear("loss", 9.1, 9), Error, "its loss is 9.1, expected 9");
  assertThrows(() => expectNear("loss", NaN, 9), Error, "its loss is NaN, expected 9");
});

Deno.test("table() shows a dash and the reason for a contender that could not run", () => {
  const row = { bench: "train", input: "1 × 64", unit: "tokens/s" };
  const results: Result[] = [
    { ...row, contender: "wasm", value: 1234.5, note: "" },
    { ...row, contender: "webgpu", note: "not run: no adapter" },
  ];
  const lines = table(results).split("\n");
  assertEquals(lines.length, 4);
  assertStringIncludes(lines[2], "1,230 | tokens/s");
  assertStringIncludes(lines[3], "– | tokens/s | not run: no adapter");
});
