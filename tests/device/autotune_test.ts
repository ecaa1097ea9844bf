import { assert, assertEquals, assertNotEquals } from "@std/assert";
import type { Backend, MatmulArgs, Tensor } from "../../src/backend/backend.ts";
import { ReferenceBackend } from "../../src/backend/reference/reference_backend.ts";
import { MATMUL_TILES, type MatmulPlan } from "../../src/backend/webgpu/matmul_plan.ts";
import { PipelineCache } from "../../src/backend/webgpu/pipeline_cache.ts";
import { buildProgram, type WebGpuTensor } from "../../src/backend/webgpu/program.ts";
import { Recorder } from "../../src/backend/webgpu/recorder.ts";
import { WebGpuBackend } from "../../src/backend/webgpu/webgpu_backend.ts";
import { Random } from "../../src/random.ts";
import { webgpuAvailable } from "../adapter.ts";
import { CapturedDevices } from "./captured_device.ts";

const adapter = webgpuAvailable
  ? await navigator.gpu.requestAdapter({ powerPreference: "high-performance" })
  : undefined;

const open = (options = {}) => WebGpuBackend.create({ allowFallback: true, ...options });

/** A product with bias and residual, its tensors filled from one seed. */
function product(
  backend: Backend,
  [m, n, k]: readonly [number, number, number],
  { transposeA = false, transposeB = false } = {},
): MatmulArgs {
  const random = new Random(m + n + k);
  const filled = (...shape: number[]): Tensor => {
    const tensor = backend.tensor(shape);
    backend.write(tensor, Float32Array.from({ length: tensor.size }, () => random.normal()));
    return tensor;
  };
  return {
    a: transposeA ? filled(k, m) : filled(m, k),
    b: transposeB ? filled(n, k) : filled(k, n),
    bias: filled(n),
    residual: filled(m, n),
    out: filled(m, n),
    transposeA,
    transposeB,
  };
}

/** Sums of k products of standard normals, taken in two orders: both are off by some ulps of √k. */
function assertClose(actual: Float32Array, expected: Float32Array, k: number, what: string): void {
  actual.forEach((x, i) => {
    const off = Math.abs(x - expected[i]);
    assert(off <= 1e-6 * k, `${what}: ${x} at ${i}, expected ${expected[i]}`);
  });
}

Deno.test({
  name: "every tile gives the product of odd and even shapes, whole and in parts",
  ignore: !adapter,
  fn: async () => {
    using backend = await open();
    const pipelines = new PipelineCache(backend.device);
    const { maxStorageBufferBindingSize: limit } = backend.device.limits;
    const scratch = backend.tensor([1 << 17]) as WebGpuTensor;
    const run = async (args: MatmulArgs, plan: MatmulPlan) => {
      const part = (size: number) => backend.view(scratch, 0, [size]) as WebGpuTensor;
      const recorder = new Recorder(limit, part, () => plan);
      recorder.matmul(args);
      assertEquals(recorder.dispatches.length, plan.splits === 1 ? 1 : 2);
      backend.run(buildProgram(backend.device, pipelines, recorder.dispatches, 1, limit));
      await pipelines.verify();
      return await backend.read(args.out);
    };
    const shapes = [[67, 139, 101], [132, 136, 100], [5, 9, 70]] as const;
    const layouts = [{}, { transposeA: true }, { transposeB: true }];
    for (const [i, layout] of layouts.entries()) {
      for (const [j, shape] of shapes.entries()) {
        using reference = new ReferenceBackend();
        const expected = product(reference, shape, layout), [, , k] = shape;
        reference.run(reference.record((ops) => ops.matmul(expected)));
        const numbers = await reference.read(expected.out);
        for (const [number, tile] of MATMUL_TILES.entries()) {
          // Compiling takes the time: every tile has every layout and every shape, but not each with each.
          if ((i + j + number) % 3 !== 0) continue;
          const depth = (i + number) % 2 === 0 ? 32 : Math.ceil(k / tile.step) * tile.step;
          const plan = { tile, splits: Math.ceil(k / depth), depth };
          const args = product(backend, shape, layout);
          const what = JSON.stringify([shape, layout, plan]);
          assertClose(await run(args, plan), numbers, k, what);
          for (const tensor of [args.a, args.b, args.bias!, args.residual!, args.out]) {
            backend.free(tensor);
          }
        }
      }
    }
  },
});

