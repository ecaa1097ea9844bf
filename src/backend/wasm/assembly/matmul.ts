// Matrix products (Goto & van de Geijn 2008): the right factor is packed for all threads, KC rows
// at a time; a task multiplies MC rows of the left factor with some columns of it.

import { MatmulFlag } from "../opcodes";
import { geluDerivativeRow, geluRow } from "./math";
import { matvec, matvecTransposed } from "./matvec";
import { barrier, nextTask, sharedScratch, threadCount, threadScratch } from "./threads";
import {
  columnPanels,
  COLUMNS,
  packColumns,
  packColumnsTransposed,
  packRows,
  packRowsTransposed,
  rowPanels,
  ROWS,
  TILE,
  tileProduct,
} from "./tiles";

/**
 * Longest part of k: a right panel, KC × COLUMNS, stays in the first-level cache while the rows
 * pass by. The recorder reserves shared scratch for KC rows of the right factor.
 */
export const KC: usize = 384;
/** Rows of a task, whose packed form stays in the second-level cache. */
const MC: usize = 80;
/** Columns of one task of packing. */
const PACKED_COLUMNS: usize = 64;
/** Up to so many rows the right factor is read as it lies: packing costs more than it saves. */
const FEW_ROWS: usize = 4;
/** The same for a transposed right factor, whose packing costs twice as much. */
const FEW_ROWS_TRANSPOSED: usize = 8;

/** Words: out, a, b, bias, geluInto, geluFrom, residual (0 where absent), m, n, k, flags. */
export function matmul(args: usize): void {
  const a = load<usize>(args, 4), b = load<usize>(args, 8);
  const m = load<usize>(args, 28), n = load<usize>(args, 32), k = load<usize>(args, 36);
  const flags = load<i32>(args, 40);
  const transposeA = (flags & MatmulFlag.transposeA) != 0;
  const transposeB = (flags & MatmulFlag.transposeB) != 0;
  if (!transposeA && m <= (transposeB ? FEW_ROWS_TRANSPOSED : FEW_ROWS)) {
    if (transposeB) matvecTransposed(args, a, b, m, n, k);
    else matvec(args, a, b, m, n, k);
    return;
  }
  const parts = (k + KC - 1) / KC, kc = (k + parts - 1) / parts;
  const packed = sharedScratch(), left = threadScratch() + 3 * TILE;
  // Tasks of whole panels, enough of them to keep the threads busy to the end.
  const rowTasks = (m + MC - 1) / MC;
  const wanted = max<usize>(1, (16 * <usize> threadCount() + rowTasks - 1) / rowTasks);
  const nc = max<usize>(64, columnPanels((n + wanted - 1) / wanted) * COLUMNS);
  const columnTasks = (n + nc - 1) / nc, tasks = <i32> (rowTasks * columnTasks);
  const packTasks = <i32> ((n + PACKED_COLUMNS - 1) / PACKED_COLUMNS);

  for (let l: usize = 0; l < k; l += kc) {
    const depth = min(kc, k - l);
    for (let task = nextTask(); task < packTasks; task = nextTask()) {
      const j = <usize> task * PACKED_COLUMNS, columns = min(PACKED_COLUMNS, n - j);
      const to = packed + j * depth * 4;
      if (transposeB) packColumnsTransposed(to, b + (j * k + l) * 4, k * 4, columns, depth);
      else packColumns(to, b + (l * n + j) * 4, n * 4, columns, depth);
    }
    barrier();
    let packedRows: usize = -1;
    for (let task = nextTask(); task < tasks; task = nextTask()) {
      const i = <usize> task / columnTasks * MC, j = <usize> task % columnTasks * nc;
      const rows = min(MC, m - i);
      if (i != packedRows) {
        if (transposeA) packRowsTransposed(left, a + (l * m + i) * 4, m * 4, rows, depth);
        else packRows(left, a + (i * k + l) * 4, k * 4, rows, depth);
        packedRows = i;
      }
      multiplyBlock(args, left, packed, i, rows, j, min(nc, n - j), depth, l == 0, l + depth == k);
    }
    barrier();
  }
}

