import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import type { Ops, Program, Tensor } from "../../src/backend/backend.ts";
import { ReferenceBackend } from "../../src/backend/reference/reference_backend.ts";
import { PipelineCache } from "../../src/backend/webgpu/pipeline_cache.ts";
import { WebGpuBackend } from "../../src/backend/webgpu/webgpu_backend.ts";
import { Random } from "../../src/random.ts";
import { webgpuAvailable } from "../adapter.ts";

const open = (options = {}) => WebGpuBackend.create({ allowFallback: true, ...options });

function test(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, fn, ignore: !webgpuAvailable });
}

const normal = (random: Random, size: number) =>
  Float32Array.from({ length: size }, () => random.normal());

/** A tensor that holds `data`, or random numbers where that is the generator. */
function filled(
  backend: ReferenceBackend | WebGpuBackend,
  shape: number[],
  data: Float32Array,
): Tensor {
  const tensor = backend.tensor(shape);
  backend.write(tensor, data);
  return tensor;
}

function assertClose(actual: Float32Array, expected: Float32Array, tolerance: number): void {
  assertEquals(actual.length, expected.length);
  for (let i = 0; i < actual.length; i++) {
    const isClose = Math.abs(actual[i] - expected[i]) <= tolerance * (1 + Math.abs(expected[i]));
    assert(isClose, `element ${i} is ${actual[i]}, expected ${expected[i]}`);
  }
}

Deno.test("create() refuses an adapter in software when it is not allowed", async () => {
  const adapter = { info: { description: "softpipe", isFallbackAdapter: true }, limits: {} };
  const error = await assertRejects(
    () => WebGpuBackend.create({ adapter: adapter as GPUAdapter }),
    Error,
  );
  assertStringIncludes(error.message, "softpipe");
});

test("create() throws when maxBindingBytes is more than the GPU allows", async () => {
  await assertRejects(() => open({ maxBindingBytes: 2 ** 50 }), RangeError);
});

test("tensor() throws when no buffer is that large", async () => {
  using backend = await open();
  const { maxBufferSize } = backend.device.limits; // up to 2 ** 52 bytes
  const size = Math.floor(maxBufferSize / 4) + 1;
  assertThrows(() => backend.tensor([size]), RangeError, "a buffer of this GPU");
});

test("record() throws when a matrix exceeds one binding or is written and read", async () => {
  using backend = await open({ maxBindingBytes: 1024 });
  const [a, b, out] = [[2, 200], [200, 2], [2, 2]].map((shape) => backend.tensor(shape));
  assertThrows(() => backend.record((ops) => ops.matmul({ out, a, b })), RangeError, "1600");
  const x = backend.tensor([4, 4]);
  assertThrows(() => backend.record((ops) => ops.matmul({ out: x, a: x, b: x })), RangeError);
});

test("pools larger than a binding are worked on in pieces that change nothing", async () => {
  using whole = new ReferenceBackend();
  using pieces = await open({ maxBindingBytes: 1024 }); // 256 elements
  const results = await Promise.all([whole, pieces].map(async (backend) => {
    const random = new Random(5), size = 1001;
    const pool = () => filled(backend, [size], normal(random, size));
    const [params, grads, m, a, x] = [pool(), pool(), pool(), pool(), pool()];
    const v = filled(backend, [size], normal(random, size).map((x) => x * x));
    const [norm, sum] = [backend.tensor([1]), backend.tensor([1])];
    const hyper = filled(backend, [8], Float32Array.of(0.1, 0.9, 0.99, 1e-8, 0.1, 1, 2, 3));
    const seed = backend.tensor([1], "u32");
    backend.write(seed, Uint32Array.of(7));
    backend.run(backend.record((ops) => {
      ops.gradientNorm({ norm, grads });
      ops.adamw({ params, grads, m, v, norm, hyper, decay: 600 });
      ops.add({ out: a, a, b: grads });
      ops.dropout({ x: a, rate: 0.4, seed, site: 3 });
      ops.sum({ out: sum, x: a });
      ops.fill({ x, value: 3 });
    }));
    return await Promise.all([params, m, v, norm, a, sum, x].map((t) => backend.read(t)));
  }));
  results[0].forEach((expected, i) => assertClose(results[1][i], expected, 1e-5));
});

test("tensors may be views of one buffer when an op writes one and reads another", async () => {
  using backend = await open();
  const pool = backend.tensor([64 * 4]);
  const [out, a, b, bias] = [0, 64, 128, 192].map((at, i) =>
    backend.view(pool, at, i < 3 ? [8, 8] : [8])
  );
  const identity = Float32Array.from({ length: 64 }, (_, i) => i % 9 === 0 ? 1 : 0);
  const data = Float32Array.from({ length: 64 }, (_, i) => i);
  backend.write(a, data);
  backend.write(b, identity);
  backend.write(bias, new Float32Array(8).fill(0.5));
  backend.run(backend.record((ops) => ops.matmul({ out, a, b, bias })));
  assertEquals(await backend.read(out), data.map((x) => x + 0.5));
});

