import { assert, assertEquals } from "@std/assert";
import { load } from "../scripts/soak/load.ts";
import { ServingProcess } from "../scripts/soak/serving.ts";

// The short form of what `deno task soak` does for ten minutes; memory takes longer to tell anything.
Deno.test("deno task serve fails nobody under load, and keeps nothing when all have left", async () => {
  await using serving = await ServingProcess.start(["--queue", "100"]);
  const report = await load(serving, { clients: 120, seconds: 6, warmUp: 3 });
  assertEquals(report.failures, []);
  assertEquals(report.left, 0);
  const { endings } = report;
  assert(
    endings["200"] > 50 && endings["429"] > 0 && endings.cancelled > 0,
    JSON.stringify(endings),
  );
  assertEquals(await serving.stop(), 0);
});
