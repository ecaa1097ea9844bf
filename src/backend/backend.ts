/**
 * The interface every backend implements: preallocated tensors, about twenty operations on them,
 * and programs, which are lists of operations recorded once and replayed at every step.
 *
 * What changes from one run to the next (tokens, learning rate, positions, seeds) lives in tensors
 * that the host writes before the run, so a recorded program never has to be built again.
 *
 * Shape letters are those of docs/GLOSSARY.md: `B` sequences of `T` tokens, `N = B·T` rows, `C`
 * channels, `NH` heads of size `HS = C/NH`, `V` vocabulary, `L` longest context, `S` cache slots.
 *
 * @module
 */

/** The backends that implement this interface. */
export type BackendName = "reference" | "wasm" | "webgpu";

/**
 * Element types of tensors. Some ops take f16 for large tensors, where the text says so; they compute
 * in f32 and round what they store, to the nearest and to even in the middle where a GPU does so.
 */
export type DType = Precision | "u32";

/** Element types of numbers. */
export type Precision = "f32" | "f16";

/** Bytes of an element. */
export const BYTES: Readonly<Record<DType, number>> = { f32: 4, u32: 4, f16: 2 };

/** Elements between legal view offsets: those of 256 bytes, WebGPU's binding alignment. */
export function viewAlignment(dtype: DType): number {
  return 256 / BYTES[dtype];
}

/** Position of a row that takes no part in cached attention (padding of a prefill chunk). */
export const INACTIVE = 0xffffffff;

/** Target of a row that takes no part in the loss. */
export const IGNORED = 0xffffffff;

/** A dense row-major array that belongs to one backend. */
export interface Tensor {
  /** Element type. */
  readonly dtype: DType;
  /** Lengths of the axes, outermost first. */
  readonly shape: readonly number[];
  /** Number of elements, the product of `shape`. */
  readonly size: number;
}

/** A recorded list of operations, replayed by {@linkcode Backend.run}. */
export interface Program {
  /** Number of operations recorded. */
  readonly length: number;
}

/**
 * Arguments of {@linkcode Ops.matmul}. `out`, `a`, `b`, `geluInto` and `geluFrom` may be f16, each
 * for itself.
 */
export interface MatmulArgs {
  /** Result (m, n). */
  out: Tensor;
  /** Left factor (m, k), or (k, m) with `transposeA`. */
  a: Tensor;
  /** Right factor (k, n), or (n, k) with `transposeB`. */
  b: Tensor;
  /** Read `a` as its transpose. */
  transposeA?: boolean;
  /** Read `b` as its transpose. */
  transposeB?: boolean;
  /** Row vector (n) added to every row of the product. */
  bias?: Tensor;
  /** (m, n), receives product + bias; then `out` = gelu(product + bias). */
  geluInto?: Tensor;
  /** (m, n), the pre-activation saved by `geluInto`; `out` = product ⊙ gelu′(geluFrom). */
  geluFrom?: Tensor;
  /** (m, n) added last; may be `out` itself only if `accumulate` is meant, so use that instead. */
  residual?: Tensor;
  /** Add to what `out` holds instead of replacing it. Excludes the epilogues above. */
  accumulate?: boolean;
  /**
   * Rows m by which it is decided how k is cut; those of `out` if absent. Products planned for the same
   * number of rows give a row the same bits, however many rows there are beside it.
   */
  plannedRows?: number;
}

/**
 * A matrix (n, k) of 8-bit numbers with a scale for each row: element (j, l) is scales[j] · q. Kernels
 * read it in the order in which it lies: rows in blocks of {@linkcode INT8_BLOCK}, a block in quads of
 * columns, so that word (j / 16, l / 4, j % 16) of `packed` holds columns l to l + 3 of row j, lowest
 * byte first. Rows that fill up the last block are zero. k is a multiple of 4.
 */
export interface Int8Matrix {
  /** u32 (⌈n / 16⌉, k / 4, 16): four numbers from −127 to 127 in a word. */
  readonly packed: Tensor;
  /** (n). */
  readonly scales: Tensor;
  /** (n) the sum of each row, scales[j] · Σ q: what a constant added to the other factor adds. */
  readonly sums: Tensor;
}

/** Rows of a block of an {@linkcode Int8Matrix}. */
export const INT8_BLOCK = 16;

/**
 * Keys and values of S slots of L positions in 8 bits, L a multiple of {@linkcode INT8_BLOCK}. In what
 * order the numbers lie is each backend's own affair: only {@linkcode Ops.attentionCachedInt8} reads
 * and writes them.
 */
