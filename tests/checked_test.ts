import { assertThrows } from "@std/assert";
import type { Ops, Tensor } from "../src/backend/backend.ts";
import { ReferenceBackend } from "../src/backend/reference/reference_backend.ts";
import { Random } from "../src/random.ts";
import { HALF_CASES } from "./f16_cases.ts";
import { dtypeOf } from "./op_case.ts";
import { OP_CASES } from "./op_cases.ts";

Deno.test("record() refuses every op whose tensors have a wrong shape", () => {
  using backend = new ReferenceBackend();
  for (const opCase of [...OP_CASES, ...HALF_CASES]) {
    const drawn = opCase.draw(new Random(3));
    const make = (wrong?: string): Record<string, Tensor> =>
      Object.fromEntries(
        Object.entries(drawn.tensors).map(([name, tensor]) => {
          const { shape } = tensor;
          const longer = shape.map((length, axis) => axis === 0 ? length + 1 : length);
          return [name, backend.tensor(name === wrong ? [...longer, 1] : shape, dtypeOf(tensor))];
        }),
      );
    backend.record((ops: Ops) => drawn.record(ops, make()));
    if (/^(fill|sum|gradientNorm|dropout)/.test(opCase.name)) continue; // any shape
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

/** Tensors that may be f16 where all others are f32. */
const TAKES_F16: Record<string, string[]> = {
  cast: ["out", "x"],
  embeddingForward: ["wte"],
  layernormForward: ["out"],
  layernormBackward: ["dout"],
  matmul: ["out", "a", "b", "geluInto", "geluFrom"],
  biasBackward: ["dout"],
  crossEntropy: ["logits"],
  drawTokens: ["wte"], // the case reads its result through embeddingForward
  dropout: ["x"],
};

Deno.test("record() refuses f16 wherever an op does not take it", () => {
  using backend = new ReferenceBackend();
  for (const opCase of OP_CASES) {
    const drawn = opCase.draw(new Random(3)), [op] = opCase.name.split(" ");
    for (const half of Object.keys(drawn.tensors)) {
      const tensors = Object.fromEntries(
        Object.entries(drawn.tensors).map(([name, tensor]) => [
          name,
          backend.tensor(tensor.shape, name === half ? "f16" : dtypeOf(tensor)),
        ]),
      );
      const record = () => backend.record((ops) => drawn.record(ops, tensors));
      if (TAKES_F16[op]?.includes(half)) record();
      else assertThrows(record, TypeError, "expected", `${opCase.name}: ${half}`);
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
  const half = backend.tensor([300], "f16");
  assertThrows(() => backend.view(half, 64, [4]), RangeError, "multiple of 128");
  assertThrows(() => backend.write(half, new Uint32Array(1)), TypeError, "u32");
  assertThrows(() => backend.write(tensor, new Float32Array(101)), RangeError, "101 elements");
  assertThrows(() => backend.write(tensor, new Uint32Array(1)), TypeError, "u32");
});