/** The two ways of a large product: one dispatch of 128 × 128 tiles, and one split along k. */
for (
  const [m, n, k, options] of [
    [8195, 1028, 6, { transposeB: true }],
    [130, 132, 2203, { transposeA: true }],
    [133, 129, 2300, {}],
  ] as const
) {
  test(`matmul() is right and repeatable when large: ${m} × ${n} × ${k}`, async () => {
    using backend = await open();
    const random = new Random(m);
    const data = [m * k, k * n, n].map((size) => normal(random, size));
    const { transposeA, transposeB } = options as { transposeA?: boolean; transposeB?: boolean };
    const a = filled(backend, transposeA ? [k, m] : [m, k], data[0]);
    const b = filled(backend, transposeB ? [n, k] : [k, n], data[1]);
    const bias = filled(backend, [n], data[2]);
    const out = backend.tensor([m, n]);
    const program = backend.record((ops) => ops.matmul({ out, a, b, bias, ...options }));
    backend.run(program);
    const first = await backend.read(out);
    for (let draw = 0; draw < 2000; draw++) {
      const [i, j] = [random.below(m), random.below(n)];
      let sum = data[2][j];
      for (let l = 0; l < k; l++) {
        sum += data[0][transposeA ? l * m + i : i * k + l] *
          data[1][transposeB ? j * k + l : l * n + j];
      }
      // A sum of k products of size 1 grows like √k and loses a few bits of its 24.
      const error = Math.abs(first[i * n + j] - sum);
      assert(
        error <= 2e-6 * Math.sqrt(k) + 1e-6 * Math.abs(sum),
        `(${i}, ${j}) is off by ${error}`,
      );
    }
    backend.run(program);
    assertEquals(await backend.read(out), first);
  });
}

test("matmul() gives a row the same bits beside many rows when both are planned for as many", async () => {
  using backend = await open();
  // Planned for themselves, 1,090 rows cut k into 57 parts and one row cuts it into 64.
  const [m, n, k] = [1090, 12, 4096], random = new Random(17);
  const a = normal(random, m * k), b = filled(backend, [k, n], normal(random, k * n));
  const product = async (rows: number, plannedRows?: number) => {
    const out = backend.tensor([rows, n]);
    const left = filled(backend, [rows, k], a.subarray(0, rows * k));
    backend.run(backend.record((ops) => ops.matmul({ out, a: left, b, plannedRows })));
    return [...(await backend.read(out)).subarray(0, n)];
  };
  const one = await product(1);
  assertEquals(await product(m, 1), one);
  assert((await product(m)).some((x, i) => x !== one[i]));
});

test("embeddingBackward() gives the same bits whatever its scratch held, and passes NaN on", async () => {
  using backend = await open();
  const [N, C, V] = [1500, 48, 700], random = new Random(8);
  const dout = filled(backend, [N, C], normal(random, N * C).fill(NaN, 0, C));
  const [tokens, positions] = [0, 1].map(() => backend.tensor([N], "u32"));
  const named = Uint32Array.from({ length: N }, () => Math.floor(V * random.uniform() ** 3));
  named.fill(V - 1, 0, 1);
  backend.write(tokens, named);
  backend.write(positions, named.map((_, n) => n % 600));
  const [dwte, dwpe] = [V, 600].map((rows) => backend.tensor([rows, C]));
  const program = backend.record((ops) => {
    ops.fill({ x: dwte, value: 0 });
    ops.fill({ x: dwpe, value: 0 });
    ops.embeddingBackward({ dwte, dwpe, dout, tokens, positions });
  });
  const results: Float32Array[] = [];
  for (const other of [named, named.map((_, n) => n % V), named.toReversed()]) {
    backend.write(tokens, other); // leaves lists of other places behind
    backend.run(program);
    backend.write(tokens, named);
    backend.run(program);
    results.push(await backend.read(dwte));
  }
  assertEquals(results[1], results[0]);
  assertEquals(results[2], results[0]);
  assert(Number.isNaN(results[0][(V - 1) * C]));
  assert(results[0].subarray(0, (V - 1) * C).every(Number.isFinite));
});

