import { WebGpuBackend } from "../src/backend/webgpu/webgpu_backend.ts";
import { webgpuAvailable } from "./adapter.ts";
import { checkParity } from "./op_check.ts";
import { OP_CASES } from "./op_cases.ts";

Deno.test({
  name: "webgpu ops agree with the reference on random odd shapes",
  ignore: !webgpuAvailable,
  async fn(t) {
    using backend = await WebGpuBackend.create({ allowFallback: true });
    for (const opCase of OP_CASES) await t.step(opCase.name, () => checkParity(backend, opCase, 4));
  },
});
