/**
 * GFLOP/s of f32 matrix products (m, k) · (k, n), in the shapes of a training step.
 *
 * @module
 */

import type { Ops } from "../../src/backend/backend.ts";
import { chooseBackend } from "../../src/backend/select.ts";
import type { ModelConfig } from "../../src/model/config.ts";
import { Random } from "../../src/random.ts";
import {
  adapterKind,
  expectNear,
  reason,
  type Result,
  type Runner,
  timeAll,
  usesGpu,
} from "./measure.ts";

interface Product {
  m: number;
  n: number;
  k: number;
  /** (m, k). */
  a: Float32Array<ArrayBuffer>;
  /** (k, n). */
  b: Float32Array<ArrayBuffer>;
}

/** One product, ready to run again and again. */
interface Prepared {
  /** Multiplies `times` times, then waits once for the last. */
  run(times: number): Promise<void>;
  /** The result of the last run (m, n). */
  read(): Promise<Float32Array>;
}

/** Starts a contender once, for all products; `stack` receives what must be disposed of. */
type Start = (
  stack: DisposableStack,
  machine: Pick<MatmulBenchOptions, "threads" | "python">,
) => Promise<{ description: string; prepare(product: Product): Prepared | Promise<Prepared> }>;

const own = (name: "wasm" | "webgpu"): Start => async (stack, { threads }) => {
  const { backend } = await chooseBackend({
    backend: name,
    purpose: "train",
    threads: name === "wasm" ? threads : undefined,
  });
  stack.use(backend);
  return {
    description: backend.description,
    async prepare({ m, n, k, a: left, b: right }) {
      const [a, b, out] = [[m, k], [k, n], [m, n]].map((shape) => backend.tensor(shape));
      backend.write(a, left);
      backend.write(b, right);
      const build = (ops: Ops) => ops.matmul({ out, a, b });
      await backend.tune?.(build);
      const program = backend.record(build);
      const run = (times: number): Promise<void> => {
        for (let i = 0; i < times; i++) backend.run(program);
        return backend.finish();
      };
      return { run, read: () => backend.read(out) };
    },
  };
};

const jax = (device: "wasm" | "webgpu"): Start => async (stack) => {
  const { jit, numpy: np } = await import("npm:@jax-js/jax@0.1.25");
  const { float32, startJax } = await import("./peers/jax_gpt.ts");
  await startJax(device);
  const product = jit(np.matmul);
  stack.defer(() => product.dispose());
  return {
    description: `jax-js, ${device}, jit`,
    prepare({ m, n, k, a: left, b: right }) {
      const [a, b] = [float32(left, [m, k]), float32(right, [k, n])];
      const multiply = () => product(a.ref, b.ref);
      stack.defer(() => [a, b].forEach((array) => array.dispose()));
      const run = async (times: number): Promise<void> => {
        for (let i = 1; i < times; i++) multiply().dispose();
        const out = multiply();
        await out.blockUntilReady();
        out.dispose();
      };
      return { run, read: async () => await multiply().data() as Float32Array };
    },
  };
};

const tfjs = (device: "wasm" | "webgpu"): Start => async (stack) => {
  const tf = await import("../../src/tfjs/tf.ts");
  tf.enableProdMode(); // or its cpu backend advises to install another package
  // Importing the package makes its backend known.
  const wasm = device === "wasm" && await import("npm:@tensorflow/tfjs-backend-wasm@4.22.0");
  const activate = async (): Promise<void> => {
    if (!await tf.setBackend(device)) throw new Error(`tfjs cannot start its ${device} backend`);
  };
  await activate();
  const description = wasm
    ? `XNNPACK, ${wasm.getThreadsCount()} thread(s)`
    : `TensorFlow.js ${tf.version_core}, webgpu`;
  return {
    description,
    prepare({ m, n, k, a: left, b: right }) {
      const a = tf.tensor2d(left, [m, k]), b = tf.tensor2d(right, [k, n]);
      stack.defer(() => tf.dispose([a, b]));
      const run = async (times: number): Promise<void> => {
        await activate();
        for (let i = 1; i < times; i++) tf.matMul(a, b).dispose();
        const out = tf.matMul(a, b);
        const corner = tf.slice(out, [0, 0], [1, 1]); // one number waits as long as all do
        await corner.data();
        tf.dispose([out, corner]);
      };
      const read = async (): Promise<Float32Array> => {
        const out = tf.matMul(a, b);
        const data = await out.data() as Float32Array;
        out.dispose();
        return data;
      };
      return { run, read };
    },
  };
};