test("attention is right when it takes many tiles and wide heads", async () => {
  using reference = new ReferenceBackend();
  using backend = await open();
  for (const HS of [64, 72, 128]) {
    const [expected, actual] = await Promise.all([reference, backend].map((backend) => {
      const [B, T, NH] = [2, 150, 2], C = NH * HS, N = B * T;
      const random = new Random(HS);
      const qkv = filled(backend, [N, 3 * C], normal(random, N * 3 * C));
      const dout = filled(backend, [N, C], normal(random, N * C));
      const positions = backend.tensor([N], "u32");
      // The first sequence is one document; the second has one that ends inside a tile.
      backend.write(
        positions,
        Uint32Array.from({ length: N }, (_, n) => n < 250 ? n % T : n - 250),
      );
      const [out, lse, dqkv] = [[N, C], [N, NH], [N, 3 * C]].map((shape) => backend.tensor(shape));
      backend.run(backend.record((ops) => {
        ops.attentionForward({ out, lse, qkv, positions, B, NH });
        ops.attentionBackward({ dqkv, dout, out, lse, qkv, positions, B, NH });
      }));
      return Promise.all([out, lse, dqkv].map((tensor) => backend.read(tensor)));
    }));
    expected.forEach((data, i) => assertClose(actual[i], data, 5e-5));
  }
});

/** One step of a small model's kinds of work, on the tensors it needs. */
function recordStep(backend: WebGpuBackend): { program: Program; loss: Tensor } {
  const [B, T, C, NH, V] = [2, 9, 16, 2, 12], N = B * T;
  const of = (...shape: number[]) => backend.tensor(shape);
  const words = () => backend.tensor([N], "u32");
  const [tokens, positions, targets] = [words(), words(), words()];
  const [wte, wpe, x, qkv, out, lse] = [
    of(V, C),
    of(T, C),
    of(N, C),
    of(N, 3 * C),
    of(N, C),
    of(N, NH),
  ];
  const [weight, losses, logits, scale, loss] = [of(C, 3 * C), of(N), of(N, V), of(1), of(1)];
  const [dout, dqkv, dweight, dx] = [of(N, C), of(N, 3 * C), of(C, 3 * C), of(N, C)];
  const program = backend.record((ops: Ops) => {
    ops.fill({ x: dweight, value: 0 });
    ops.embeddingForward({ out: x, tokens, positions, wte, wpe });
    ops.matmul({ out: qkv, a: x, b: weight });
    ops.attentionForward({ out, lse, qkv, positions, B, NH });
    ops.matmul({ out: logits, a: out, b: wte, transposeB: true });
    ops.crossEntropy({ losses, logits, targets, scale });
    ops.sum({ out: loss, x: losses });
    ops.matmul({ out: dout, a: logits, b: wte });
    ops.attentionBackward({ dqkv, dout, out, lse, qkv, positions, B, NH });
    ops.matmul({ out: dweight, a: x, b: dqkv, transposeA: true, accumulate: true });
    ops.matmul({ out: dx, a: dqkv, b: weight, transposeB: true });
  });
  return { program, loss };
}

test("run() and read() create nothing after the first step", async () => {
  using backend = await open();
  const { program, loss } = recordStep(backend);
  backend.run(program);
  const first = await backend.read(loss);
  const device = backend.device;
  const created: string[] = [];
  const count = (name: "createBuffer" | "createBindGroup" | "createComputePipeline") => {
    const create = device[name].bind(device) as (descriptor: never) => never;
    Object.defineProperty(device, name, {
      value: (descriptor: never) => {
        created.push(name);
        return create(descriptor);
      },
    });
  };
  for (const name of ["createBuffer", "createBindGroup", "createComputePipeline"] as const) {
    count(name);
  }
  for (let step = 0; step < 3; step++) {
    backend.write(loss, Float32Array.of(0));
    backend.run(program);
    assertEquals(await backend.read(loss), first);
  }
  assertEquals(created, []);
  recordStep(backend); // the same kernels again: buffers and bind groups, but no new pipeline
  assert(created.includes("createBindGroup"), "the counter does not count");
  assert(!created.includes("createComputePipeline"), "a pipeline was compiled twice");
});

test("write(), run() and read() take effect in the order of their calls", async () => {
  using backend = await open();
  const x = backend.tensor([100]), y = backend.tensor([100]);
  const double = backend.record((ops) => ops.add({ out: x, a: x, b: x }));
  backend.write(x, new Float32Array(100).fill(1));
  backend.run(double);
  const first = backend.read(x);
  backend.run(double);
  const second = backend.read(x);
  backend.write(x, Float32Array.of(9), 99);
  const [a, b, c, d] = await Promise.all([first, second, backend.read(x), backend.read(y)]);
  assertEquals([a[99], b[0], b[99], c[0], c[99], d[0]], [2, 4, 4, 4, 9, 0]);
});

test("crossEntropy() passes NaN on to the loss", async () => {
  using backend = await open();
  const logits = filled(backend, [2, 5], Float32Array.of(1, NaN, 0, 0, 0, 0, 0, 0, 0, 0));
  const losses = backend.tensor([2]), scale = backend.tensor([1]);
  const targets = backend.tensor([2], "u32");
  backend.run(backend.record((ops) => ops.crossEntropy({ losses, logits, targets, scale })));
  const [first, second] = await backend.read(losses);
  assert(Number.isNaN(first));
  assertClose(Float32Array.of(second), Float32Array.of(Math.log(5)), 1e-6);
});

