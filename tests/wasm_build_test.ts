import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { buildKernels, BUILDS } from "../scripts/build_wasm.ts";
import type { Backend } from "../src/backend/backend.ts";
import { Allocator } from "../src/backend/wasm/allocator.ts";
import { WasmBackend } from "../src/backend/wasm/wasm_backend.ts";
import { quantizeMatrix } from "../src/model/int8.ts";
import { Random } from "../src/random.ts";
import { OP_CASES } from "./op_cases.ts";

Deno.test("buildKernels() gives the bytes of the kernels that are kept", async () => {
  for (const { file, features } of BUILDS) {
    const built = await buildKernels(features);
    const kept = await Deno.readFile(file);
    assert(
      built.length === kept.length && built.every((byte, i) => byte === kept[i]),
      `${file} is not what its sources compile to: run deno task build:wasm`,
    );
  }
});

Deno.test("WasmBackend gives the same bits for 8-bit products with and without relaxed SIMD", async () => {
  // The worst that products of 8 and 7 bits can be: ±127 · 127 everywhere, so that anything that
  // saturates at 16 bits shows.
  const n = 40, k = 1536, random = new Random(4);
  const weights = Float32Array.from(
    { length: n * k },
    (_, i) => i < 8 * k ? -1 : i < 16 * k ? 1 : random.normal(),
  );
  const { packed, scales, sums } = quantizeMatrix(weights, n, k, { row: k, column: 1 });
  const rows = Float32Array.from(
    { length: 5 * k },
    (_, i) => i < k ? Number(i % k > 0) : random.normal(),
  );
  const results: Uint32Array[] = [];
  for (const simd of ["relaxed", "plain"] as const) {
    using backend = await WasmBackend.create({ threads: 1, simd });
    const given = (shape: number[], data: Float32Array | Uint32Array) => {
      const tensor = backend.tensor(shape, data instanceof Float32Array ? "f32" : "u32");
      backend.write(tensor, data);
      return tensor;
    };
    const b = {
      packed: given([Math.ceil(n / 16), k / 4, 16], packed),
      scales: given([n], scales),
      sums: given([n], sums),
    };
    const a = given([5, k], rows), out = backend.tensor([5, n]);
    backend.run(backend.record((ops) => ops.matmulInt8({ out, a, b })));
    results.push(new Uint32Array((await backend.read(out)).buffer));
  }
  assertEquals(results[0], results[1]);
});

/** The bits of every f32 tensor after all cases of the op table, recorded as one program each. */
async function bitsOfAllCases(backend: Backend): Promise<Uint32Array[]> {
  const bits: Uint32Array[] = [];
  for (const opCase of OP_CASES) {
    const { tensors, record } = opCase.draw(new Random(opCase.name.length));
    const made = Object.fromEntries(
      Object.entries(tensors).map(([name, { shape, data }]) => {
        const tensor = backend.tensor(shape, data instanceof Float32Array ? "f32" : "u32");
        backend.write(tensor, data);
        return [name, tensor];
      }),
    );
    backend.run(backend.record((ops) => record(ops, made)));
    for (const tensor of Object.values(made)) {
      if (tensor.dtype === "f32") bits.push(new Uint32Array((await backend.read(tensor)).buffer));
      backend.free(tensor);
    }
  }
  return bits;
}

/** A matrix product with several parts of k, many tasks, and every kind of edge. */
async function bitsOfLargeProduct(backend: Backend): Promise<Uint32Array> {
  const [m, n, k] = [203, 331, 1001], random = new Random(5);
  const draw = (shape: number[]) => {
    const tensor = backend.tensor(shape);
    backend.write(tensor, Float32Array.from({ length: tensor.size }, () => random.normal()));
    return tensor;
  };
  const [a, b, bias] = [draw([m, k]), draw([n, k]), draw([n])];
  const [out, geluInto] = [backend.tensor([m, n]), backend.tensor([m, n])];
  const program = backend.record((ops) =>
    ops.matmul({ out, a, b, transposeB: true, bias, geluInto })
  );
  for (let i = 0; i < 20; i++) backend.run(program);
  return new Uint32Array((await backend.read(out)).buffer);
}

Deno.test("WasmBackend gives the same bits for 1, 2 and 3 threads", async () => {
  using one = await WasmBackend.create({ threads: 1 });
  const cases = await bitsOfAllCases(one), product = await bitsOfLargeProduct(one);
  for (const threads of [2, 3]) {
    using backend = await WasmBackend.create({ threads });
    assertEquals(backend.threads, threads);
    (await bitsOfAllCases(backend)).forEach((bits, i) => {
      assert(bits.every((word, j) => word === cases[i][j]), `tensor ${i}, ${threads} threads`);
    });
    assert((await bitsOfLargeProduct(backend)).every((word, j) => word === product[j]));
  }
});

Deno.test("WasmBackend runs programs after its workers have gone to sleep", async () => {
  using backend = await WasmBackend.create({ threads: 3 });
  const x = backend.tensor([100_000]), one = backend.tensor([100_000]);
  const program = backend.record((ops) => {
    ops.fill({ x: one, value: 1 });
    ops.add({ out: x, a: x, b: one });
  });
  for (let run = 1; run <= 5; run++) {
    backend.run(program);
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert((await backend.read(x)).every((value) => value === run));
  }
});

