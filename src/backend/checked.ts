/**
 * Argument checks shared by all backends, so that each op's contract is enforced in one place.
 *
 * @module
 */

import {
  type DType,
  INT8_BLOCK,
  type Int8Matrix,
  type MatmulArgs,
  type Ops,
  type Tensor,
  viewAlignment,
} from "./backend.ts";

/** Number of elements of a shape. */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, length) => product * length, 1);
}

/**
 * Returns `shape` if a tensor can have it.
 * @throws {RangeError} if a length is not a whole number above zero.
 */
export function checkShape(shape: readonly number[]): readonly number[] {
  if (shape.length === 0 || !shape.every((n) => Number.isSafeInteger(n) && n > 0)) {
    throw new RangeError(`Tensor shape is (${shape}), expected whole numbers above zero.`);
  }
  return shape;
}

/**
 * Checks that a view of `shape` at `offset` lies inside `tensor`.
 * @throws {RangeError} if it does not, or if the offset is not aligned.
 */
export function checkView(tensor: Tensor, offset: number, shape: readonly number[]): void {
  checkShape(shape);
  const alignment = viewAlignment(tensor.dtype);
  if (!Number.isSafeInteger(offset) || offset < 0 || offset % alignment !== 0) {
    throw new RangeError(`View offset is ${offset}, expected a multiple of ${alignment} elements.`);
  }
  if (offset + sizeOf(shape) > tensor.size) {
    throw new RangeError(
      `View of (${shape}) at ${offset} ends after the tensor's ${tensor.size} elements.`,
    );
  }
}

/**
 * Checks that `data` can be written into `tensor` at `offset`.
 * @throws {TypeError} if the element types differ.
 * @throws {RangeError} if the data ends after the tensor.
 */
export function checkWrite(
  tensor: Tensor,
  data: Float32Array | Uint32Array,
  offset: number,
): void {
  const type = data instanceof Float32Array ? "f32" : "u32";
  if ((type === "u32") !== (tensor.dtype === "u32")) {
    throw new TypeError(`Cannot write ${type} numbers into a ${tensor.dtype} tensor.`);
  }
  if (!Number.isSafeInteger(offset) || offset < 0 || offset + data.length > tensor.size) {
    throw new RangeError(
      `Cannot write ${data.length} elements at ${offset}: the tensor has ${tensor.size}.`,
    );
  }
}

/**
 * Checks that a tensor can be read.
 * @throws {TypeError} if its elements are no floats.
 */
export function checkRead(tensor: Tensor): void {
  if (tensor.dtype === "u32") {
    throw new TypeError("Cannot read a u32 tensor, only f32 and f16: keep a copy on the host.");
  }
}

/** Lengths (m, n, k) of a matrix product whose arguments have been checked. */
export function matmulSize(args: MatmulArgs): { m: number; n: number; k: number } {
  const [m, n] = args.out.shape;
  return { m, n, k: args.a.shape[args.transposeA ? 0 : 1] };
}

function fail(op: string, name: string, tensor: Tensor, expected: string): never {
  throw new RangeError(
    `${op}: ${name} is ${tensor.dtype} (${tensor.shape}), expected ${expected}.`,
  );
}

/** What an op takes: f32 alone, f32 or f16, u32. */
const F32: readonly DType[] = ["f32"], FLOAT: readonly DType[] = ["f32", "f16"];
const U32: readonly DType[] = ["u32"];

function expectType(op: string, name: string, tensor: Tensor, dtypes = F32): void {
  if (dtypes.includes(tensor.dtype)) return;
  throw new TypeError(
    `${op}: ${name} is ${tensor.dtype}, expected ${dtypes.join(" or ")}: make it so, or cast it.`,
  );
}

function expect(
  op: string,
  tensors: Record<string, Tensor | undefined>,
  shape: readonly number[],
  dtypes = F32,
): void {
  for (const [name, tensor] of Object.entries(tensors)) {
    if (!tensor) continue;
    expectType(op, name, tensor, dtypes);
    const same = tensor.shape.length === shape.length &&
      tensor.shape.every((length, axis) => length === shape[axis]);
    if (!same) fail(op, name, tensor, `(${shape})`);
  }
}

