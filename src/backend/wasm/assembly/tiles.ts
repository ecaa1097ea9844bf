// Small matrix products of packed panels, the inner loops of matmul and attention.
//
// A panel of the left factor holds ROWS rows, one column after the other: k × ROWS. A panel of the
// right factor holds COLUMNS columns, one row after the other: k × COLUMNS. Missing rows and columns
// of the last panels are zero. The product of two panels is a tile, ROWS × COLUMNS, which stays in
// 12 of the 16 vector registers while k runs; two more hold a row of the right panel, one an
// element of the left.

import { madd } from "./math";

/** Rows of a panel of the left factor. */
export const ROWS: usize = 6;
/** Columns of a panel of the right factor. */
export const COLUMNS: usize = 8;
/** Bytes of a tile. */
export const TILE: usize = ROWS * COLUMNS * 4;

/** Panels that hold `rows` rows. */

export function rowPanels(rows: usize): usize {
  return (rows + ROWS - 1) / ROWS;
}

/** Panels that hold `columns` columns. */

export function columnPanels(columns: usize): usize {
  return (columns + COLUMNS - 1) / COLUMNS;
}

/** tile = left · right, over k > 0. Every element is one chain of multiply-adds in the order of k. */
export function tileProduct(tile: usize, left: usize, right: usize, k: usize): void {
  let c00 = f32x4.splat(0), c01 = c00, c10 = c00, c11 = c00, c20 = c00, c21 = c00;
  let c30 = c00, c31 = c00, c40 = c00, c41 = c00, c50 = c00, c51 = c00;
  const end = left + k * (ROWS * 4);
  do {
    const b0 = v128.load(right), b1 = v128.load(right, 16);
    const a0 = v128.load_splat<f32>(left);
    c00 = madd(a0, b0, c00);
    c01 = madd(a0, b1, c01);
    const a1 = v128.load_splat<f32>(left, 4);
    c10 = madd(a1, b0, c10);
    c11 = madd(a1, b1, c11);
    const a2 = v128.load_splat<f32>(left, 8);
    c20 = madd(a2, b0, c20);
    c21 = madd(a2, b1, c21);
    const a3 = v128.load_splat<f32>(left, 12);
    c30 = madd(a3, b0, c30);
    c31 = madd(a3, b1, c31);
    const a4 = v128.load_splat<f32>(left, 16);
    c40 = madd(a4, b0, c40);
    c41 = madd(a4, b1, c41);
    const a5 = v128.load_splat<f32>(left, 20);
    c50 = madd(a5, b0, c50);
    c51 = madd(a5, b1, c51);
    left += ROWS * 4;
    right += COLUMNS * 4;
  } while (left < end);
  v128.store(tile, c00);
  v128.store(tile, c01, 16);
  v128.store(tile, c10, 32);
  v128.store(tile, c11, 48);
  v128.store(tile, c20, 64);
  v128.store(tile, c21, 80);
  v128.store(tile, c30, 96);
  v128.store(tile, c31, 112);
  v128.store(tile, c40, 128);
  v128.store(tile, c41, 144);
  v128.store(tile, c50, 160);
  v128.store(tile, c51, 176);
}

/**
 * Packs `rows` rows of length `k` into panels of the left factor. Element (i, l) is read at
 * `from` + i · stride + l · 4 bytes.
 */
export function packRows(to: usize, from: usize, stride: usize, rows: usize, k: usize): void {
  for (; rows >= ROWS; rows -= ROWS) {
    const r1 = stride, r2 = stride + stride, r3 = r2 + stride, r4 = r3 + stride, r5 = r4 + stride;
    let l = k, p = from;
    for (; l >= 4; l -= 4) {
      const a = v128.load(p), b = v128.load(p + r1), c = v128.load(p + r2), d = v128.load(p + r3);
      const e = v128.load(p + r4), f = v128.load(p + r5);
      const ab0 = v128.shuffle<f32>(a, b, 0, 4, 1, 5), ab1 = v128.shuffle<f32>(a, b, 2, 6, 3, 7);
      const cd0 = v128.shuffle<f32>(c, d, 0, 4, 1, 5), cd1 = v128.shuffle<f32>(c, d, 2, 6, 3, 7);
      const ef0 = v128.shuffle<f32>(e, f, 0, 4, 1, 5), ef1 = v128.shuffle<f32>(e, f, 2, 6, 3, 7);
      v128.store(to, v128.shuffle<f32>(ab0, cd0, 0, 1, 4, 5));
      v128.store(to, v128.shuffle<f32>(ef0, ab0, 0, 1, 6, 7), 16);
      v128.store(to, v128.shuffle<f32>(cd0, ef0, 2, 3, 6, 7), 32);
      v128.store(to, v128.shuffle<f32>(ab1, cd1, 0, 1, 4, 5), 48);
      v128.store(to, v128.shuffle<f32>(ef1, ab1, 0, 1, 6, 7), 64);
      v128.store(to, v128.shuffle<f32>(cd1, ef1, 2, 3, 6, 7), 80);
      to += 4 * ROWS * 4;
      p += 16;
    }
    for (; l > 0; l--) {
      store<f32>(to, load<f32>(p));
      store<f32>(to, load<f32>(p + r1), 4);
      store<f32>(to, load<f32>(p + r2), 8);
      store<f32>(to, load<f32>(p + r3), 12);
      store<f32>(to, load<f32>(p + r4), 16);
      store<f32>(to, load<f32>(p + r5), 20);
      to += ROWS * 4;
      p += 4;
    }
    from += ROWS * stride;
  }
  if (rows > 0) packEdge(to, from, 4, stride, rows, ROWS, k);
}

