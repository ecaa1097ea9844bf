/**
 * Seeded random numbers whose state can be saved: the same seed gives the same stream everywhere.
 *
 * @module
 */

/** xoshiro128** (Blackman & Vigna 2018), seeded by SplitMix32. */
export class Random {
  /** Four 32-bit words; save and restore them to continue a stream. */
  readonly state: Uint32Array<ArrayBuffer> = new Uint32Array(4);

  /** @param seed Any number; its low 32 bits and the 32 above them count. */
  constructor(seed: number) {
    let z = (seed ^ Math.imul(Math.floor(seed / 4294967296), 0x85ebca6b)) >>> 0;
    for (let i = 0; i < 4; i++) {
      z = (z + 0x9e3779b9) >>> 0;
      let x = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
      x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
      this.state[i] = x ^ (x >>> 15);
    }
  }

  /** A whole number from 0 to 2^32 − 1. */
  uint32(): number {
    const s = this.state;
    const m = Math.imul(s[1], 5);
    const result = Math.imul((m << 7) | (m >>> 25), 9) >>> 0;
    const t = s[1] << 9;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = (s[3] << 11) | (s[3] >>> 21);
    return result;
  }

  /** A number in [0, 1) with 53 random bits. */
  uniform(): number {
    return ((this.uint32() >>> 5) * 67108864 + (this.uint32() >>> 6)) / 9007199254740992;
  }

  /** A whole number in [0, below). */
  below(below: number): number {
    return Math.floor(this.uniform() * below);
  }

  /** A draw from the standard normal distribution (Box & Muller 1958). */
  normal(): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    return radius * Math.cos(2 * Math.PI * this.uniform());
  }

  /** Shuffles in place (Fisher & Yates). */
  shuffle<T extends { length: number; [index: number]: unknown }>(items: T): T {
    for (let i = items.length - 1; i > 0; i--) {
      const j = this.below(i + 1);
      [items[i], items[j]] = [items[j], items[i]];
    }
    return items;
  }
}
