import { assertThrows } from "@std/assert";
import type { Ops, Tensor } from "../src/backend/backend.ts";
import { ReferenceBackend } from "../src/backend/reference/reference_backend.ts";
import { Random } from "../src/random.ts";
import { OP_CASES } from "./op_cases.ts";

Deno.test("record() refuses every op whose tensors have a wrong shape or type", () => {
  using backend = new ReferenceBackend();
  for (const opCase of OP_CASES) {
    const drawn = opCase.draw(new Random(3));
    const make = (wrong?: string): Record<string, Tensor> =>
      Object.fromEntries(
        Object.entries(drawn.tensors).map(([name, { shape, data }]) => {
          const longer = shape.map((length, axis) => axis === 0 ? length + 1 : length);
          const dtype = data instanceof Float32Array ? "f32" : "u32";
          return [name, backend.tensor(name === wrong ? [...longer, 1] : shape, dtype)];
        }),
      );
    backend.record((ops: Ops) => drawn.record(ops, make()));
    if (["fill", "sum", "gradientNorm", "dropout"].includes(opCase.name)) continue; // any shape
    for (const name of Object.keys(drawn.tensors)) {
      assertThrows(
        () => backend.record((ops: Ops) => drawn.record(ops, make(name))),
        RangeError,
        undefined,
        `${opCase.name}: ${name}`,
      );
    }
  }
});

Deno.test("tensor(), view() and write() refuse what does not fit", () => {
  using backend = new ReferenceBackend();
  const tensor = backend.tensor([100]);
  assertThrows(() => backend.tensor([]), RangeError, "expected whole numbers above zero");
  assertThrows(() => backend.tensor([3, 0]), RangeError, "expected whole numbers above zero");
  assertThrows(() => backend.view(tensor, 10, [4]), RangeError, "multiple of 64");
  assertThrows(() => backend.view(tensor, 64, [40]), RangeError, "ends after");
  assertThrows(() => backend.write(tensor, new Float32Array(101)), RangeError, "101 elements");
  assertThrows(() => backend.write(tensor, new Uint32Array(1)), TypeError, "u32");
});
