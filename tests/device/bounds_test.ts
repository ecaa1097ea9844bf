import { assert, assertStringIncludes, assertThrows } from "@std/assert";
import { PaperAdapter } from "../../scripts/bench/paper_adapter.ts";
import type { Backend, Precision, Tensor } from "../../src/backend/backend.ts";
import { ReferenceBackend } from "../../src/backend/reference/reference_backend.ts";
import type { WebGpuProgram, WebGpuTensor } from "../../src/backend/webgpu/program.ts";
import { WebGpuBackend } from "../../src/backend/webgpu/webgpu_backend.ts";
import { type ModelConfig, PRESETS } from "../../src/model/config.ts";
import { parameterLayout } from "../../src/model/parameters.ts";
import { Random } from "../../src/random.ts";
import { BackendEngine } from "../../src/trainer/engine.ts";
import { webgpuAvailable } from "../adapter.ts";
import { HALF_CASES } from "../f16_cases.ts";
import { buildGraph, largeParameters, packedBatch } from "../graph.ts";
import { type DrawnCase, dtypeOf, type OpCase } from "../op_case.ts";
import { OP_CASES } from "../op_cases.ts";
import { checkParity } from "../op_check.ts";

/** Bytes of a binding that WebGPU promises of every adapter. */
const LEAST_BINDING = 134_217_728;

const onPaper = (maxStorageBufferBindingSize: number) =>
  WebGpuBackend.create({ adapter: new PaperAdapter({ maxStorageBufferBindingSize }).adapter });

/** Records all programs of training where a binding has 128 MiB; nothing is allocated or computed. */
async function recordTraining(
  config: ModelConfig,
  batchSize: number,
  precision: Precision,
): Promise<void> {
  const settings = { batchSize, sequenceLength: config.contextLength, dropout: 0.1, precision };
  using _ = await BackendEngine.create(await onPaper(LEAST_BINDING), config, settings);
}

for (const precision of ["f32", "f16"] as const) {
  for (const preset of ["small", "base", "medium"] as const) {
    Deno.test(`${preset} trains in ${precision} where a binding has 128 MiB`, async () => {
      for (const batchSize of [8, 16, 64]) {
        await recordTraining(PRESETS[preset], batchSize, precision);
      }
    });
  }
}

Deno.test("record() throws when a single sequence exceeds a binding", async () => {
  const backend = await onPaper(LEAST_BINDING);
  const [B, T, C, NH] = [2, 32768, 512, 8];
  const [out, lse, qkv] = [[B * T, C], [B * T, NH], [B * T, 3 * C]].map((s) => backend.tensor(s));
  const positions = backend.tensor([B * T], "u32");
  const record = () =>
    backend.record((ops) => ops.attentionForward({ out, lse, qkv, positions, B, NH }));
  const { message } = assertThrows(record, RangeError);
  assertStringIncludes(message, `${4 * T * 3 * C} bytes in one piece`);
  assertStringIncludes(message, "sequences");
});

/** How an op case is recorded where a binding has so many bytes: not at all, whole, or cut. */
async function recordCase(
  drawn: DrawnCase,
  maxBindingBytes: number,
): Promise<"refused" | "whole" | "cut"> {
  const backend = await onPaper(maxBindingBytes), tensors: Record<string, Tensor> = {};
  for (const [name, tensor] of Object.entries(drawn.tensors)) {
    tensors[name] = backend.tensor(tensor.shape, dtypeOf(tensor));
  }
  let program: WebGpuProgram;
  try {
    program = backend.record((ops) => drawn.record(ops, tensors)) as WebGpuProgram;
  } catch (error) {
    if (error instanceof RangeError) return "refused";
    throw error;
  }
  const own = new Set(Object.values(tensors).map((tensor) => (tensor as WebGpuTensor).buffer));
  const isLater = (tensor?: WebGpuTensor) =>
    tensor && own.has(tensor.buffer) && tensor.byteOffset > 0;
  const isCut = program.steps.some(({ dispatch: { writes, reads } }) =>
    [...writes, ...reads].some(isLater)
  );
  return isCut ? "cut" : "whole";
}

