/**
 * The merge loop of byte-pair training: counts of all adjacent pairs, kept exact while the pair with
 * the highest count is merged again and again.
 *
 * Every position of the corpus that has a right neighbour is linked into the list of its pair, so
 * that a merge touches only the places where it happens. Counts of existing pairs can only fall, so
 * the heap of pairs may hold stale counts: they are too high, and are corrected at the top.
 *
 * @module
 */

import { MAX_SYMBOLS } from "./bpe.ts";

const NONE = -1;
const DEAD = 0xffff;

/** A typed array of the same kind and twice the length. */
function doubled<A extends Int32Array | Uint16Array | Float64Array>(old: A): A {
  const wider = new (old.constructor as new (length: number) => A)(2 * old.length);
  wider.set(old);
  return wider;
}

/** All adjacent pairs that ever occurred, numbered by age, with count and list of places. */
class PairTable {
  size = 0;
  left = new Uint16Array(1 << 12);
  right = new Uint16Array(1 << 12);
  count = new Float64Array(1 << 12);
  head = new Int32Array(1 << 12);
  #slots = new Int32Array(1 << 14).fill(NONE);
  #shift = 32 - 14;

  /** The number of the pair, made if new. */
  at(left: number, right: number): number {
    const mask = this.#slots.length - 1;
    let slot = Math.imul(left << 16 | right, 0x9e3779b1) >>> this.#shift;
    for (let pair; (pair = this.#slots[slot]) !== NONE; slot = (slot + 1) & mask) {
      if (this.left[pair] === left && this.right[pair] === right) return pair;
    }
    if (this.size === this.left.length) {
      this.left = doubled(this.left);
      this.right = doubled(this.right);
      this.count = doubled(this.count);
      this.head = doubled(this.head);
    }
    const pair = this.size++;
    this.left[pair] = left;
    this.right[pair] = right;
    this.head[pair] = NONE;
    this.#slots[slot] = pair;
    if (2 * this.size > mask) this.#rehash();
    return pair;
  }

  #rehash(): void {
    const slots = this.#slots = new Int32Array(2 * this.#slots.length).fill(NONE);
    this.#shift--;
    for (let pair = 0; pair < this.size; pair++) {
      let slot = Math.imul(this.left[pair] << 16 | this.right[pair], 0x9e3779b1) >>> this.#shift;
      while (slots[slot] !== NONE) slot = (slot + 1) & (slots.length - 1);
      slots[slot] = pair;
    }
  }
}

/** A corpus of weighted chunks of symbols, and the merges made on it. */
export class MergeLoop {
  #symbols: Uint16Array;
  #weights: Uint32Array;
  #next: Int32Array;
  #prev: Int32Array;
  /** Neighbours in the list of all places of the same pair. */
  #laterPlace: Int32Array;
  #earlierPlace: Int32Array;
  #pairs = new PairTable();
  #heap: Int32Array = new Int32Array(1 << 12);
  #heapSize = 0;
  /** The count under which each pair lies in the heap. */
  #heapCount: Float64Array = new Float64Array(1 << 12);
  /** Length of each symbol in bytes. */
  #length: number[];
  #firstLength: number;
  #maxBytes: number;
  #minCount: number;
  #used = 0;

  /**
   * @param capacity Number of symbols in all chunks together.
   * @param lengths Length in bytes of every symbol so far.
   * @param maxTokenBytes Longer symbols are never made.
   * @param minCount Rarer pairs are never merged.
   */
  constructor(capacity: number, lengths: number[], maxTokenBytes: number, minCount: number) {
    this.#symbols = new Uint16Array(capacity);
    this.#weights = new Uint32Array(capacity);
    this.#next = new Int32Array(capacity).fill(NONE);
    this.#prev = new Int32Array(capacity).fill(NONE);
    this.#laterPlace = new Int32Array(capacity).fill(NONE);
    this.#earlierPlace = new Int32Array(capacity).fill(NONE);
    this.#length = [...lengths];
    this.#firstLength = lengths.length;
    this.#maxBytes = maxTokenBytes;
    this.#minCount = minCount;
  }

  /** Adds a chunk; call for all chunks before the first `merge()`. */
  addChunk(symbols: ArrayLike<number>, start: number, end: number, weight: number): void {
    for (let i = start; i < end; i++) {
      const place = this.#used++;
      this.#symbols[place] = symbols[i];
      this.#weights[place] = weight;
      if (i > start) {
        this.#prev[place] = place - 1;
        this.#next[place - 1] = place;
        this.#link(place - 1);
      }
    }
    // Pairs wait for `merge()`: their counts still rise.
  }

