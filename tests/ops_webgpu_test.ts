import { WebGpuBackend } from "../src/backend/webgpu/webgpu_backend.ts";
import { webgpuAvailable } from "./adapter.ts";
import { checkParity } from "./op_check.ts";
import { OP_CASES } from "./op_cases.ts";

for (const subgroups of [true, false]) {
  Deno.test({
    name: `webgpu ops agree with the reference on random odd shapes, subgroups ${subgroups}`,
    ignore: !webgpuAvailable,
    async fn(t) {
      using backend = await WebGpuBackend.create({ allowFallback: true, subgroups });
      for (const opCase of OP_CASES) {
        await t.step(opCase.name, () => checkParity(backend, opCase, subgroups ? 4 : 2));
      }
    },
  });
}