/** Ops over rows, apart from products whose shape is fixed and sums that f16 would round twice. */
const hasPieces = ({ name }: OpCase): boolean =>
  /^(embedding(For|Back)ward\b|layernorm|matmul (plain|trans)|bias|attention\w+ward|cross)/
    .test(name) &&
  !/one row|long|transposeA .*out$/.test(name);

Deno.test({
  name: "ops cut into as many pieces as can be agree with the reference",
  ignore: !webgpuAvailable,
  async fn(t) {
    using whole = await WebGpuBackend.create({ allowFallback: true });
    const cases = whole.hasF16 ? [...OP_CASES, ...HALF_CASES] : OP_CASES;
    const backends = new Map<number, WebGpuBackend>();
    for (const opCase of cases.filter(hasPieces)) {
      await t.step(opCase.name, async () => {
        let cuts = 0;
        for (let seed = 0; seed < 3; seed++) {
          const drawn = opCase.draw(new Random(seed), 8);
          let limit = 512, how = await recordCase(drawn, limit);
          while (how === "refused") how = await recordCase(drawn, limit *= 2);
          if (how === "whole") continue;
          const options = { allowFallback: true, maxBindingBytes: limit };
          const backend = backends.get(limit) ?? await WebGpuBackend.create(options);
          backends.set(limit, backend);
          await checkParity(backend, { ...opCase, draw: () => drawn }, 1);
          cuts++;
        }
        assert(cuts > 0, "no draw was cut");
      });
    }
    for (const backend of backends.values()) backend[Symbol.dispose]();
  },
});

/** ‖actual − expected‖ / ‖expected‖. */
function distance(actual: Float32Array, expected: Float32Array): number {
  return Math.hypot(...actual.map((x, i) => x - expected[i])) / Math.hypot(...expected);
}

/**
 * Allowed distance. In f32 sums in another order leave 1e-6. In f16 two results that differ in their
 * last bits may be rounded to neighbours, 2^-10 apart; a gradient has come through some 20 of them,
 * and their errors add up like a root.
 */
const TOLERANCE = { f32: 1e-5, f16: Math.sqrt(20) * 2 ** -10 };

Deno.test({
  name: "a model has the same loss and gradients where its activations are cut",
  ignore: !webgpuAvailable,
  async fn() {
    const config = { vocabSize: 90, contextLength: 32, layers: 2, width: 32, heads: 2 };
    const B = 8, batch = packedBatch(config, B, 32, new Random(3));
    const parameters = largeParameters(config, new Random(4));
    const train = async (backend: Backend, precision: Precision) => {
      const graph = buildGraph(backend, config, B, batch, 0.2, precision);
      const { params, grads, losses, scaling, programs } = graph;
      backend.write(params.pool, parameters);
      if (scaling) backend.write(scaling, Float32Array.of(1, 0, 0, 0));
      backend.run(programs.backward);
      return { losses: await backend.read(losses), gradients: await backend.read(grads.pool) };
    };
    using reference = new ReferenceBackend();
    // Matrices have up to 16 KiB and are not cut; feed-forward activations have 128.
    using cut = await WebGpuBackend.create({ allowFallback: true, maxBindingBytes: 24 << 10 });
    for (const precision of cut.hasF16 ? ["f32", "f16"] as const : ["f32"] as const) {
      const expected = await train(reference, precision), actual = await train(cut, precision);
      const off = distance(actual.losses, expected.losses), tolerance = TOLERANCE[precision];
      assert(off < tolerance, `losses in ${precision} are off by ${off}`);
      for (const { name, offset, size } of parameterLayout(config).specs) {
        const [a, e] = [actual, expected].map((x) => x.gradients.subarray(offset, offset + size));
        assert(distance(a, e) < tolerance, `${name} in ${precision} is off by ${distance(a, e)}`);
      }
    }
  },
});
