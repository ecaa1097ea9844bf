/**
 * Choosing among programs by how long they take.
 *
 * @module
 */

import { timePasses } from "./profile.ts";
import type { Step } from "./program.ts";

/** A pass that is timed takes about so many milliseconds: some browsers' clocks tick in tenths. */
const PASS_MS = 0.5;
const MOST_REPEATS = 64;
/** Of which the median counts. */
const ROUNDS = 5;

/**
 * Finds the fastest of several programs that do the same. All run twice, those that take less than
 * twice the least time then in turn, several times over.
 * @param device It has timestamp queries.
 * @returns Its number.
 */
export async function fastest(
  device: GPUDevice,
  programs: readonly (readonly Step[])[],
): Promise<number> {
  if (programs.length === 1) return 0;
  await timePasses(device, programs); // warm-up
  const first = await timePasses(device, programs), least = Math.min(...first);
  const left = programs.map((_, i) => i).filter((i) => first[i] <= 2 * least);
  const repeats = Math.min(Math.max(1, Math.ceil(PASS_MS / least)), MOST_REPEATS);
  const passes = left.map((i) => Array.from({ length: repeats }, () => programs[i]).flat());
  const times: number[][] = left.map(() => []);
  for (let round = 0; round < ROUNDS; round++) {
    (await timePasses(device, passes)).forEach((ms, i) => times[i].push(ms));
  }
  const medians = times.map((list) => list.sort((a, b) => a - b)[Math.floor(ROUNDS / 2)]);
  return left[medians.indexOf(Math.min(...medians))];
}