/** Runs `work` with a cache folder of its own. */
async function withCache(work: (folder: string) => Promise<void>): Promise<void> {
  const before = Deno.env.get("XDG_CACHE_HOME");
  const folder = await Deno.makeTempDir();
  Deno.env.set("XDG_CACHE_HOME", folder);
  try {
    await work(`${folder}/bashling/plans`);
  } finally {
    if (before === undefined) Deno.env.delete("XDG_CACHE_HOME");
    else Deno.env.set("XDG_CACHE_HOME", before);
    await Deno.remove(folder, { recursive: true });
  }
}

const files = (folder: string) => [...Deno.readDirSync(folder)].map(({ name }) => name);

Deno.test({
  name: "tune() keeps what is fastest for the next process, and products stay right",
  ignore: !adapter?.features.has("timestamp-query"),
  fn: () =>
    withCache(async (folder) => {
      using captured = new CapturedDevices();
      const shape = [70, 96, 130] as const;
      /** Makes a backend, tunes it, and multiplies; tells how many clocks were made for it. */
      const multiply = async (options = {}) => {
        using backend = await open(options);
        captured.calls = {};
        const args = product(backend, shape);
        await backend.tune((ops) => ops.matmul(args));
        const { createQuerySet: measured = 0 } = captured.calls;
        const again = product(backend, shape);
        backend.run(backend.record((ops) => ops.matmul(again)));
        return { measured, numbers: await backend.read(again.out) };
      };
      using reference = new ReferenceBackend();
      const args = product(reference, shape);
      reference.run(reference.record((ops) => ops.matmul(args)));
      const expected = await reference.read(args.out);

      assertEquals((await multiply({ autotune: false })).measured, 0);
      // On an adapter in software it is done only when asked for.
      assertEquals((await multiply()).measured === 0, adapter!.info.isFallbackAdapter);
      await Deno.remove(folder, { recursive: true }).catch(() => {});
      const first = await multiply({ autotune: true });
      assertNotEquals(first.measured, 0);
      assertClose(first.numbers, expected, shape[2], "tuned");
      const [name] = files(folder);
      assertEquals(files(folder), [name]);
      const text = await Deno.readTextFile(`${folder}/${name}`);
      assertEquals(Object.keys(JSON.parse(text)), ["70 × 96 × 130"]);

      const second = await multiply({ autotune: true });
      assertEquals(second.measured, 0);
      assertEquals(second.numbers, first.numbers);

      // What cannot be read, is no plan, or does not fit the shape is measured again.
      const plan = { tile: MATMUL_TILES[0], splits: 1, depth: 64 };
      const unfit = JSON.stringify({ "70 × 96 × 130": plan });
      for (const bad of ["{", "[]", '{"70 × 96 × 130": null}', unfit]) {
        await Deno.writeTextFile(`${folder}/${name}`, bad);
        const third = await multiply({ autotune: true });
        assertNotEquals(third.measured, 0, bad);
        assertClose(third.numbers, expected, shape[2], bad);
        assertEquals(files(folder), [name]);
        const { tile } = JSON.parse(await Deno.readTextFile(`${folder}/${name}`))["70 × 96 × 130"];
        assert(MATMUL_TILES.some((one) => JSON.stringify(one) === JSON.stringify(tile)));
      }
    }),
});

Deno.test({
  name: "tune() leaves the plans of programs that are recorded already",
  ignore: !adapter?.features.has("timestamp-query"),
  fn: () =>
    withCache(async () => {
      using captured = new CapturedDevices();
      using backend = await open({ autotune: true });
      const args = product(backend, [33, 40, 50]);
      backend.record((ops) => ops.matmul(args));
      captured.calls = {};
      await backend.tune((ops) => ops.matmul(args));
      assertEquals(captured.calls.createQuerySet, undefined);
      await backend.tune((ops) => ops.matmul({ ...args, plannedRows: 64 }));
      assertNotEquals(captured.calls.createQuerySet, undefined);
    }),
});
