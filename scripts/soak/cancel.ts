/**
 * `deno task soak`: what takes too long for the tests. Generations that are started and cancelled, ten
 * thousand times, with the memory of the process before and after; it fails if memory grows.
 *
 * Usage: deno run --allow-read scripts/soak/cancel.ts [CYCLES]
 *
 * @module
 */

import type { GenerationResult } from "../../src/generator/generation.ts";
import { Bashling } from "../../src/generator/generator.ts";

/** Cycles before memory is first read: V8 grows its heap to a working size meanwhile. */
const WARM_UP = 4000;

/** Most megabytes that memory may grow by; a leak of one KV cache or of 2 kB a cycle shows. */
const MOST_GROWTH = 20;

const cycles = Number(Deno.args[0] ?? 10_000);
if (!Number.isInteger(cycles) || cycles < 1) {
  console.error(`CYCLES is ${Deno.args[0]}, expected a whole number from 1 up.`);
  Deno.exit(2);
}

using model = await Bashling.load({ streams: 2 });
const resident = () => Deno.memoryUsage().rss / 1e6;

/** Starts a generation and ends it after a few tokens, in one of three ways; returns tokens too many. */
async function cancel(i: number): Promise<number> {
  const controller = new AbortController(), wanted = i % 23;
  const generation = model.generate(`Delete files older than ${i % 40} days`, {
    seed: i,
    signal: controller.signal,
    verdict: false,
  });
  let tokens = 0, next = await generation.next();
  for (; !next.done && tokens < wanted; next = await generation.next()) {
    tokens += next.value.tokens.length;
  }
  if (next.done) return 0;
  if (i % 3 === 0) { // the loop is left
    await generation.return(undefined as unknown as GenerationResult);
    return 0;
  }
  if (i % 3 === 1) controller.abort();
  else setTimeout(() => controller.abort(), 0);
  const before = tokens;
  for (next = await generation.next(); !next.done; next = await generation.next()) {
    tokens += next.value.tokens.length;
  }
  return i % 3 === 1 ? Math.max(0, tokens - before - 1) : 0;
}

let start = NaN, late = 0;
for (let i = 0; i < WARM_UP + cycles; i += 2) {
  if (i === WARM_UP) start = resident();
  late += (await Promise.all([cancel(i), cancel(i + 1)])).reduce((a, b) => a + b);
  if (i % 1000 === 0) console.error(`${i} cycles, ${resident().toFixed(1)} MB`);
}
const growth = resident() - start;
console.log(
  `${cycles} generations started and cancelled: ${start.toFixed(1)} MB resident before, ` +
    `${growth.toFixed(1)} MB more after, ${late} tokens drawn more than one after an abort`,
);
if (growth > MOST_GROWTH || late > 0) Deno.exit(1);
