/**
 * Matrices in 8 bits: one scale for each row, laid out in the order in which kernels read them.
 *
 * @module
 */

import { type Backend, INT8_BLOCK, type Int8Matrix, type Tensor } from "../backend/backend.ts";
import type { ModelConfig } from "./config.ts";
import type { NamedTensor } from "./safetensors.ts";
import {
  type ModelTensors,
  modelTensors,
  parameterLayout,
  type ParameterSpec,
} from "./parameters.ts";

/** The arrays behind an `Int8Matrix` of the backends, which says how they are laid out. */
export interface Int8Arrays {
  /** (⌈n / 16⌉, k / 4, 16) words of four numbers. */
  packed: Uint32Array<ArrayBuffer>;
  /** (n) largest magnitude of a row, divided by 127. */
  scales: Float32Array<ArrayBuffer>;
  /** (n) scale · Σ q. */
  sums: Float32Array<ArrayBuffer>;
}

/**
 * Rounds a matrix of n rows and k columns to 8 bits.
 *
 * @param element Element (j, l) stands at `values[j · element.row + l · element.column]`, so that a
 * matrix can be read as its transpose.
 * @throws {RangeError} if k is not a multiple of 4.
 */
export function quantizeMatrix(
  values: Float32Array,
  n: number,
  k: number,
  element: { row: number; column: number },
): Int8Arrays {
  if (k % 4 !== 0) throw new RangeError(`Cannot quantize ${k} columns: expected a multiple of 4.`);
  const blocks = Math.ceil(n / INT8_BLOCK);
  const packed = new Uint32Array(blocks * k / 4 * INT8_BLOCK);
  const bytes = new Int8Array(packed.buffer);
  const scales = new Float32Array(n), sums = new Float32Array(n);
  const inverses = new Float64Array(INT8_BLOCK), totals = new Float64Array(INT8_BLOCK);
  const { row, column } = element;
  // Rows of a block are neighbours in memory where a matrix is read as its transpose.
  for (let first = 0; first < n; first += INT8_BLOCK) {
    const rows = Math.min(INT8_BLOCK, n - first), from = first * row, to = first * k;
    inverses.fill(0);
    totals.fill(0);
    for (let l = 0; l < k; l++) {
      for (let r = 0; r < rows; r++) {
        const magnitude = Math.abs(values[from + r * row + l * column]);
        if (magnitude > inverses[r]) inverses[r] = magnitude;
      }
    }
    for (let r = 0; r < rows; r++) {
      const scale = scales[first + r] = inverses[r] / 127;
      inverses[r] = scale > 0 ? 1 / scales[first + r] : 0;
    }
    for (let l = 0; l < k; l++) {
      const at = to + (l >> 2) * 4 * INT8_BLOCK + (l & 3);
      for (let r = 0; r < rows; r++) {
        const q = Math.round(values[from + r * row + l * column] * inverses[r]);
        totals[r] += bytes[at + 4 * r] = q > 127 ? 127 : q < -127 ? -127 : q;
      }
    }
    for (let r = 0; r < rows; r++) sums[first + r] = scales[first + r] * totals[r];
  }
  return { packed, scales, sums };
}

/** Writes the elements back, rounded as they are, by the rule of {@linkcode quantizeMatrix}. */
export function dequantizeMatrix(
  { packed, scales }: Int8Arrays,
  values: Float32Array,
  k: number,
  element: { row: number; column: number },
): void {
  const bytes = new Int8Array(packed.buffer, packed.byteOffset, packed.byteLength);
  scales.forEach((scale, j) => {
    const at = byteOffset(j, k);
    for (let l = 0; l < k; l++) {
      values[j * element.row + l * element.column] = scale *
        bytes[at + (l >> 2) * 4 * INT8_BLOCK + (l & 3)];
    }
  });
}

/** Byte of element (j, 0). */
function byteOffset(j: number, k: number): number {
  return Math.floor(j / INT8_BLOCK) * INT8_BLOCK * k + j % INT8_BLOCK * 4;
}

/** A model whose matrices are in 8 bits, by Hugging Face's names. */
export interface Int8Model {
  /** Linear weights as (out, in), and the token embedding (V, C). */
  matrices: Map<string, Int8Arrays>;
  /** Position embedding (L, C), biases and LayerNorms. */
  vectors: Map<string, Float32Array<ArrayBuffer>>;
}

/** How the matrix called `name` lies in the pool, as rows of outputs. */
function orientation(
  { name, shape }: ParameterSpec,
): { n: number; k: number; element: { row: number; column: number } } | undefined {
  if (shape.length !== 2 || name === "transformer.wpe.weight") return undefined;
  const [from, to] = shape;
  return name === "transformer.wte.weight"
    ? { n: from, k: to, element: { row: to, column: 1 } }
    : { n: to, k: from, element: { row: 1, column: to } };
}

/** Rounds the matrices of a pool of parameters. */
export function quantizeModel(config: ModelConfig, pool: Float32Array): Int8Model {
  const model: Int8Model = { matrices: new Map(), vectors: new Map() };
  for (const spec of parameterLayout(config).specs) {
    const values = pool.subarray(spec.offset, spec.offset + spec.size);
    const matrix = orientation(spec);
    if (!matrix) model.vectors.set(spec.name, Float32Array.from(values));
    else {
      const { n, k, element } = matrix;
      model.matrices.set(spec.name, quantizeMatrix(values, n, k, element));
    }
  }
  return model;
}