function expectRank(op: string, name: string, tensor: Tensor, rank: number): readonly number[] {
  if (tensor.shape.length !== rank) fail(op, name, tensor, `${rank} axes`);
  return tensor.shape;
}

function expectHeads(op: string, C: number, NH: number): number {
  const HS = C / NH;
  if (!Number.isInteger(HS) || HS % 4 !== 0 || HS > 128) {
    throw new RangeError(
      `${op}: ${C} channels in ${NH} heads, expected heads of a multiple of 4 up to 128.`,
    );
  }
  return HS;
}

function expectInt8(op: string, name: string, matrix: Int8Matrix, k: number): number {
  const [n] = expectRank(op, `${name}.scales`, matrix.scales, 1);
  expect(op, { [`${name}.scales`]: matrix.scales, [`${name}.sums`]: matrix.sums }, [n]);
  if (k % 4 !== 0) throw new RangeError(`${op}: k is ${k}, expected a multiple of 4.`);
  const packed = [Math.ceil(n / INT8_BLOCK), k / 4, INT8_BLOCK];
  expect(op, { [`${name}.packed`]: matrix.packed }, packed, U32);
  return n;
}

/**
 * Wraps a recorder so that every call is checked before it is recorded.
 *
 * All its methods throw {@linkcode RangeError} for a tensor of the wrong shape, and
 * {@linkcode TypeError} for one of the wrong type.
 */
