import { assertEquals } from "@std/assert";
import { WebGpuBackend } from "../../src/backend/webgpu/webgpu_backend.ts";
import { webgpuAvailable } from "../adapter.ts";
import { checkParity } from "../op_check.ts";
import { HALF_CASES } from "../f16_cases.ts";
import { OP_CASES, reduces } from "../op_cases.ts";

Deno.test({
  name: "webgpu ops agree with the reference on random odd shapes",
  ignore: !webgpuAvailable,
  async fn(t) {
    using backend = await WebGpuBackend.create({ allowFallback: true });
    const cases = backend.hasF16 ? [...OP_CASES, ...HALF_CASES] : OP_CASES;
    for (const opCase of cases) await t.step(opCase.name, () => checkParity(backend, opCase, 4));
  },
});

Deno.test({
  name: "webgpu ops that reduce agree with the reference without subgroups too",
  ignore: !webgpuAvailable,
  async fn(t) {
    using backend = await WebGpuBackend.create({ allowFallback: true, subgroups: false });
    assertEquals(backend.hasSubgroups, false);
    for (const opCase of OP_CASES.filter(reduces)) {
      await t.step(opCase.name, () => checkParity(backend, opCase, 4));
    }
  },
});