/** The same for a left factor that lies transposed: (i, l) at `from` + l · stride + i · 4. */
export function packRowsTransposed(
  to: usize,
  from: usize,
  stride: usize,
  rows: usize,
  k: usize,
): void {
  for (; rows >= ROWS; rows -= ROWS) {
    let p = from;
    for (let l = k; l > 0; l--) {
      v128.store(to, v128.load(p));
      store<u64>(to, load<u64>(p, 16), 16);
      to += ROWS * 4;
      p += stride;
    }
    from += ROWS * 4;
  }
  if (rows > 0) packEdge(to, from, stride, 4, rows, ROWS, k);
}

/**
 * Packs `columns` columns of length `k` into panels of the right factor. Element (l, j) is read at
 * `from` + l · stride + j · 4 bytes.
 */
export function packColumns(to: usize, from: usize, stride: usize, columns: usize, k: usize): void {
  const panel = k * COLUMNS * 4, whole = columns / COLUMNS;
  let p = from;
  for (let l: usize = 0; l < k; l++) {
    let q = to + l * COLUMNS * 4, r = p;
    for (let j = whole; j > 0; j--) {
      v128.store(q, v128.load(r));
      v128.store(q, v128.load(r, 16), 16);
      q += panel;
      r += COLUMNS * 4;
    }
    p += stride;
  }
  const rest = columns - whole * COLUMNS;
  if (rest > 0) {
    packEdge(to + whole * panel, from + whole * COLUMNS * 4, stride, 4, rest, COLUMNS, k);
  }
}

/** The same for a right factor that lies transposed: (l, j) at `from` + j · stride + l · 4. */
export function packColumnsTransposed(
  to: usize,
  from: usize,
  stride: usize,
  columns: usize,
  k: usize,
): void {
  for (; columns >= COLUMNS; columns -= COLUMNS) {
    transposeFour(to, from, stride, k);
    transposeFour(to + 16, from + 4 * stride, stride, k);
    to += k * COLUMNS * 4;
    from += COLUMNS * stride;
  }
  if (columns > 0) packEdge(to, from, 4, stride, columns, COLUMNS, k);
}

/** Four rows of length `k` become four columns of a right panel. */

function transposeFour(to: usize, from: usize, stride: usize, k: usize): void {
  const r1 = stride, r2 = stride + stride, r3 = r2 + stride;
  let l = k, p = from;
  for (; l >= 4; l -= 4) {
    const a = v128.load(p), b = v128.load(p + r1), c = v128.load(p + r2), d = v128.load(p + r3);
    const ab0 = v128.shuffle<f32>(a, b, 0, 4, 1, 5), ab1 = v128.shuffle<f32>(a, b, 2, 6, 3, 7);
    const cd0 = v128.shuffle<f32>(c, d, 0, 4, 1, 5), cd1 = v128.shuffle<f32>(c, d, 2, 6, 3, 7);
    v128.store(to, v128.shuffle<f32>(ab0, cd0, 0, 1, 4, 5));
    v128.store(to, v128.shuffle<f32>(ab0, cd0, 2, 3, 6, 7), COLUMNS * 4);
    v128.store(to, v128.shuffle<f32>(ab1, cd1, 0, 1, 4, 5), COLUMNS * 8);
    v128.store(to, v128.shuffle<f32>(ab1, cd1, 2, 3, 6, 7), COLUMNS * 12);
    to += COLUMNS * 16;
    p += 16;
  }
  for (; l > 0; l--) {
    store<f32>(to, load<f32>(p));
    store<f32>(to, load<f32>(p + r1), 4);
    store<f32>(to, load<f32>(p + r2), 8);
    store<f32>(to, load<f32>(p + r3), 12);
    to += COLUMNS * 4;
    p += 4;
  }
}

/** A last panel with fewer lines than its width; (line i, step l) at from + i · line + l · step. */
function packEdge(
  to: usize,
  from: usize,
  step: usize,
  line: usize,
  lines: usize,
  width: usize,
  k: usize,
): void {
  for (let l: usize = 0; l < k; l++) {
    for (let i: usize = 0; i < width; i++) {
      store<f32>(to, i < lines ? load<f32>(from + i * line + l * step) : 0);
      to += 4;
    }
  }
}
