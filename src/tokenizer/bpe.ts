/**
 * Byte-pair encoding with a fixed list of merges, in time linear in the text.
 *
 * The plain algorithm merges the pair of lowest rank, leftmost first, until none is left. Its result
 * is the only sequence of tokens in which every two neighbours are *compatible*: encoding their
 * joined bytes gives these two tokens again. So the encoder takes the longest token at each position,
 * checks it against its left neighbour, falls back to shorter ones, and where none fits takes the
 * last token back. The tokens before a position are the encoding of the text before it, hence unique,
 * so that each position is entered at most once.
 * (The observation is that of van Antwerpen and Neubeck, "So many tokens, so little time", 2024.)
 *
 * Inside this module a token is a *symbol*: 0…255 are the bytes, 256 + k is what merge k makes.
 *
 * @module
 */

/** Number of symbols that are single bytes. */
export const BYTES = 256;

/** The largest number of symbols: two of them make one 32-bit key. */
export const MAX_SYMBOLS = 65_535;

const NONE = -1;
const CACHE_BITS = 16;

/** A hash table from 32-bit keys to positive integers, open addressing, no deletion. */
class IntMap {
  /** Key and value of each slot, side by side; value 0 marks an empty slot. */
  #slots: Uint32Array;
  #shift: number;
  #mask: number;

  /** @param entries How many entries will be put in at most. */
  constructor(entries: number) {
    const bits = Math.max(4, Math.ceil(Math.log2(entries + 1)) + 1);
    this.#slots = new Uint32Array(2 << bits);
    this.#shift = 32 - bits;
    this.#mask = (2 << bits) - 1;
  }

  /** The value of `key`, 0 if it has none. */
  get(key: number): number {
    const slots = this.#slots, mask = this.#mask;
    let slot = Math.imul(key, 0x9e3779b1) >>> this.#shift << 1;
    let value: number;
    while ((value = slots[slot + 1]) !== 0 && slots[slot] !== key) slot = (slot + 2) & mask;
    return value;
  }

  /** Enters a key that is not in the table. */
  add(key: number, value: number): void {
    const slots = this.#slots, mask = this.#mask;
    let slot = Math.imul(key, 0x9e3779b1) >>> this.#shift << 1;
    while (slots[slot + 1] !== 0) slot = (slot + 2) & mask;
    slots[slot] = key;
    slots[slot + 1] = value;
  }
}

/** The symbols that a list of merges defines, and the encoder over them. */
export class Bpe {
  /** Number of symbols: 256 + merges. */
  readonly size: number;
  /** Length of each symbol in bytes. */
  readonly length: Uint32Array;
  /** Candidate tokens looked at since construction: the encoder's work, for tests. */
  candidates = 0;

  #left: Uint16Array;
  #right: Uint16Array;
  #offset: Uint32Array;
  #bytes: Uint8Array<ArrayBuffer>;
  /** (left << 16 | right) → merged symbol. */
  #pairs: IntMap;
  /** (node << 8 | byte) → child node. Node 0 is the root, node 1 + b is byte b. */
  #edges: IntMap;
  /** Symbol that ends at each node of the trie, or NONE. */
  #symbolAt: Int32Array;
  /** The longest symbol that is a proper prefix of each symbol, or NONE. */
  #shorter: Int32Array;
  /** Two direct-mapped caches of answers of `#compatible`: pairs known good, pairs known bad. */
  #good = new Uint32Array(1 << CACHE_BITS);
  #bad = new Uint32Array(1 << CACHE_BITS);

