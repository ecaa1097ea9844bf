import { WasmBackend } from "../src/backend/wasm/wasm_backend.ts";
import { checkParity } from "./op_check.ts";
import { OP_CASES } from "./op_cases.ts";

for (const [simd, threads] of [["relaxed", 1], ["relaxed", 2], ["plain", 2]] as const) {
  Deno.test(`wasm ops agree with the reference on random odd shapes, ${simd} SIMD, threads ${threads}`, async (t) => {
    using backend = await WasmBackend.create({ threads, simd });
    for (const opCase of OP_CASES) {
      await t.step(opCase.name, () => checkParity(backend, opCase, 12));
    }
  });
}