/** The block of `out` at row i and column j; `first` and `last` part of k or not. */
function multiplyBlock(
  args: usize,
  left: usize,
  packed: usize,
  i: usize,
  rows: usize,
  j: usize,
  columns: usize,
  depth: usize,
  first: bool,
  last: bool,
): void {
  const tile = threadScratch();
  for (let jr: usize = 0; jr < columns; jr += COLUMNS) {
    const right = packed + (j + jr) * depth * 4;
    for (let ir: usize = 0; ir < rows; ir += ROWS) {
      tileProduct(tile, left + ir * depth * 4, right, depth);
      storeTile(
        args,
        tile,
        i + ir,
        min(ROWS, rows - ir),
        j + jr,
        min(COLUMNS, columns - jr),
        first,
        last,
      );
    }
  }
}

/**
 * Adds a tile to `out` at row i and column j, or starts with it; after the last part of k the
 * epilogue follows. The tile is used up, and so is scratch of twice its size behind it.
 */
export function storeTile(
  args: usize,
  tile: usize,
  i: usize,
  rows: usize,
  j: usize,
  columns: usize,
  first: bool,
  last: bool,
): void {
  const out = load<usize>(args), n = load<usize>(args, 32), row = n * 4, stride = padded(columns);
  const at = (i * n + j) * 4, bytes = columns * 4, size = rows * stride;
  if (!first || (load<i32>(args, 40) & MatmulFlag.accumulate) != 0) {
    addTile(tile, out + at, row, rows, bytes);
  }
  if (last) {
    const bias = load<usize>(args, 12), geluInto = load<usize>(args, 16);
    const geluFrom = load<usize>(args, 20), residual = load<usize>(args, 24);
    if (bias) addTile(tile, bias + j * 4, 0, rows, bytes);
    if (geluInto) {
      copyRows(geluInto + at, row, tile, stride, rows, bytes);
      geluRow(tile, tile + TILE, size);
    }
    if (geluFrom) {
      const slopes = tile + TILE;
      copyRows(slopes, stride, geluFrom + at, row, rows, bytes);
      geluDerivativeRow(slopes, tile + 2 * TILE, size);
      for (let k: usize = 0; k < size; k += 16) {
        v128.store(tile + k, f32x4.mul(v128.load(tile + k), v128.load(slopes + k)));
      }
    }
    if (residual) addTile(tile, residual + at, row, rows, bytes);
  }
  copyRows(out + at, row, tile, stride, rows, bytes);
}

/** Bytes from row to row of a tile: COLUMNS, or more in a single row. */
@inline
function padded(columns: usize): usize {
  return columnPanels(columns) * COLUMNS * 4;
}

/** Adds rows of `bytes`, `row` bytes apart, to those of the tile. */
function addTile(tile: usize, from: usize, row: usize, rows: usize, bytes: usize): void {
  const stride = padded(bytes / 4), whole = bytes & ~15;
  for (; rows > 0; rows--) {
    let c: usize = 0;
    if (bytes == COLUMNS * 4) { // nearly always
      v128.store(tile, f32x4.add(v128.load(tile), v128.load(from)));
      v128.store(tile, f32x4.add(v128.load(tile, 16), v128.load(from, 16)), 16);
      c = bytes;
    }
    for (; c < whole; c += 16) {
      v128.store(tile + c, f32x4.add(v128.load(tile + c), v128.load(from + c)));
    }
    for (; c < bytes; c += 4) store<f32>(tile + c, load<f32>(tile + c) + load<f32>(from + c));
    tile += stride;
    from += row;
  }
}

/** Copies rows of `bytes`, `toRow` and `fromRow` bytes apart. */
function copyRows(
  to: usize,
  toRow: usize,
  from: usize,
  fromRow: usize,
  rows: usize,
  bytes: usize,
): void {
  const whole = bytes & ~15;
  for (; rows > 0; rows--) {
    let c: usize = 0;
    if (bytes == COLUMNS * 4) {
      v128.store(to, v128.load(from));
      v128.store(to, v128.load(from, 16), 16);
      c = bytes;
    }
    for (; c < whole; c += 16) v128.store(to + c, v128.load(from + c));
    for (; c < bytes; c += 4) store<f32>(to + c, load<f32>(from + c));
    to += toRow;
    from += fromRow;
  }
}