export function checked(ops: Ops): Ops {
  return {
    fill(args) {
      expectType("fill", "x", args.x);
      ops.fill(args);
    },
    cast(args) {
      expectType("cast", "x", args.x, FLOAT);
      expect("cast", { out: args.out }, args.x.shape, FLOAT);
      ops.cast(args);
    },
    embeddingForward(args) {
      const op = "embeddingForward";
      const [N, C] = expectRank(op, "out", args.out, 2);
      expect(op, { tokens: args.tokens, positions: args.positions }, [N], U32);
      expect(op, { out: args.out }, [N, C]);
      expect(op, { wte: args.wte }, [expectRank(op, "wte", args.wte, 2)[0], C], FLOAT);
      expect(op, { wpe: args.wpe }, [expectRank(op, "wpe", args.wpe, 2)[0], C]);
      ops.embeddingForward(args);
    },
    embeddingBackward(args) {
      const op = "embeddingBackward";
      const [N, C] = expectRank(op, "dout", args.dout, 2);
      expect(op, { tokens: args.tokens, positions: args.positions }, [N], U32);
      expect(op, { dout: args.dout }, [N, C]);
      expect(op, { dwte: args.dwte }, [expectRank(op, "dwte", args.dwte, 2)[0], C]);
      expect(op, { dwpe: args.dwpe }, [expectRank(op, "dwpe", args.dwpe, 2)[0], C]);
      ops.embeddingBackward(args);
    },
    layernormForward(args) {
      const op = "layernormForward";
      const [N, C] = expectRank(op, "x", args.x, 2);
      expect(op, { x: args.x }, [N, C]);
      expect(op, { out: args.out }, [N, C], FLOAT);
      expect(op, { mean: args.mean, rstd: args.rstd }, [N]);
      expect(op, { weight: args.weight, bias: args.bias }, [C]);
      ops.layernormForward(args);
    },
    layernormBackward(args) {
      const op = "layernormBackward";
      const [N, C] = expectRank(op, "x", args.x, 2);
      expect(op, { dx: args.dx, x: args.x }, [N, C]);
      expect(op, { dout: args.dout }, [N, C], FLOAT);
      expect(op, { mean: args.mean, rstd: args.rstd }, [N]);
      expect(op, { weight: args.weight, dweight: args.dweight, dbias: args.dbias }, [C]);
      ops.layernormBackward(args);
    },
    matmul(args) {
      const op = "matmul";
      const [m, n] = expectRank(op, "out", args.out, 2);
      const k = expectRank(op, "a", args.a, 2)[args.transposeA ? 0 : 1];
      const { out, geluInto, geluFrom } = args;
      expect(op, { a: args.a }, args.transposeA ? [k, m] : [m, k], FLOAT);
      expect(op, { b: args.b }, args.transposeB ? [n, k] : [k, n], FLOAT);
      expect(op, { out, geluInto, geluFrom }, [m, n], FLOAT);
      expect(op, { residual: args.residual }, [m, n]);
      expect(op, { bias: args.bias }, [n]);
      const epilogues = [args.geluInto, args.geluFrom, args.residual].filter(Boolean).length;
      if (epilogues > 1 || (args.accumulate && (epilogues > 0 || args.bias))) {
        throw new RangeError(
          "matmul: choose one of geluInto, geluFrom, residual, or accumulate alone.",
        );
      }
      if (args.geluFrom && args.bias) {
        throw new RangeError("matmul: geluFrom takes no bias.");
      }
      const { plannedRows = 1 } = args;
      if (!Number.isSafeInteger(plannedRows) || plannedRows < 1) {
        throw new RangeError(
          `matmul: plannedRows is ${plannedRows}, expected a whole number above zero.`,
        );
      }
      ops.matmul(args);
    },
    biasBackward(args) {
      const [, C] = expectRank("biasBackward", "dout", args.dout, 2);
      expectType("biasBackward", "dout", args.dout, FLOAT);
      expect("biasBackward", { dbias: args.dbias }, [C]);
      ops.biasBackward(args);
    },
    attentionForward(args) {
      const op = "attentionForward";
      const [N, C] = expectRank(op, "out", args.out, 2);
      expectHeads(op, C, args.NH);
      if (N % args.B !== 0) fail(op, "out", args.out, `a multiple of B = ${args.B} rows`);
      expectType(op, "out", args.out, FLOAT);
      expect(op, { qkv: args.qkv }, [N, 3 * C], [args.out.dtype]);
      expect(op, { lse: args.lse }, [N, args.NH]);
      expect(op, { positions: args.positions }, [N], U32);
      ops.attentionForward(args);
    },
    attentionBackward(args) {
      const op = "attentionBackward";
      const [N, C] = expectRank(op, "out", args.out, 2);
      expectHeads(op, C, args.NH);
      if (N % args.B !== 0) fail(op, "out", args.out, `a multiple of B = ${args.B} rows`);
      expectType(op, "out", args.out, FLOAT);
      expect(op, { qkv: args.qkv, dqkv: args.dqkv }, [N, 3 * C], [args.out.dtype]);
      expect(op, { dout: args.dout }, [N, C], [args.out.dtype]);
      expect(op, { lse: args.lse }, [N, args.NH]);
      expect(op, { positions: args.positions }, [N], U32);
      ops.attentionBackward(args);
    },
    crossEntropy(args) {
      const op = "crossEntropy";
      const [R] = expectRank(op, "logits", args.logits, 2);
      expectType(op, "logits", args.logits, FLOAT);
      expect(op, { losses: args.losses }, [R]);
      expect(op, { targets: args.targets }, [R], U32);
      expect(op, { scale: args.scale }, [1]);
      expect(op, { scaling: args.scaling }, [4]);
      ops.crossEntropy(args);
    },
    dropout(args) {
      const op = "dropout";
      if (!(args.rate >= 0 && args.rate < 1)) {
        throw new RangeError(`dropout: rate is ${args.rate}, expected a number in [0, 1).`);
      }
      expectType(op, "x", args.x, FLOAT);
      expect(op, { seed: args.seed }, [1], U32);
      ops.dropout(args);
    },
    add(args) {
      expect("add", { a: args.a, b: args.b, out: args.out }, args.out.shape);
      ops.add(args);
    },
    sum(args) {
      expect("sum", { out: args.out }, [1]);
      expectType("sum", "x", args.x);
      ops.sum(args);
    },
    gradientNorm(args) {
      expect("gradientNorm", { norm: args.norm }, [1]);
      expect("gradientNorm", { scaling: args.scaling }, [4]);
      expectType("gradientNorm", "grads", args.grads);
      ops.gradientNorm(args);
    },
    adamw(args) {
      const op = "adamw";
      const { params, grads, m, v } = args;
      expect(op, { params, grads, m, v }, [params.size]);
      expect(op, { norm: args.norm }, [1]);
      expect(op, { hyper: args.hyper }, [8]);
      expect(op, { scaling: args.scaling }, [4]);
      if (!(args.decay >= 0 && args.decay <= params.size)) {
        throw new RangeError(`adamw: decay is ${args.decay}, expected 0 to ${params.size}.`);
      }
      ops.adamw(args);
    },
    adjustLossScale(args) {
      const op = "adjustLossScale", { scaling, norm, interval } = args;
      expect(op, { scaling }, [4]);
      expect(op, { norm }, [1]);
      if (!Number.isInteger(interval) || interval < 1) {
        throw new RangeError(`${op}: interval is ${interval}, expected a whole number above 0.`);
      }
      ops.adjustLossScale(args);
    },
    attentionCached(args) {
      const op = "attentionCached";
      const [N, C] = expectRank(op, "out", args.out, 2);
      const HS = expectHeads(op, C, args.NH);
      const [S, , L] = expectRank(op, "keys", args.keys, 4);
      expect(op, { out: args.out }, [N, C]);
      expect(op, { qkv: args.qkv }, [N, 3 * C]);
      expect(op, { keys: args.keys, values: args.values }, [S, args.NH, L, HS]);
      expect(op, { positions: args.positions, slots: args.slots }, [N], U32);
      ops.attentionCached(args);
    },
    attentionCachedInt8(args) {
      const op = "attentionCachedInt8", { keys, values, factors } = args.cache;
      const [N, C] = expectRank(op, "out", args.out, 2);
      const HS = expectHeads(op, C, args.NH);
      const [S, , L] = expectRank(op, "keys", keys, 4);
      if (L % INT8_BLOCK !== 0) fail(op, "keys", keys, `a multiple of ${INT8_BLOCK} positions`);
      expect(op, { out: args.out }, [N, C]);
      expect(op, { qkv: args.qkv }, [N, 3 * C]);
      expect(op, { keys, values }, [S, args.NH, L, HS / 4], U32);
      expect(op, { factors }, [S, args.NH, 3, L]);
      expect(op, { positions: args.positions, slots: args.slots }, [N], U32);
      ops.attentionCachedInt8(args);
    },
    embeddingForwardInt8(args) {
      const op = "embeddingForwardInt8";
      const [N, C] = expectRank(op, "out", args.out, 2);
      expect(op, { out: args.out }, [N, C]);
      expect(op, { tokens: args.tokens, positions: args.positions }, [N], U32);
      expectInt8(op, "wte", args.wte, C);
      expect(op, { wpe: args.wpe }, [expectRank(op, "wpe", args.wpe, 2)[0], C]);
      ops.embeddingForwardInt8(args);
    },
    matmulInt8(args) {
      const op = "matmulInt8";
      const [m, k] = expectRank(op, "a", args.a, 2);
      const n = expectInt8(op, "b", args.b, k);
      expect(op, { a: args.a }, [m, k]);
      expect(op, { out: args.out, residual: args.residual }, [m, n]);
      expect(op, { bias: args.bias }, [n]);
      ops.matmulInt8(args);
    },
    topLogits(args) {
      const op = "topLogits";
      const [R, V] = expectRank(op, "logits", args.logits, 2);
      const K = (expectRank(op, "out", args.out, 2)[1] - 1) / 2;
      if (!Number.isInteger(K) || K < 1 || K > V) {
        fail(op, "out", args.out, `1 + 2K, K from 1 to V`);
      }
      expect(op, { logits: args.logits }, [R, V]);
      expect(op, { out: args.out }, [R, 1 + 2 * K]);
      ops.topLogits(args);
    },
    drawTokens(args) {
      const op = "drawTokens", { drawn, chances, tokens, positions, ends } = args;
      const [N, width] = expectRank(op, "top", args.top, 2);
      if (width % 2 !== 1 || width < 3) fail(op, "top", args.top, "1 + 2K columns, K from 1 up");
      expect(op, { top: args.top }, [N, width]);
      expect(op, { drawn, chances }, [N]);
      expect(op, { tokens, positions, ends }, [N], ["u32"]);
      expect(op, { rules: args.rules }, [N, 4]);
      ops.drawTokens(args);
    },
  };
}