  /**
   * @param merges Left and right symbol of each merge, alternating, by rank.
   * @throws {RangeError} A merge uses a symbol that no earlier merge made, a pair occurs twice, or
   * there are too many symbols.
   */
  constructor(merges: ArrayLike<number>) {
    const count = merges.length / 2;
    const size = this.size = BYTES + count;
    if (size > MAX_SYMBOLS) {
      throw new RangeError(`Cannot build the tokenizer: ${size} symbols, at most ${MAX_SYMBOLS}.`);
    }
    this.#left = new Uint16Array(size);
    this.#right = new Uint16Array(size);
    this.length = new Uint32Array(size).fill(1, 0, BYTES);
    this.#offset = new Uint32Array(size + 1);
    this.#pairs = new IntMap(count);
    let nodes = BYTES;
    for (let k = 0; k < count; k++) {
      const left = merges[2 * k], right = merges[2 * k + 1], symbol = BYTES + k;
      if (!(left < symbol && right < symbol)) {
        throw new RangeError(`Merge ${k} joins symbols that no earlier merge made.`);
      }
      const key = (left << 16 | right) >>> 0;
      if (this.#pairs.get(key) !== 0) throw new RangeError(`Merge ${k} repeats an earlier pair.`);
      this.#pairs.add(key, symbol);
      this.#left[symbol] = left;
      this.#right[symbol] = right;
      this.length[symbol] = this.length[left] + this.length[right];
      nodes += this.length[right];
    }
    for (let s = 0; s < size; s++) this.#offset[s + 1] = this.#offset[s] + this.length[s];
    const bytes = this.#bytes = new Uint8Array(this.#offset[size]);
    for (let s = 0; s < BYTES; s++) bytes[s] = s;
    for (let s = BYTES; s < size; s++) {
      const at = this.#offset[s], left = this.#left[s], right = this.#right[s];
      bytes.copyWithin(at, this.#offset[left], this.#offset[left + 1]);
      bytes.copyWithin(at + this.length[left], this.#offset[right], this.#offset[right + 1]);
    }
    this.#edges = new IntMap(nodes);
    this.#symbolAt = new Int32Array(nodes + 1).fill(NONE);
    this.#shorter = new Int32Array(size).fill(NONE);
    this.#buildTrie();
  }

  /** The bytes of a symbol: a view, not a copy. */
  bytesOf(symbol: number): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(this.#offset[symbol], this.#offset[symbol + 1]);
  }

  /** The two symbols that a merge joined; symbols below 256 have none. */
  partsOf(symbol: number): [left: number, right: number] {
    return [this.#left[symbol], this.#right[symbol]];
  }

  /** Puts every symbol that encoding can produce into the trie, then links prefixes. */
  #buildTrie(): void {
    const bytes = this.#bytes, offset = this.#offset, edges = this.#edges;
    const symbolAt = this.#symbolAt, shorter = this.#shorter;
    /** Node of each symbol; 0, the root, for those that encoding never produces. */
    const nodeOf = new Uint32Array(this.size);
    let nodes = 1;
    for (let s = 0; s < this.size; s++) {
      let node = 0, i = offset[s];
      if (s >= BYTES) {
        const left = this.#left[s], right = this.#right[s];
        if (nodeOf[left] === 0 || nodeOf[right] === 0) continue;
        // The merge itself joins the pair; an earlier merge across the seam would prevent it.
        if (this.#crossing(left, right) !== s) continue;
        node = nodeOf[left];
        i += this.length[left];
      }
      for (; i < offset[s + 1]; i++) {
        const key = node << 8 | bytes[i];
        node = edges.get(key);
        if (node === 0) edges.add(key, node = nodes++);
      }
      symbolAt[node] = s;
      nodeOf[s] = node;
    }
    for (let s = BYTES; s < this.size; s++) {
      if (nodeOf[s] === 0) continue;
      const left = this.#left[s];
      let node = nodeOf[left], longest = left;
      for (let i = offset[s] + this.length[left]; i < offset[s + 1] - 1; i++) {
        node = edges.get(node << 8 | bytes[i]);
        if (symbolAt[node] !== NONE) longest = symbolAt[node];
      }
      shorter[s] = longest;
    }
  }

  /**
   * The first merge that joins symbols across the seam when the bytes of `left` and `right` are
   * encoded as one text, or 0 if none does. Walks back in time: the two symbols that touch the seam
   * live from their own merge to the merge that absorbs them; the pair of them is merged if its rank
   * falls in the life of both. At equal rank (a run of one symbol) the merge further left goes first.
   */
  #crossing(left: number, right: number): number {
    const pairs = this.#pairs;
    let leftEnd = MAX_SYMBOLS + 1, rightEnd = MAX_SYMBOLS + 1, first = 0;
    while (true) {
      const merged = pairs.get((left << 16 | right) >>> 0);
      if (merged !== 0 && merged < leftEnd && merged <= rightEnd) first = merged;
      if (left > right) {
        if (left < BYTES) return first;
        leftEnd = left;
        left = this.#right[left];
      } else if (right >= BYTES) {
        rightEnd = right;
        right = this.#left[right];
      } else return first;
    }
  }

  /** Whether `right` may follow `left` in an encoding. */
  #compatible(left: number, right: number): boolean {
    const key = (left << 16 | right) >>> 0;
    const slot = Math.imul(key, 0x9e3779b1) >>> (32 - CACHE_BITS);
    // Key 0 is a pair of NULs: never cached, since 0 is an empty slot.
    if (key !== 0) {
      if (this.#good[slot] === key) return true;
      if (this.#bad[slot] === key) return false;
    }
    const compatible = this.#crossing(left, right) === 0;
    (compatible ? this.#good : this.#bad)[slot] = key;
    return compatible;
  }

  /** The longest symbol that matches at `pos`. */
  #longest(bytes: Uint8Array, pos: number, end: number): number {
    const edges = this.#edges, symbolAt = this.#symbolAt;
    let symbol = bytes[pos];
    let node = symbol + 1;
    for (let i = pos + 1; i < end; i++) {
      node = edges.get(node << 8 | bytes[i]);
      if (node === 0) break;
      if (symbolAt[node] !== NONE) symbol = symbolAt[node];
    }
    return symbol;
  }

  /**
   * Encodes `bytes[start, end)` as one chunk into `out` from index `n`; `out` needs room for one
   * symbol per byte. Returns the index after the last symbol.
   */
  encodeChunk(bytes: Uint8Array, start: number, end: number, out: Uint32Array, n: number): number {
    const { length } = this;
    const shorter = this.#shorter;
    const first = n;
    let pos = start, candidates = 0;
    let symbol = start < end ? this.#longest(bytes, start, end) : NONE;
    while (pos < end) {
      while (symbol !== NONE) {
        candidates++;
        if (n === first || this.#compatible(out[n - 1], symbol)) break;
        symbol = shorter[symbol];
      }
      if (symbol !== NONE) {
        out[n++] = symbol;
        pos += length[symbol];
        if (pos < end) symbol = this.#longest(bytes, pos, end);
      } else {
        const last = out[--n];
        pos -= length[last];
        symbol = shorter[last];
      }
    }
    this.candidates += candidates;
    return n;
  }
}