/** The pool of parameters that a model in 8 bits stands for. */
export function dequantizeModel(
  config: ModelConfig,
  { matrices, vectors }: Int8Model,
): Float32Array<ArrayBuffer> {
  const { specs, poolSize } = parameterLayout(config);
  const pool = new Float32Array(poolSize);
  for (const spec of specs) {
    const values = pool.subarray(spec.offset, spec.offset + spec.size);
    const matrix = orientation(spec);
    if (matrix) dequantizeMatrix(matrices.get(spec.name)!, values, matrix.k, matrix.element);
    else values.set(vectors.get(spec.name)!);
  }
  return pool;
}

/** Copies a model to a backend. */
export function int8Tensors(
  backend: Backend,
  config: ModelConfig,
  { matrices, vectors }: Int8Model,
): ModelTensors<Int8Matrix> {
  const specs = new Map(parameterLayout(config).specs.map((spec) => [spec.name, spec]));
  const copy = (data: Float32Array | Uint32Array, shape: number[]): Tensor => {
    const tensor = backend.tensor(shape, data instanceof Float32Array ? "f32" : "u32");
    backend.write(tensor, data);
    return tensor;
  };
  const matrix = (name: string): Int8Matrix => {
    const { n, k } = orientation(specs.get(name)!)!;
    const { packed, scales, sums } = matrices.get(name)!;
    return {
      packed: copy(packed, [Math.ceil(n / INT8_BLOCK), k / 4, INT8_BLOCK]),
      scales: copy(scales, [n]),
      sums: copy(sums, [n]),
    };
  };
  return modelTensors(
    config,
    matrix,
    (name) => copy(vectors.get(name)!, specs.get(name)!.shape),
  );
}

/**
 * Gives the memory of a model back at once, once a backend has a copy: the garbage collector would
 * keep it for as long as nothing else needs memory. The arrays are empty after this.
 */
export function releaseModel({ matrices, vectors }: Int8Model): void {
  const arrays = [...matrices.values()].flatMap((matrix) => Object.values(matrix));
  const buffers = new Set([...arrays, ...vectors.values()].map(({ buffer }) => buffer));
  // Node 20 cannot: there the garbage collector has to come.
  for (const buffer of buffers) buffer.transfer?.(0);
}

/** How `packed` lies, as the metadata of a file says it. */
export const INT8_LAYOUT = "blocks of 16 rows, quads of columns: (n / 16, k / 4, 16, 4)";

/** A model in 8 bits as tensors of a file: matrices with `.scales` and `.sums`, then vectors. */
export function tensorsFromInt8(model: Int8Model, config: ModelConfig): NamedTensor[] {
  const tensors: NamedTensor[] = [];
  for (const spec of parameterLayout(config).specs) {
    const { name, shape } = spec, matrix = orientation(spec);
    if (!matrix) tensors.push({ name, shape, data: model.vectors.get(name)! });
    else {
      const { packed, scales, sums } = model.matrices.get(name)!, { n, k } = matrix;
      const data = new Int8Array(packed.buffer);
      tensors.push(
        { name, shape: [Math.ceil(n / INT8_BLOCK), k / 4, INT8_BLOCK, 4], data },
        { name: `${name}.scales`, shape: [n], data: scales },
        { name: `${name}.sums`, shape: [n], data: sums },
      );
    }
  }
  return tensors;
}

/**
 * A model in 8 bits from tensors of a file, as views of its bytes.
 * @throws {RangeError} if names, shapes, types or values are not the model's.
 */
export function int8FromTensors(
  tensors: Map<string, NamedTensor>,
  config: ModelConfig,
): Int8Model {
  const model: Int8Model = { matrices: new Map(), vectors: new Map() };
  let used = 0;
  const find = <A extends NamedTensor["data"]>(
    name: string,
    shape: number[],
    Type: abstract new (...args: never[]) => A,
  ): A => {
    const tensor = tensors.get(name);
    used++;
    if (tensor?.data instanceof Type && tensor.shape.join() === shape.join()) return tensor.data;
    throw new RangeError(
      `Cannot load weights: model.q8.safetensors has no ${name} of shape [${shape}]; export the model again.`,
    );
  };
  const finite = (name: string, values: Float32Array<ArrayBuffer>): Float32Array<ArrayBuffer> => {
    if (values.every(Number.isFinite)) return values;
    throw new RangeError(
      `Cannot load weights: ${name} has values that are not finite; export or train the model again.`,
    );
  };
  const float = (name: string, shape: number[]): Float32Array<ArrayBuffer> =>
    finite(name, find(name, shape, Float32Array<ArrayBuffer>));
  for (const spec of parameterLayout(config).specs) {
    const { name, shape } = spec, matrix = orientation(spec);
    if (!matrix) model.vectors.set(name, float(name, shape));
    else {
      const { n, k } = matrix;
      const data = find(
        name,
        [Math.ceil(n / INT8_BLOCK), k / 4, INT8_BLOCK, 4],
        Int8Array<ArrayBuffer>,
      );
      model.matrices.set(name, {
        packed: words(data),
        scales: float(`${name}.scales`, [n]),
        sums: float(`${name}.sums`, [n]),
      });
    }
  }
  if (used === tensors.size) return model;
  throw new RangeError(
    `Cannot load weights: model.q8.safetensors has ${tensors.size} tensors, expected ${used}; export the model again.`,
  );
}

/** Bytes as words, copied only if they are not aligned. */
function words(data: Int8Array<ArrayBuffer>): Uint32Array<ArrayBuffer> {
  const { buffer, byteOffset, length } = data.byteOffset % 4 === 0 ? data : data.slice();
  return new Uint32Array(buffer, byteOffset, length / 4);
}