export interface Int8Cache {
  /** u32 (S, NH, L, HS / 4): four numbers from −127 to 127 in a word. */
  readonly keys: Tensor;
  /** The same for the values. */
  readonly values: Tensor;
  /** (S, NH, 3, L): each key's scale, the sum of its numbers times its scale, each value's scale. */
  readonly factors: Tensor;
}

/** Arguments of {@linkcode Ops.matmulInt8}. */
export interface MatmulInt8Args {
  /** Result (m, n). */
  out: Tensor;
  /** Left factor (m, k). */
  a: Tensor;
  /** Right factor (n, k), read as its transpose. */
  b: Int8Matrix;
  /** Row vector (n) added to every row of the product. */
  bias?: Tensor;
  /** Apply GELU after the bias. */
  gelu?: boolean;
  /** (m, n) added last. */
  residual?: Tensor;
}

/**
 * The operations. Each call records one; nothing is computed until the program runs.
 *
 * Gradients of parameters (`dweight`, `dbias`, `dwte`, `dwpe`) are always added to what is there,
 * so that micro-batches accumulate; zero them with `fill` at the start of a step. Gradients of
 * activations replace what is there unless the text says "added".
 */
export interface Ops {
  /** x = value, every element. */
  fill(args: { x: Tensor; value: number }): void;

  /** out = x, of the same size; either may be f16. */
  cast(args: { out: Tensor; x: Tensor }): void;

  /**
   * out (N, C) = wte[tokens] + wpe[positions]. `tokens` and `positions` are u32 (N); a position of
   * {@linkcode INACTIVE} counts as 0, so that padding stays finite. `wte` may be f16.
   */
  embeddingForward(
    args: { out: Tensor; tokens: Tensor; positions: Tensor; wte: Tensor; wpe: Tensor },
  ): void;

  /** dwte[tokens] and dwpe[positions] receive the rows of dout (N, C), added. */
  embeddingBackward(
    args: { dwte: Tensor; dwpe: Tensor; dout: Tensor; tokens: Tensor; positions: Tensor },
  ): void;

  /**
   * out (N, C) = (x − mean) · rstd · weight + bias, each row apart, epsilon 1e-5 inside the root
   * (Ba et al. 2016). `mean` and `rstd` (N) are kept for the backward pass. `out` may be f16.
   */
  layernormForward(
    args: { out: Tensor; mean: Tensor; rstd: Tensor; x: Tensor; weight: Tensor; bias: Tensor },
  ): void;

  /**
   * dx (N, C) is added, so it carries the residual gradient on; dweight and dbias (C) are added.
   * `dout` may be f16.
   */
  layernormBackward(args: {
    dx: Tensor;
    dweight: Tensor;
    dbias: Tensor;
    dout: Tensor;
    x: Tensor;
    weight: Tensor;
    mean: Tensor;
    rstd: Tensor;
  }): void;

  /** Matrix product with an optional epilogue; see {@linkcode MatmulArgs}. GELU is the tanh form. */
  matmul(args: MatmulArgs): void;

  /** dbias (C) += sums of the columns of dout (N, C), which may be f16. */
  biasBackward(args: { dbias: Tensor; dout: Tensor }): void;

  /**
   * Causal attention without a T×T matrix (Dao et al. 2022). `qkv` (N, 3C) holds query, key and
   * value side by side, each as NH heads of HS; `out` is (N, C); `lse` (N, NH) receives the
   * logarithm of each row's sum of exponentials. The scale is 1/√HS. Row t of a sequence sees rows
   * t − positions[t] … t, so that packed documents, whose positions start at 0, stay apart. `out`
   * and `qkv` may be f16, both or none.
   */
  attentionForward(
    args: { out: Tensor; lse: Tensor; qkv: Tensor; positions: Tensor; B: number; NH: number },
  ): void;

  /**
   * dqkv (N, 3C) from dout (N, C), with `out` and `lse` of the forward pass. All but `lse` may be f16,
   * all of them or none.
   */
  attentionBackward(args: {
    dqkv: Tensor;
    dout: Tensor;
    out: Tensor;
    lse: Tensor;
    qkv: Tensor;
    positions: Tensor;
    B: number;
    NH: number;
  }): void;

  /**
   * Softmax cross-entropy, forward and backward in one: losses (R) = −log softmax(logits)[target]
   * in nats; then logits (R, V), which may be f16, are replaced by their gradient,
   * (softmax − onehot) · scale[0], times the loss scale if there is a `scaling` (4).
   * A row whose target is {@linkcode IGNORED} has loss 0 and gradient 0.
   */
  crossEntropy(args: {
    losses: Tensor;
    logits: Tensor;
    targets: Tensor;
    scale: Tensor;
    scaling?: Tensor;
  }): void;

