import { assert } from "@std/assert";
import type { Backend } from "../src/backend/backend.ts";
import { ReferenceBackend } from "../src/backend/reference/reference_backend.ts";
import { WasmBackend } from "../src/backend/wasm/wasm_backend.ts";
import { Random } from "../src/random.ts";
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

Deno.test("matmulInt8() keeps to its scratch with more rows than that has room for", async () => {
  const [m, n, k] = [9000, 40, 8];
  const multiply = async (backend: Backend) => {
    const random = new Random(4), [a, out] = [[m, k], [m, n]].map((shape) => backend.tensor(shape));
    const packed = backend.tensor([Math.ceil(n / 16), k / 4, 16], "u32");
    const [scales, sums] = [0, 1].map(() => backend.tensor([n]));
    backend.write(a, Float32Array.from({ length: a.size }, () => random.normal()));
    backend.write(packed, Uint32Array.from({ length: packed.size }, () => random.uint32()));
    backend.write(scales, new Float32Array(n).fill(0.01));
    const b = { packed, scales, sums };
    backend.run(backend.record((ops) => ops.matmulInt8({ out, a, b, gelu: true })));
    return await backend.read(out);
  };
  using reference = new ReferenceBackend();
  const expected = await multiply(reference);
  for (const threads of [1, 2]) {
    using backend = await WasmBackend.create({ threads });
    const actual = await multiply(backend);
    assert(actual.every((x, i) => Math.abs(x - expected[i]) <= 1e-5 * (1 + Math.abs(expected[i]))));
  }
});
