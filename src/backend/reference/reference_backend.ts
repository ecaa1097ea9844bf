/**
 * The reference backend: plain loops on plain arrays, sums in float64. It is the oracle of every
 * op test and meant to be read; it is far too slow to train anything.
 *
 * @module
 */

import type { Backend, DType, Ops, Program, Tensor } from "../backend.ts";
import { halves, hasFloat16 } from "../../float16.ts";
import { checked, checkRead, checkShape, checkView, checkWrite, sizeOf } from "../checked.ts";
import { ReferenceOps } from "./ops.ts";

/**
 * Storage of f32 tensors, or of f16 ones, which rounds what it is given. Float64Array in the place of
 * Float32Array makes finite differences sharp enough to judge gradients.
 */
export type FloatArray =
  | Float32Array<ArrayBuffer>
  | Float64Array<ArrayBuffer>
  | Float16Array<ArrayBuffer>;

/** A tensor of the reference backend: its elements are simply there. */
export interface ReferenceTensor extends Tensor {
  /** The elements. */
  readonly data: FloatArray | Uint32Array<ArrayBuffer>;
}

interface ReferenceProgram extends Program {
  readonly steps: (() => void)[];
}

/** Runs the operations as plain TypeScript loops. */
export class ReferenceBackend implements Backend {
  readonly name = "reference";
  readonly description: string;
  readonly hasF16 = hasFloat16;
  readonly #Float: typeof Float32Array | typeof Float64Array;

  /** @param options `storage` "f64" keeps tensors in double precision, for finite differences. */
  constructor(options: { storage?: "f32" | "f64" } = {}) {
    this.#Float = options.storage === "f64" ? Float64Array : Float32Array;
    this.description = `plain TypeScript loops, ${options.storage ?? "f32"} storage, one thread`;
  }

  tensor(shape: readonly number[], dtype: DType = "f32"): ReferenceTensor {
    const size = sizeOf(checkShape(shape));
    return { dtype, shape, size, data: new (this.#arrayOf(dtype))(size) };
  }

  view(tensor: Tensor, offset: number, shape: readonly number[]): ReferenceTensor {
    checkView(tensor, offset, shape);
    const size = sizeOf(shape);
    const { data } = tensor as ReferenceTensor;
    return { dtype: tensor.dtype, shape, size, data: data.subarray(offset, offset + size) };
  }

  free(_tensor: Tensor): void {
    // The garbage collector takes the array when the last reference goes.
  }

  write(tensor: Tensor, data: Float32Array | Uint32Array, offset = 0): void {
    checkWrite(tensor, data, offset);
    (tensor as ReferenceTensor).data.set(data, offset);
  }

  read(tensor: Tensor): Promise<Float32Array<ArrayBuffer>> {
    checkRead(tensor);
    return Promise.resolve(Float32Array.from((tensor as ReferenceTensor).data));
  }

  record(build: (ops: Ops) => void): Program {
    const steps: (() => void)[] = [];
    build(checked(new ReferenceOps(steps)));
    return { length: steps.length, steps } as ReferenceProgram;
  }

  run(...programs: Program[]): void {
    for (const program of programs) {
      for (const step of (program as ReferenceProgram).steps) step();
    }
  }

  finish(): Promise<void> {
    return Promise.resolve();
  }

  [Symbol.dispose](): void {}

  #arrayOf(dtype: DType) {
    if (dtype === "u32") return Uint32Array;
    if (dtype === "f32") return this.#Float;
    if (this.hasF16) return halves();
    throw new TypeError(
      "This runtime has no f16 arrays: use f32, or a newer one, such as Node 24.",
    );
  }
}
