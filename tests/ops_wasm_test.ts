import { WasmBackend } from "../src/backend/wasm/wasm_backend.ts";
import { checkParity } from "./op_check.ts";
import { OP_CASES } from "./op_cases.ts";

for (const threads of [1, 2]) {
  Deno.test(`wasm ops agree with the reference on random odd shapes, threads ${threads}`, async (t) => {
    using backend = await WasmBackend.create({ threads });
    for (const opCase of OP_CASES) {
      await t.step(opCase.name, () => checkParity(backend, opCase, 12));
    }
  });
}