  /**
   * Inverted dropout in place: x[i] becomes 0 with probability `rate`, else x[i] / (1 − rate).
   * The mask is a function of (seed[0], site, i) alone, {@linkcode dropoutKeeps}, so the backward
   * pass calls it again with the gradient, and every backend drops the same elements. `x` may be
   * f16.
   */
  dropout(args: { x: Tensor; rate: number; seed: Tensor; site: number }): void;

  /** out = a + b, element by element; `out` may be `a` or `b`. */
  add(args: { out: Tensor; a: Tensor; b: Tensor }): void;

  /** out[0] += Σ x. */
  sum(args: { out: Tensor; x: Tensor }): void;

  /** norm[0] = √Σ grads², divided by the loss scale if there is a `scaling` (4). */
  gradientNorm(args: { norm: Tensor; grads: Tensor; scaling?: Tensor }): void;

  /**
   * AdamW (Loshchilov & Hutter 2019) over a whole pool: gradients are first scaled by
   * min(1, clip / norm[0]) (clip 0: never), then m and v are updated, then the parameters.
   * Only the first `decay` elements are decayed. `hyper` is f32 (8), see {@linkcode HYPER}.
   * With a `scaling` (4) gradients are first divided by the loss scale, and nothing changes if norm[0],
   * that of the divided ones, is not finite.
   */
  adamw(args: {
    params: Tensor;
    grads: Tensor;
    m: Tensor;
    v: Tensor;
    norm: Tensor;
    hyper: Tensor;
    decay: number;
    scaling?: Tensor;
  }): void;

  /**
   * Chooses the loss scale of the next step, see src/backend/loss_scaling.ts. norm[0] is this step's.
   * If it is not finite, f16 gradients have overflowed: the scale is halved, and the step counts as
   * skipped. After `interval` steps in a row that were finite it is doubled.
   */
  adjustLossScale(args: { scaling: Tensor; norm: Tensor; interval: number }): void;

  /**
   * Attention over a key/value cache. Row n of `qkv` (N, 3C) belongs to cache slot slots[n] and
   * stands at positions[n]: first every active row's key and value are stored in `keys` and
   * `values` (S, NH, L, HS), then its query attends to positions 0 … positions[n] of its slot.
   * Rows at {@linkcode INACTIVE} store nothing and get zeros. Prefill is N rows of one slot at
   * rising positions, decoding is one row for each of N slots.
   */
  attentionCached(args: {
    out: Tensor;
    qkv: Tensor;
    keys: Tensor;
    values: Tensor;
    positions: Tensor;
    slots: Tensor;
    NH: number;
  }): void;

  /**
   * {@linkcode Ops.attentionCached} with a cache of 8-bit numbers. The key and the value of a row are
   * rounded head by head, x ≈ q · scale with scale = max |x| / 127. A backend may round the query and
   * the weights that softmax gives to 14 bits of their range, which changes a result by less than the
   * cache's rounding does.
   */
  attentionCachedInt8(args: {
    out: Tensor;
    qkv: Tensor;
    cache: Int8Cache;
    positions: Tensor;
    slots: Tensor;
    NH: number;
  }): void;

  /** {@linkcode Ops.embeddingForward} with a token table of 8-bit numbers. */
  embeddingForwardInt8(
    args: { out: Tensor; tokens: Tensor; positions: Tensor; wte: Int8Matrix; wpe: Tensor },
  ): void;

  /**
   * out = a · transpose of b, with an optional epilogue; see {@linkcode MatmulInt8Args}. Each row of
   * `a` is first rounded to 7 bits, x ≈ low + q · (high − low) / 127 with q from 0 to 127, where low
   * and high are its least and greatest element; products and their sums are then whole numbers, the
   * same on every backend.
   */
  matmulInt8(args: MatmulInt8Args): void;

  /**
   * What sampling needs of logits (R, V): row r of `out` (R, 1 + 2K) is log Σ e^logit, the K largest
   * logits from the largest down, and their K indices, as f32. Of equal logits the one with the lower
   * index comes first.
   */
  topLogits(args: { out: Tensor; logits: Tensor }): void;

