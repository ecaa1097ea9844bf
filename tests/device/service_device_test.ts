import { assertMatch } from "@std/assert";
import { webgpuAvailable } from "../adapter.ts";
import { writeRandomModel } from "../random_model.ts";
import { assertUnavailable, PROMPT, Tried } from "../tried_service.ts";

Deno.test({
  name: "Service starts the Worker again when its WebGPU device is lost",
  ignore: !webgpuAvailable,
  fn: async () => {
    const folder = await writeRandomModel();
    const model = { weights: folder, backend: "webgpu" as const, streams: 4 };
    await using tried = new Tried(undefined, { model, watchdog: 20_000 });
    await tried.service.ready;
    await tried.check();
    const held = tried.ask({ prompt: PROMPT, max_tokens: 100 });
    await assertUnavailable(await tried.ask({ prompt: "lose the device" }));
    await assertUnavailable(await held);
    await tried.check();
    assertMatch(tried.log, /"the model is started again","reason":"[^"]*device/i);
    await Deno.remove(folder, { recursive: true });
  },
});