const torch: Start = async (stack, machine) => {
  const { TorchProducts } = await import("./peers/torch.ts");
  const products = stack.use(await TorchProducts.create(machine));
  return { description: products.description, prepare: (product) => products.prepare(product) };
};

/** All contenders. */
export const MULTIPLIERS: Record<string, Start> = {
  "wasm": own("wasm"),
  "webgpu": own("webgpu"),
  "jax-js wasm": jax("wasm"),
  "jax-js webgpu": jax("webgpu"),
  "tfjs wasm": tfjs("wasm"),
  "tfjs webgpu": tfjs("webgpu"),
  "pytorch": torch,
};

/** Options of {@linkcode benchMatmul}. */
export interface MatmulBenchOptions {
  /** The model whose products are timed. */
  config: ModelConfig;
  /** Rows of the products, B · T. */
  rows: number;
  /** Contenders by name, see {@linkcode MULTIPLIERS}. */
  contenders: string[];
  /** Timed rounds of each product. */
  rounds: number;
  /** Multiplications of a round on a GPU, which is waited for once at the end; on a CPU one. */
  steps: number;
  /** Threads on a CPU; all cores if absent. */
  threads?: number;
  /** The Python that has PyTorch; python3 if absent. */
  python?: string;
}

/** Checks a spread of entries against sums in float64. */
function check({ m, n, k, a, b }: Product, actual: Float32Array): void {
  const scale = Math.sqrt(k); // of an entry, as the factors are standard normal
  for (let i = 0; i < 64; i++) {
    const row = (i * 7919) % m, column = (i * 104729) % n;
    let sum = 0;
    for (let l = 0; l < k; l++) sum += a[row * k + l] * b[l * n + column];
    expectNear("product", (actual[row * n + column] - sum) / scale + 1, 1, 1e-5);
  }
}

/** Times the products of a model's linear layers and its head. Wrong products are not timed. */
export async function benchMatmul(options: MatmulBenchOptions): Promise<Result[]> {
  const { width: C, vocabSize: V } = options.config;
  const random = new Random(3), m = options.rows;
  const normal = (size: number) => Float32Array.from({ length: size }, () => random.normal());
  const products = [[3 * C, C], [4 * C, C], [C, 4 * C], [V, C]].map(([n, k]): Product => ({
    m,
    n,
    k,
    a: normal(m * k),
    b: normal(k * n),
  }));
  const software = await adapterKind() === "software";
  using stack = new DisposableStack();
  const results: Result[] = [];
  const timed = products.map((): { result: Result; runner: Runner }[] => []);
  for (const contender of options.contenders) {
    const base = { bench: "matmul", contender, unit: "GFLOP/s" };
    try {
      const { description, prepare } = await MULTIPLIERS[contender](stack, options);
      const warning = software && contender.includes("webgpu") ? "; SOFTWARE ADAPTER" : "";
      for (const [i, product] of products.entries()) {
        const { n, k } = product, { run, read } = await prepare(product);
        await run(1);
        check(product, await read());
        const times = usesGpu(contender) ? options.steps : 1;
        const input = `${m} × ${k} · ${k} × ${n}`;
        const result: Result = { ...base, input, note: `${description}${warning}` };
        results.push(result);
        const runner = { work: times * 2 * m * n * k / 1e9, run: () => run(times) };
        timed[i].push({ result, runner });
      }
    } catch (error) {
      results.push({ ...base, input: "", note: `not run: ${reason(error)}` });
    }
  }
  for (const list of timed) await timeAll(list, options.rounds);
  return results;
}