  /**
   * Draws the next token of each row from its largest logits, and makes the row ready for the pass
   * that reads it: `tokens` u32 (N) and `drawn` (N), as f32, receive the token, `positions` u32 (N)
   * the next position, or {@linkcode INACTIVE} if that is `ends` u32 (N). Rows at INACTIVE stay as
   * they are, and what `drawn` says of them means nothing.
   *
   * `top` (N, 1 + 2K) is what {@linkcode Ops.topLogits} gives, `rules` (N, 4) holds each row's
   * temperature, top-k from 0 to K (0: all K), top-p and min-p; they act as the generator's sampler
   * says, and temperature 0 takes the likeliest token. `chances` (N), in [0, 1), decide the draws; one
   * below 0 stands for the token −1 − chance, which is taken whatever the logits.
   */
  drawTokens(args: {
    drawn: Tensor;
    tokens: Tensor;
    positions: Tensor;
    ends: Tensor;
    top: Tensor;
    rules: Tensor;
    chances: Tensor;
  }): void;
}

/** Places of AdamW's numbers in its `hyper` tensor. */
export const HYPER = {
  /** Learning rate. */
  lr: 0,
  /** Decay of the first moment. */
  beta1: 1,
  /** Decay of the second moment. */
  beta2: 2,
  /** Added to the root of the second moment. */
  eps: 3,
  /** Decoupled weight decay. */
  weightDecay: 4,
  /** Largest gradient norm; 0 for no clipping. */
  clip: 5,
  /** 1 / (1 − beta1^t). */
  correction1: 6,
  /** 1 / (1 − beta2^t). */
  correction2: 7,
} as const;

/** Where tensors live and programs run. */
export interface Backend extends Disposable {
  /** Which backend this is. */
  readonly name: BackendName;
  /** The hardware in words: the adapter, or the number of threads and what they use. */
  readonly description: string;
  /** Whether it has f16 tensors and loss scaling. */
  readonly hasF16: boolean;

  /**
   * Allocates a tensor of zeros.
   * @throws {RangeError} if the backend cannot hold it.
   * @throws {TypeError} if it is to be f16 and the backend has none.
   */
  tensor(shape: readonly number[], dtype?: DType): Tensor;

  /**
   * A part of a tensor that shares its storage.
   * @param offset First element; a multiple of {@linkcode viewAlignment}.
   * @throws {RangeError} if the part does not fit or the offset is not aligned.
   */
  view(tensor: Tensor, offset: number, shape: readonly number[]): Tensor;

  /** Gives back the storage of a tensor made by `tensor` (not of a view). */
  free(tensor: Tensor): void;

  /**
   * Copies numbers in, starting at element `offset` (0 by default), before any later run. What goes
   * into an f16 tensor is rounded, and is an even number of elements from an even place on, unless it
   * ends where the storage ends.
   */
  write(tensor: Tensor, data: Float32Array | Uint32Array, offset?: number): void;

  /** Copies all elements of an f32 or f16 tensor out, after every run so far. */
  read(tensor: Tensor): Promise<Float32Array<ArrayBuffer>>;

  /** Records a program: calls `build` once with the operations, which are checked and kept. */
  record(build: (ops: Ops) => void): Program;

  /**
   * Lets a backend that has several ways to compute an op measure which is the fastest, for programs
   * recorded later. Absent where there is nothing to choose.
   * @param build Records the program, on whose tensors it measures: what they hold may be lost.
   */
  tune?(build: (ops: Ops) => void): Promise<void>;

  /**
   * Runs programs one after another, after those before them. They may still be running when this
   * returns.
   */
  run(...programs: Program[]): void;

  /**
   * Waits until everything submitted has been computed.
   * @throws {DeviceLostError} if the device was lost.
   */
  finish(): Promise<void>;
}

/**
 * Whether dropout keeps element `index`: the hash of (seed, site, index) is below `keep`, the
 * probability of keeping times 2^32. The hash is two rounds of the PCG output permutation (Jarzynski & Olano
 * 2020, "Hash Functions for GPU Rendering"), in 32-bit arithmetic that every backend has.
 */
export function dropoutKeeps(seed: number, site: number, index: number, keep: number): boolean {
  return dropoutHash((dropoutHash((seed ^ Math.imul(site, 0x9e3779b9)) >>> 0) + index) >>> 0) <
    keep;
}

function dropoutHash(value: number): number {
  const state = (Math.imul(value, 747796405) + 2891336453) >>> 0;
  const word = Math.imul(((state >>> ((state >>> 28) + 4)) ^ state) >>> 0, 277803737) >>> 0;
  return ((word >>> 22) ^ word) >>> 0;
}

/** `keep` of {@linkcode dropoutKeeps} for a dropout rate in [0, 1). */
export function dropoutThreshold(rate: number): number {
  return Math.min(0xffffffff, Math.round((1 - rate) * 4294967296)) >>> 0;
}