test("fill() writes infinities and NaN", async () => {
  using backend = await open();
  const x = backend.tensor([5]);
  for (const value of [Infinity, -Infinity, NaN, -0]) {
    backend.run(backend.record((ops) => ops.fill({ x, value })));
    assertEquals([...await backend.read(x)], new Array(5).fill(value));
  }
});

test("profile() gives a time for every dispatch", async () => {
  using backend = await open();
  const { program } = recordStep(backend);
  if (!backend.device.features.has("timestamp-query")) {
    await assertRejects(() => backend.profile(program), Error, "timestamp");
    return;
  }
  const times = await backend.profile(program);
  assertEquals(times[0].op, "fill");
  assert(times.length >= program.length, `${times.length} times of ${program.length} ops`);
  for (const { op, ms, work } of times) assert(ms >= 0 && work > 0, `${op} took ${ms} ms`);
});

test("profile() tells the shapes of products and counts the bytes of tensors", async () => {
  using backend = await open();
  if (!backend.device.features.has("timestamp-query")) return;
  const [a, b, out, bias] = [[8, 4], [12, 4], [8, 12], [12]].map((shape) => backend.tensor(shape));
  const program = backend.record((ops) => {
    ops.matmul({ out, a, b, transposeB: true });
    ops.matmul({ out, a, b, transposeB: true, accumulate: true });
    ops.biasBackward({ dbias: bias, dout: out });
    ops.add({ out, a: out, b: out });
  });
  const times = await backend.profile(program);
  const factors = 4 * (8 * 4 + 12 * 4), result = 4 * 8 * 12, row = 4 * 12;
  assertEquals(times.map(({ label, bytes }) => [label, bytes]), [
    ["matmul 8 × 12 × 4, bᵀ", factors + result],
    ["matmul 8 × 12 × 4, bᵀ", factors + 2 * result], // read, then written
    ["biasBackward, columnSums", result + row],
    ["biasBackward, slices", row + 2 * row],
    ["add", 2 * result],
  ]);
});

test("verify() reports line, column and source when a kernel does not compile", async () => {
  using backend = await open();
  const pipelines = new PipelineCache(backend.device);
  const code = ["fn helper() {}", "@compute @workgroup_size(1) fn main() {\n  let x: f32 = 1u;\n}"];
  pipelines.get({ op: "broken", code });
  const error = await assertRejects(() => pipelines.verify(), SyntaxError);
  assertStringIncludes(error.message, "A kernel of broken does not compile.");
  assertStringIncludes(error.message, "line 3:7:");
  assertStringIncludes(error.message, "   1 fn helper() {}");
  await pipelines.verify(); // reported once
});

test("kernels add up within subgroups where the GPU has them, unless told not to", async () => {
  for (const subgroups of [true, false]) {
    using backend = await open({ subgroups });
    const { device } = backend, codes: string[] = [];
    const create = device.createShaderModule.bind(device);
    Object.defineProperty(device, "createShaderModule", {
      value(descriptor: GPUShaderModuleDescriptor) {
        codes.push(descriptor.code);
        return create(descriptor);
      },
    });
    const [out, x] = [backend.tensor([1]), filled(backend, [300], new Float32Array(300).fill(1))];
    backend.run(backend.record((ops) => ops.sum({ out, x })));
    assertEquals([...await backend.read(out)], [300]);
    assertEquals(
      codes.some((code) => code.includes("subgroupAdd")),
      subgroups && device.features.has("subgroups"),
    );
    assert(subgroups || !device.features.has("subgroups"));
  }
});

test("finish() rejects when a command was refused", async () => {
  using backend = await open();
  const x = backend.tensor([4]);
  const program = backend.record((ops) => ops.fill({ x, value: 1 }));
  backend.free(x);
  backend.run(program);
  await assertRejects(() => backend.finish(), Error, "The GPU refused a command");
  await backend.finish();
});

test("finish() and read() reject when the device was lost", async () => {
  using backend = await open();
  const x = backend.tensor([4]);
  const program = backend.record((ops) => ops.fill({ x, value: 1 }));
  backend.run(program);
  await backend.finish();
  const reading = backend.read(x);
  backend.device.destroy();
  await assertRejects(() => reading, Error, "The GPU was lost");
  backend.run(program);
  assertThrows(() => backend.record((ops) => ops.fill({ x, value: 2 })), Error, "The GPU was lost");
  await assertRejects(() => backend.finish(), Error, "The GPU was lost");
  await assertRejects(() => backend.read(x), Error, "The GPU was lost");
});