  /**
   * Merges the pair with the highest count everywhere; among equals the one with the smaller left
   * symbol, then the smaller right one. Returns its two symbols, or `undefined` if no pair is left
   * that is frequent and short enough.
   */
  merge(): [left: number, right: number] | undefined {
    if (this.#length.length === this.#firstLength) this.#pushFrom(0);
    const pair = this.#popBest();
    if (pair === NONE) return undefined;
    const left = this.#pairs.left[pair], right = this.#pairs.right[pair];
    const symbol = this.#length.length;
    if (symbol >= MAX_SYMBOLS) throw new RangeError(`No more than ${MAX_SYMBOLS} symbols.`);
    this.#length.push(this.#length[left] + this.#length[right]);
    const known = this.#pairs.size;
    this.#apply(pair, left, right, symbol);
    this.#pushFrom(known);
    return [left, right];
  }

  #apply(pair: number, left: number, right: number, symbol: number): void {
    const symbols = this.#symbols, next = this.#next, prev = this.#prev;
    for (const place of this.#placesOf(pair, left === right)) {
      const second = next[place];
      // In a run of one symbol an earlier merge may have taken one of the two.
      if (symbols[place] !== left || second === NONE || symbols[second] !== right) continue;
      const before = prev[place], after = next[second];
      if (before !== NONE) this.#unlink(before);
      this.#unlink(place);
      if (after !== NONE) this.#unlink(second);
      symbols[place] = symbol;
      symbols[second] = DEAD;
      next[place] = after;
      if (after !== NONE) {
        prev[after] = place;
        this.#link(place);
      }
      if (before !== NONE) this.#link(before);
    }
  }

  /** The places of a pair; in order where it matters, which is in runs of one symbol. */
  #placesOf(pair: number, sorted: boolean): Int32Array {
    const places: number[] = [];
    for (let i = this.#pairs.head[pair]; i !== NONE; i = this.#laterPlace[i]) places.push(i);
    const array = Int32Array.from(places);
    return sorted ? array.sort() : array;
  }

  /** Enters `place` and its right neighbour into the table of pairs. */
  #link(place: number): void {
    const pair = this.#pairs.at(this.#symbols[place], this.#symbols[this.#next[place]]);
    const head = this.#pairs.head[pair];
    this.#laterPlace[place] = head;
    this.#earlierPlace[place] = NONE;
    if (head !== NONE) this.#earlierPlace[head] = place;
    this.#pairs.head[pair] = place;
    this.#pairs.count[pair] += this.#weights[place];
  }

  #unlink(place: number): void {
    const pair = this.#pairs.at(this.#symbols[place], this.#symbols[this.#next[place]]);
    const earlier = this.#earlierPlace[place], later = this.#laterPlace[place];
    if (earlier === NONE) this.#pairs.head[pair] = later;
    else this.#laterPlace[earlier] = later;
    if (later !== NONE) this.#earlierPlace[later] = earlier;
    this.#pairs.count[pair] -= this.#weights[place];
  }

  /** Puts the pairs from number `first` on into the heap, those that may ever be merged. */
  #pushFrom(first: number): void {
    const { left, right, count, size } = this.#pairs;
    while (this.#heapCount.length < size) this.#heapCount = doubled(this.#heapCount);
    for (let pair = first; pair < size; pair++) {
      if (count[pair] < this.#minCount) continue;
      if (this.#length[left[pair]] + this.#length[right[pair]] > this.#maxBytes) continue;
      if (this.#heapSize === this.#heap.length) this.#heap = doubled(this.#heap);
      this.#heapCount[pair] = count[pair];
      let slot = this.#heapSize++;
      while (slot > 0 && this.#precedes(pair, this.#heap[(slot - 1) >> 1])) {
        this.#heap[slot] = this.#heap[(slot - 1) >> 1];
        slot = (slot - 1) >> 1;
      }
      this.#heap[slot] = pair;
    }
  }

  /** Takes the pair to merge next out of the heap; NONE if there is none. */
  #popBest(): number {
    const heap = this.#heap, count = this.#pairs.count;
    while (this.#heapSize > 0) {
      const pair = heap[0];
      const fresh = count[pair] === this.#heapCount[pair];
      if (fresh || count[pair] < this.#minCount) this.#sink(heap[--this.#heapSize]);
      else {
        this.#heapCount[pair] = count[pair];
        this.#sink(pair);
      }
      if (fresh) return pair;
    }
    return NONE;
  }

  /** Fills the top of the heap with `pair` and moves it down to its place. */
  #sink(pair: number): void {
    const heap = this.#heap, size = this.#heapSize;
    let slot = 0;
    while (true) {
      let child = 2 * slot + 1;
      if (child >= size) break;
      if (child + 1 < size && this.#precedes(heap[child + 1], heap[child])) child++;
      if (!this.#precedes(heap[child], pair)) break;
      heap[slot] = heap[child];
      slot = child;
    }
    heap[slot] = pair;
  }

  #precedes(a: number, b: number): boolean {
    const { left, right } = this.#pairs;
    if (this.#heapCount[a] !== this.#heapCount[b]) return this.#heapCount[a] > this.#heapCount[b];
    return left[a] !== left[b] ? left[a] < left[b] : right[a] < right[b];
  }
}
