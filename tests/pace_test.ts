import { assert, assertEquals } from "@std/assert";
import { Pace } from "../src/backend/wasm/pace.ts";

/** Share of `runs` runs on one thread, where a run takes what `time` says. */
function shareAlone(pace: Pace, runs: number, time: (alone: boolean, run: number) => number) {
  let alone = 0;
  for (let run = 0; run < runs; run++) {
    if (pace.alone) alone++;
    pace.took(time(pace.alone, run));
  }
  return alone / runs;
}

Deno.test("Pace stays with all threads where they are faster, and looks now and then", () => {
  const pace = new Pace();
  const share = shareAlone(pace, 2000, (alone) => alone ? 0.5 : 0.3);
  assert(share > 0 && share < 0.06, `${share} of the runs on one thread`);
});

Deno.test("Pace goes to one thread where all are held up now and then, and back", () => {
  const pace = new Pace();
  // One run in fifteen waits for a thread that has lost its core.
  const busy = (alone: boolean, run: number) => alone ? 0.5 : run % 15 === 0 ? 8 : 0.3;
  shareAlone(pace, 1000, busy);
  assert(shareAlone(pace, 1000, busy) > 0.9);
  shareAlone(pace, 20_000, (alone) => alone ? 0.5 : 0.3);
  assert(shareAlone(pace, 1000, (alone) => alone ? 0.5 : 0.3) < 0.06);
});

Deno.test("Pace leaves long programs on all threads", () => {
  assertEquals(shareAlone(new Pace(), 1000, (alone) => alone ? 400 : 300), 0);
});

Deno.test("Pace goes on as it is told to begin until it has looked", () => {
  const pace = new Pace(true), time = (alone: boolean) => alone ? 0.5 : 0.3;
  assertEquals(shareAlone(pace, 30, time), 1);
  shareAlone(pace, 1000, time);
  assert(shareAlone(pace, 1000, time) < 0.06);
});