Deno.test("WasmBackend.run() finds the scratch of a later, larger program moved", async () => {
  using backend = await WasmBackend.create({ threads: 2 });
  const product = (size: number) => {
    const [a, b, out] = [0, 1, 2].map(() => backend.tensor([size, size]));
    backend.write(a, new Float32Array(size * size).fill(1));
    backend.write(b, new Float32Array(size * size).fill(2));
    return { out, program: backend.record((ops) => ops.matmul({ out, a, b })) };
  };
  const small = product(40), large = product(400);
  for (const { out, program } of [small, large, small]) {
    backend.run(program);
    assert((await backend.read(out)).every((value) => value === 2 * out.shape[0]));
  }
});

Deno.test("WasmBackend.run() of a program without ops does not disturb the next", async () => {
  using backend = await WasmBackend.create({ threads: 2 });
  const x = backend.tensor([50_000]), one = backend.tensor([50_000]);
  backend.write(one, new Float32Array(50_000).fill(1));
  const nothing = backend.record(() => {});
  const add = backend.record((ops) => {
    for (let i = 0; i < 10; i++) ops.add({ out: x, a: x, b: one });
  });
  for (let run = 1; run <= 20; run++) {
    backend.run(nothing);
    backend.run(add);
    await new Promise((resolve) => setTimeout(resolve, 20)); // the worker goes to sleep
    assert((await backend.read(x)).every((value) => value === 10 * run));
  }
});

Deno.test("WasmBackend shows NaN in the loss and in the gradient norm", async () => {
  using backend = await WasmBackend.create({ threads: 1 });
  const logits = backend.tensor([1, 9]), losses = backend.tensor([1]), scale = backend.tensor([1]);
  const targets = backend.tensor([1], "u32"), norm = backend.tensor([1]);
  backend.write(logits, Float32Array.of(1, 2, 3, NaN, 5, 6, 7, 8, 9));
  backend.run(backend.record((ops) => {
    ops.crossEntropy({ losses, logits, targets, scale });
    ops.gradientNorm({ norm, grads: logits });
  }));
  assert(Number.isNaN((await backend.read(losses))[0]));
  assert(Number.isNaN((await backend.read(norm))[0]));
});

Deno.test("WasmBackend.free() lets storage be used again, zeroed", async () => {
  using backend = await WasmBackend.create({ threads: 1 });
  const before = backend.bytesUsed;
  for (let i = 0; i < 200; i++) {
    const tensor = backend.tensor([1 << 22]); // 200 of these would need 3.1 GiB
    backend.write(tensor, Float32Array.of(i + 1), i);
    backend.free(tensor);
  }
  const tensor = backend.tensor([1 << 22]);
  assert((await backend.read(tensor)).every((value) => value === 0));
  backend.free(tensor);
  assertEquals(backend.bytesUsed, before);
  assertThrows(() => backend.free(tensor), RangeError, "freed already");
});

Deno.test("WasmBackend.tensor() throws RangeError when 4 GiB are not enough", async () => {
  using backend = await WasmBackend.create({ threads: 1 });
  const error = assertThrows(() => backend.tensor([1 << 15, 1 << 15]), RangeError);
  assert(/Cannot allocate 4096 MiB: .* Choose a smaller batch/.test(error.message), error.message);
  backend.free(backend.tensor([10])); // and still works
});

Deno.test("WasmBackend refuses tensors and programs of another backend, and use after disposal", async () => {
  const one = await WasmBackend.create({ threads: 2 });
  using other = await WasmBackend.create({ threads: 1 });
  const x = one.tensor([4]);
  assertThrows(() => other.read(x), TypeError, "another backend");
  assertThrows(() => other.record((ops) => ops.fill({ x, value: 1 })), TypeError);
  const program = one.record((ops) => ops.fill({ x, value: 1 }));
  assertThrows(() => other.run(program), TypeError, "another backend");
  one[Symbol.dispose]();
  one[Symbol.dispose]();
  assertThrows(() => one.run(program), Error, "disposed");
});

Deno.test("WasmBackend.create() throws RangeError when threads is no whole number from 1", async () => {
  for (const threads of [0, 1.5, 65, NaN]) {
    await assertRejects(() => WasmBackend.create({ threads }), RangeError, "threads is");
  }
});

Deno.test("Allocator joins gaps and never hands out a byte twice", () => {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 64, shared: true });
  const allocator = new Allocator(memory, 1000, 64 * 65536);
  const random = new Random(3), held = new Map<number, number>();
  for (let step = 0; step < 3000; step++) {
    if (random.uniform() < 0.55 && held.size < 60) {
      const bytes = 1 + random.below(20_000), start = allocator.allocate(bytes);
      assertEquals(start % 256, 0);
      assert(start >= 1000 && start + bytes <= memory.buffer.byteLength);
      for (const [other, size] of held) assert(start + bytes <= other || other + size <= start);
      held.set(start, bytes);
    } else if (held.size > 0) {
      const start = [...held.keys()][random.below(held.size)];
      allocator.free(start);
      held.delete(start);
    }
  }
  for (const start of held.keys()) allocator.free(start);
  assertEquals(allocator.used, 0);
  const size = memory.buffer.byteLength - 65536; // one gap again, so nothing has to grow
  allocator.allocate(size);
  assertEquals(memory.buffer.byteLength, size + 65536);
});
