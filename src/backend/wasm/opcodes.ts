/**
 * Numbers of the operations in a recorded program. Read by TypeScript, which records them, and
 * by AssemblyScript, which runs them.
 *
 * A command is a list of 32-bit words: the opcode, the number of words in the whole command, then
 * the arguments in the order that the recorder writes and the kernel reads.
 *
 * @module
 */

/** Opcodes. */
export enum Opcode {
  fill = 0,
  embeddingForward = 1,
  embeddingBackward = 2,
  layernormForward = 3,
  layernormBackward = 4,
  matmul = 5,
  biasBackward = 6,
  attentionForward = 7,
  attentionBackward = 8,
  crossEntropy = 9,
  dropout = 10,
  add = 11,
  sum = 12,
  gradientNorm = 13,
  adamw = 14,
  attentionCached = 15,
  embeddingForwardInt8 = 16,
  matmulInt8 = 17,
  topLogits = 18,
  attentionCachedInt8 = 19,
  drawTokens = 20,
}

/** Bits of the flags of a matrix product. */
export enum MatmulFlag {
  transposeA = 1,
  transposeB = 2,
  accumulate = 4,
}

/** Bits of the flags of a product with a matrix of int8. */
export enum Int8Flag {
  gelu = 1,
}

/** Bytes of scratch that every thread has to itself. */
export const THREAD_SCRATCH = 1 << 20;

/**
 * Byte addresses of the words that the threads share. Those that several threads write stand on
 * cache lines of their own.
 */
export enum Control {
  /** Raised by one for every program that is to run. */
  generation = 64,
  /** Address of the program. */
  program = 68,
  /** Address behind the program. */
  programEnd = 72,
  /** Not zero: workers leave. */
  stop = 76,
  /** Address of the threads' own scratch, `THREAD_SCRATCH` bytes each. */
  threadScratch = 80,
  /** Address of the scratch that an operation shares among the threads. */
  sharedScratch = 84,
  /** Number of workers asleep until the next program. */
  sleepers = 128,
  /** Number of threads that have come to the barrier. */
  arrived = 192,
  /** Raised by one when all threads have come to the barrier. */
  phase = 256,
  /** Number of threads asleep at the barrier. */
  waiters = 320,
  /** The next task of the operation that runs. */
  task = 384,
}

/** First byte that the allocator may use. */
export const HEAP_START = 1024;
