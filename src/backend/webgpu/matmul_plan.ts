/**
 * How a matrix product is cut into workgroups.
 *
 * @module
 */

/** The tile that a workgroup computes, by the constants of matmul.wgsl. */
export interface MatmulTile {
  /** Threads along m. */
  readonly rows: number;
  /** Threads along n. */
  readonly columns: number;
  /** Blocks of 4 × 4 of a thread along m, 1 or 2. */
  readonly high: number;
  /** Blocks of 4 × 4 of a thread along n, 1 or 2. */
  readonly wide: number;
  /** Elements along k that are staged at once. */
  readonly step: number;
}

/** Tile and split of one matrix product. */
export interface MatmulPlan {
  /** What a workgroup computes. */
  readonly tile: MatmulTile;
  /** Parts that k is cut into. */
  readonly splits: number;
  /** Elements of k in a part; a multiple of the tile's step. */
  readonly depth: number;
}

/** What a plan depends on: out (m, n) over k, and how the factors lie in memory. */
export interface MatmulShape {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  /** Flags of matmul.wgsl. */
  readonly flags: readonly string[];
}

const tile = (
  rows: number,
  columns: number,
  high: number,
  wide: number,
  step: number,
): MatmulTile => ({ rows, columns, high, wide, step });

const LARGE = tile(16, 16, 2, 2, 16), SMALL = tile(8, 8, 2, 2, 8), FLAT = tile(4, 16, 1, 1, 32);

/**
 * All tiles that plans may have. Each stages at most 16 KiB, what WebGPU grants everywhere. Larger
 * ones read the factors less often; smaller ones keep more workgroups at work; threads with fewer
 * blocks need fewer registers, so that more of them fit; longer steps wait at fewer barriers.
 */
export const MATMUL_TILES: readonly MatmulTile[] = [
  LARGE, // 128 × 128
  tile(16, 16, 2, 2, 8),
  tile(16, 8, 2, 2, 16), // 128 × 64
  tile(8, 16, 2, 2, 16), // 64 × 128
  SMALL, // 64 × 64
  tile(8, 8, 2, 2, 16),
  tile(16, 8, 1, 2, 16), // 64 × 64, by 128 threads
  tile(8, 16, 1, 2, 16), // 32 × 128
  tile(8, 8, 1, 1, 16), // 32 × 32
  tile(4, 16, 1, 2, 16), // 16 × 128
  FLAT, // 16 × 64
];

/** Rows and columns of a tile. */
export function tileSize({ rows, columns, high, wide }: MatmulTile): { m: number; n: number } {
  return { m: 4 * high * rows, n: 4 * wide * columns };
}

/** Values of the constants of matmul.wgsl. */
export function tileConstants(
  { rows, columns, high, wide, step }: MatmulTile,
): Record<string, number> {
  const blocks = (high * rows + wide * columns) * step / 4;
  return {
    ROWS: rows,
    COLUMNS: columns,
    HIGH: high,
    WIDE: wide,
    STEP: step,
    FETCHES: Math.ceil(blocks / (rows * columns)),
  };
}

/** Threads that fill a large GPU: for each of about 130 multiprocessors some hundreds. */
const ENOUGH_THREADS = 65536;
/** Shortest part of k worth the second stage's traffic. */
const MIN_DEPTH = 64;

/** The shape as the name under which plans are kept. */
export function shapeKey({ m, n, k, flags }: MatmulShape): string {
  return [`${m} × ${n} × ${k}`, ...flags].join(" ");
}

/** Whether a plan covers k, and its parts are not too much to store. */
export function fitsShape(
  { splits, depth }: MatmulPlan,
  { m, n, k }: MatmulShape,
  maxParts: number,
): boolean {
  return splits * depth >= k && (splits - 1) * depth < k &&
    (splits === 1 || splits * m * n <= maxParts);
}

const workgroups = (m: number, n: number, tile: MatmulTile): number => {
  const size = tileSize(tile);
  return Math.ceil(m / size.m) * Math.ceil(n / size.n);
};

/** Cuts k into about so many parts, or fewer where these would be short or too much to store. */
function split(
  { m, n, k }: MatmulShape,
  tile: MatmulTile,
  wanted: number,
  maxParts: number,
): MatmulPlan {
  const { step } = tile;
  const parts = Math.floor(Math.min(wanted, k / MIN_DEPTH, maxParts / (m * n)));
  if (parts < 2) return { tile, splits: 1, depth: Math.ceil(k / step) * step };
  const depth = Math.ceil(k / parts / step) * step;
  return { tile, splits: Math.ceil(k / depth), depth };
}

/** Parts of k that give enough workgroups to fill a large GPU. */
function filling({ m, n }: MatmulShape, tile: MatmulTile): number {
  return ENOUGH_THREADS / (tile.rows * tile.columns) / workgroups(m, n, tile);
}

/**
 * Chooses tile and split of out (m, n) += a · b over k by reasoning, where none was measured.
 *
 * A 128 × 128 tile reads each factor half as often as a 64 × 64 tile, but leaves a GPU idle where
 * there are few of them. Where even small tiles are few, k is split: weight gradients have a small
 * (m, n) and a k of all rows of a batch.
 * @param maxParts Most elements that the parts together may have.
 */
export function planMatmul(shape: MatmulShape, maxParts: number): MatmulPlan {
  const { m, n, k } = shape;
  const isWide = m >= 128 && n >= 128;
  if (isWide && filling(shape, LARGE) < 0.5) return split(shape, LARGE, 1, maxParts);
  // Deep and narrow: large tiles with a split read less than small tiles without.
  const tile = isWide && k >= 16 * Math.min(m, n) ? LARGE : m <= 16 ? FLAT : SMALL;
  return split(shape, tile, filling(shape, tile), maxParts);
}

/**
 * Plans worth measuring: tiles that hardly stick out of (m, n), each with k whole, with the split
 * that fills a large GPU, and with half of it.
 * @param maxParts Most elements that the parts together may have.
 */
export function candidatePlans(shape: MatmulShape, maxParts: number): MatmulPlan[] {
  const { m, n } = shape;
  const area = (tile: MatmulTile) => {
    const size = tileSize(tile);
    return workgroups(m, n, tile) * size.m * size.n;
  };
  const least = Math.min(...MATMUL_TILES.map(area));
  const plans = new Map<string, MatmulPlan>();
  const add = (plan: MatmulPlan) => plans.set(JSON.stringify(plan), plan);
  add(planMatmul(shape, maxParts));
  for (const tile of MATMUL_TILES) {
    if (area(tile) > 1.5 * least) continue;
    const most = filling(shape, tile);
    for (const parts of [1, most / 2, most]) add(split(shape, tile, parts, maxParts));
  }
  return [...plans.values()];
}
