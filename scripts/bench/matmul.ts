/**
 * GFLOP/s of f32 matrix products (m, k) · (k, n), in the shapes of a training step.
 *
 * @module
 */

import { chooseBackend } from "../../src/backend/select.ts";
import type { ModelConfig } from "../../src/model/config.ts";
import { Random } from "../../src/random.ts";
import { adapterKind, alternate, expectNear, reason, type Result, type Runner } from "./measure.ts";

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
  run(): Promise<void>;
  /** The result of the last run (m, n). */
  read(): Promise<Float32Array>;
}

/** Starts a contender once, for all products; `stack` receives what must be disposed of. */
type Start = (
  stack: DisposableStack,
  threads?: number,
) => Promise<{ description: string; prepare(product: Product): Prepared }>;

const own = (name: "wasm" | "webgpu"): Start => async (stack, threads) => {
  const { backend } = await chooseBackend({
    backend: name,
    purpose: "train",
    threads: name === "wasm" ? threads : undefined,
  });
  stack.use(backend);
  return {
    description: backend.description,
    prepare({ m, n, k, a: left, b: right }) {
      const [a, b, out] = [[m, k], [k, n], [m, n]].map((shape) => backend.tensor(shape));
      backend.write(a, left);
      backend.write(b, right);
      const program = backend.record((ops) => ops.matmul({ out, a, b }));
      const run = (): Promise<void> => {
        backend.run(program);
        return backend.finish();
      };
      return { run, read: () => backend.read(out) };
    },
  };
};

const jax: Start = async (stack) => {
  const { jit, numpy: np } = await import("npm:@jax-js/jax@0.1.25");
  const { float32, startJax } = await import("./peers/jax_gpt.ts");
  await startJax("wasm");
  const product = jit(np.matmul);
  stack.defer(() => product.dispose());
  return {
    description: "jax-js, wasm, jit",
    prepare({ m, n, k, a: left, b: right }) {
      const [a, b] = [float32(left, [m, k]), float32(right, [k, n])];
      const multiply = () => product(a.ref, b.ref);
      stack.defer(() => [a, b].forEach((array) => array.dispose()));
      const run = async (): Promise<void> => {
        const out = multiply();
        await out.blockUntilReady();
        out.dispose();
      };
      return { run, read: async () => await multiply().data() as Float32Array };
    },
  };
};

const tfjs: Start = async (stack) => {
  const tf = await import("../../src/tfjs/tf.ts");
  const { getThreadsCount } = await import("npm:@tensorflow/tfjs-backend-wasm@4.22.0");
  tf.enableProdMode(); // or its cpu backend advises to install another package
  const activate = async (): Promise<void> => {
    if (!await tf.setBackend("wasm")) throw new Error("tfjs cannot start its wasm backend");
  };
  await activate();
  return {
    description: `XNNPACK, ${getThreadsCount()} thread(s)`,
    prepare({ m, n, k, a: left, b: right }) {
      const a = tf.tensor2d(left, [m, k]), b = tf.tensor2d(right, [k, n]);
      stack.defer(() => tf.dispose([a, b]));
      const run = async (): Promise<void> => {
        await activate();
        tf.matMul(a, b).dispose(); // computed at once
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

/** All contenders. */
export const MULTIPLIERS: Record<string, Start> = {
  "wasm": own("wasm"),
  "webgpu": own("webgpu"),
  "jax-js wasm": jax,
  "tfjs wasm": tfjs,
};

/** Options of {@linkcode benchMatmul}. */
export interface MatmulBenchOptions {
  /** The model whose products are timed. */
  config: ModelConfig;
  /** Rows of the products, B · T. */
  rows: number;
  /** Contenders by name, see {@linkcode MULTIPLIERS}. */
  contenders: string[];
  /** Timed runs of each product. */
  rounds: number;
  /** Threads of wasm; all cores if absent. */
  threads?: number;
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
      const { description, prepare } = await MULTIPLIERS[contender](stack, options.threads);
      const warning = software && contender === "webgpu" ? "; SOFTWARE ADAPTER" : "";
      for (const [i, product] of products.entries()) {
        const { n, k } = product, { run, read } = prepare(product);
        await run();
        check(product, await read());
        const input = `${m} × ${k} · ${k} × ${n}`;
        const result: Result = { ...base, input, note: `${description}${warning}` };
        results.push(result);
        timed[i].push({ result, runner: { work: 2 * m * n * k / 1e9, run } });
      }
    } catch (error) {
      results.push({ ...base, input: "", note: `not run: ${reason(error)}` });
    }
  }
  for (const list of timed) {
    const rates = await alternate(list.map(({ runner }) => runner), options.rounds);
    list.forEach(({ result }, i) => result.value = rates[i]);
  }
  return results;
}
