/**
 * How a matrix product is cut into workgroups.
 *
 * @module
 */

/** Tile and split of one matrix product. */
export interface MatmulPlan {
  /** Threads along a side of the tile, which is 8 · side elements wide; also its step along k. */
  side: 8 | 16;
  /** Parts that k is cut into. */
  splits: number;
  /** Elements of k in a part; a multiple of `side`. */
  depth: number;
}

/** Workgroups that fill a large GPU: a few for each of about 130 multiprocessors. */
const ENOUGH_LARGE = 256;
const ENOUGH_SMALL = 1024;
/** Shortest part of k worth the second stage's traffic. */
const MIN_DEPTH = 64;

/**
 * Chooses the tile and split of out (m, n) += a · b over k.
 *
 * A 128 × 128 tile reads each factor half as often as a 64 × 64 tile, but leaves a GPU idle where
 * there are few of them. Where even small tiles are few, k is split: weight gradients have a small
 * (m, n) and a k of all rows of a batch.
 * @param maxParts Most elements that the parts together may have.
 */
export function planMatmul(m: number, n: number, k: number, maxParts: number): MatmulPlan {
  const tiles = (side: number) => Math.ceil(m / (8 * side)) * Math.ceil(n / (8 * side));
  const plan = (side: 8 | 16, enough: number): MatmulPlan => {
    const wanted = Math.min(
      Math.floor(enough / tiles(side)),
      Math.floor(k / MIN_DEPTH),
      Math.floor(maxParts / (m * n)),
    );
    if (wanted < 2) return { side, splits: 1, depth: Math.ceil(k / side) * side };
    const depth = Math.ceil(k / wanted / side) * side;
    return { side, splits: Math.ceil(k / depth), depth };
  };
  const isWide = m >= 128 && n >= 128;
  if (isWide && tiles(16) >= 2 * ENOUGH_LARGE) return plan(16, 0);
  // Deep and narrow: large tiles with a split read less than small tiles without.
  if (isWide && k >= 16 * Math.min(m, n)) return plan(16, ENOUGH_LARGE);
  return plan(8, ENOUGH_SMALL);
}
