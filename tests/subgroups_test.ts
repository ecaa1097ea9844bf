import { assertEquals } from "@std/assert";
import { isLinear } from "../src/backend/webgpu/subgroups.ts";

/** (size, first lane) of `lanes` lanes in neighbouring groups of `size`. */
const pairs = (lanes: number, size: number): Uint32Array =>
  Uint32Array.from({ length: 2 * lanes }, (_, i) => {
    const lane = i >> 1;
    return i % 2 === 0 ? size : lane - lane % size;
  });

Deno.test("isLinear() takes neighbours in groups of one size and nothing else", () => {
  for (const size of [1, 4, 32, 64]) assertEquals(isLinear(pairs(64, size)), true, `${size}`);
  assertEquals(isLinear(pairs(64, 48)), false); // a rest
  assertEquals(isLinear(new Uint32Array(128)), false); // nothing was written
  const mixed = pairs(64, 32);
  mixed[126] = 16; // the last lane is in a smaller group
  assertEquals(isLinear(mixed), false);
  const spread = pairs(64, 32);
  for (let lane = 0; lane < 64; lane++) spread[2 * lane + 1] = lane % 2; // every second lane
  assertEquals(isLinear(spread), false);
});
