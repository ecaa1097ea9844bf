/**
 * Storage inside one WebAssembly memory: first fit over a sorted list of gaps.
 *
 * @module
 */

/** Bytes of a WebAssembly page. */
const PAGE = 65536;
/** Every block starts at a multiple of this, which keeps tensors on cache lines of their own. */
const ALIGNMENT = 256;

interface Gap {
  start: number;
  end: number;
}

/** Hands out blocks of a memory, which it grows as needed. */
export class Allocator {
  readonly #memory: WebAssembly.Memory;
  readonly #limit: number;
  readonly #blocks: Map<number, number> = new Map(); // start to size
  readonly #gaps: Gap[] = []; // below #top, in order, never touching
  #top: number;

  /**
   * @param memory The memory.
   * @param start First byte that may be used.
   * @param limit Number of bytes that the memory may grow to.
   */
  constructor(memory: WebAssembly.Memory, start: number, limit: number) {
    this.#memory = memory;
    this.#top = Math.ceil(start / ALIGNMENT) * ALIGNMENT;
    this.#limit = limit;
  }

  /** Bytes handed out. */
  get used(): number {
    return [...this.#blocks.values()].reduce((sum, size) => sum + size, 0);
  }

  /**
   * Returns the address of `bytes` zero bytes.
   * @throws {RangeError} if the memory cannot grow so far.
   */
  allocate(bytes: number): number {
    const size = Math.max(1, Math.ceil(bytes / ALIGNMENT)) * ALIGNMENT;
    const index = this.#gaps.findIndex((gap) => gap.end - gap.start >= size);
    let start = this.#top;
    if (index >= 0) {
      const gap = this.#gaps[index];
      start = gap.start;
      gap.start += size;
      if (gap.start === gap.end) this.#gaps.splice(index, 1);
      new Uint8Array(this.#memory.buffer, start, size).fill(0);
    } else {
      this.#grow(start + size, size);
      this.#top = start + size; // memory above has never been used, so it is zero
    }
    this.#blocks.set(start, size);
    return start;
  }

  #grow(end: number, size: number): void {
    const pages = Math.ceil((end - this.#memory.buffer.byteLength) / PAGE);
    if (pages <= 0) return;
    try {
      if (end > this.#limit) throw new RangeError("beyond the limit");
      this.#memory.grow(pages);
    } catch (cause) {
      const mib = (bytes: number) => Math.ceil(bytes / 2 ** 20);
      throw new RangeError(
        `Cannot allocate ${mib(size)} MiB: the wasm backend holds ${mib(this.used)} of at most ` +
          `${mib(this.#limit)} MiB. Choose a smaller batch, context or model.`,
        { cause },
      );
    }
  }

  /**
   * Takes back the block at `start`.
   * @throws {RangeError} if there is none.
   */
  free(start: number): void {
    const size = this.#blocks.get(start);
    if (size === undefined) {
      throw new RangeError(
        "Cannot free this tensor: it is a view, or has been freed already. Free the tensor that " +
          "`tensor` returned, once.",
      );
    }
    this.#blocks.delete(start);
    let index = this.#gaps.findIndex((gap) => gap.start > start);
    if (index < 0) index = this.#gaps.length;
    this.#gaps.splice(index, 0, { start, end: start + size });
    for (const left of [index, index - 1]) {
      const [gap, next] = [this.#gaps[left], this.#gaps[left + 1]];
      if (gap && next && gap.end === next.start) {
        gap.end = next.end;
        this.#gaps.splice(left + 1, 1);
      }
    }
  }
}
