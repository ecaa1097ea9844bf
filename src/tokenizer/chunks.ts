/**
 * Counts distinct byte strings: what training needs of a corpus.
 *
 * @module
 */

const GROW = 2;

/** Distinct chunks in order of first appearance, each with the sum of its weights. */
export class ChunkCounts {
  /** Number of distinct chunks. */
  size = 0;
  /** All chunks, one after another. */
  bytes = new Uint8Array(1 << 16);
  /** Chunk `i` is `bytes[starts[i], starts[i + 1])`. */
  starts = new Uint32Array(1 << 12);
  /** Weight of each chunk. */
  weights = new Float64Array(1 << 12);
  #hashes = new Uint32Array(1 << 12);
  /** Open addressing: chunk number + 1, or 0. */
  #slots = new Uint32Array(1 << 13);

  /** Adds `weight` to the chunk `source[start, end)`. */
  add(source: Uint8Array, start: number, end: number, weight: number): void {
    let hash = 0x811c9dc5;
    for (let i = start; i < end; i++) hash = Math.imul(hash ^ source[i], 0x01000193);
    hash = (hash ^ hash >>> 15) >>> 0;
    const mask = this.#slots.length - 1;
    let slot = hash & mask;
    for (let chunk; (chunk = this.#slots[slot]) !== 0; slot = (slot + 1) & mask) {
      if (this.#hashes[chunk - 1] === hash && this.#equals(chunk - 1, source, start, end)) {
        this.weights[chunk - 1] += weight;
        return;
      }
    }
    this.#slots[slot] = this.#append(hash, source, start, end, weight);
    if (2 * this.size > mask) this.#rehash();
  }

  #equals(chunk: number, source: Uint8Array, start: number, end: number): boolean {
    const { bytes } = this;
    const at = this.starts[chunk];
    if (this.starts[chunk + 1] - at !== end - start) return false;
    for (let i = start; i < end; i++) if (bytes[at + i - start] !== source[i]) return false;
    return true;
  }

  /** Returns the number of chunks after it: the new chunk's number + 1. */
  #append(hash: number, source: Uint8Array, start: number, end: number, weight: number): number {
    const at = this.starts[this.size];
    const used = at + end - start;
    if (used > this.bytes.length) {
      const wider = new Uint8Array(Math.max(used, GROW * this.bytes.length));
      wider.set(this.bytes);
      this.bytes = wider;
    }
    if (this.size + 2 > this.starts.length) {
      const widen = <A extends Uint32Array | Float64Array>(old: A, wider: A): A => {
        wider.set(old);
        return wider;
      };
      const room = GROW * this.starts.length;
      this.starts = widen(this.starts, new Uint32Array(room));
      this.weights = widen(this.weights, new Float64Array(room));
      this.#hashes = widen(this.#hashes, new Uint32Array(room));
    }
    for (let i = start; i < end; i++) this.bytes[at + i - start] = source[i];
    this.weights[this.size] = weight;
    this.#hashes[this.size] = hash;
    this.starts[++this.size] = used;
    return this.size;
  }

  #rehash(): void {
    const slots = this.#slots = new Uint32Array(GROW * this.#slots.length);
    const mask = slots.length - 1;
    for (let chunk = 0; chunk < this.size; chunk++) {
      let slot = this.#hashes[chunk] & mask;
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = chunk + 1;
    }
  }
}
