// Small matrix products of packed panels, the inner loops of matmul and attention.
//
// A panel of the left factor holds ROWS rows, one column after the other: k × ROWS. A panel of the
// right factor holds COLUMNS columns, one row after the other: k × COLUMNS. Missing rows and columns
// of the last panels are zero. The product of two panels is a tile, ROWS × COLUMNS, which stays in
// 10 of the 15 vector registers that V8 gives away while k runs.
//
// Deno checks the bounds of every access to memory in software, so loads are what the inner loop
// saves on: four elements of the left panel come with one load and are spread by shuffles.

import { madd } from "./math";

/** Rows of a panel of the left factor. */
export const ROWS: usize = 5;
/** Columns of a panel of the right factor. */
export const COLUMNS: usize = 8;
/** Bytes of a tile. */
export const TILE: usize = ROWS * COLUMNS * 4;

/** Panels that hold `rows` rows. */

@inline
export function rowPanels(rows: usize): usize {
  return (rows + ROWS - 1) / ROWS;
}

/** Panels that hold `columns` columns. */

@inline
export function columnPanels(columns: usize): usize {
  return (columns + COLUMNS - 1) / COLUMNS;
}

/** tile = left · right, over k > 0. Every element is one chain of multiply-adds in the order of k. */
export function tileProduct(tile: usize, left: usize, right: usize, k: usize): void {
  let c00 = f32x4.splat(0), c01 = c00, c10 = c00, c11 = c00, c20 = c00, c21 = c00;
  let c30 = c00, c31 = c00, c40 = c00, c41 = c00;
  const end = left + k * (ROWS * 4), pairs = left + (k & ~1) * (ROWS * 4);
  while (left < pairs) {
    let b0 = v128.load(right);
    let b1 = v128.load(right, 16);
    let a = v128.load(left);
    let x = lane0(a);
    c00 = madd(x, b0, c00);
    c01 = madd(x, b1, c01);
    x = lane1(a);
    c10 = madd(x, b0, c10);
    c11 = madd(x, b1, c11);
    x = lane2(a);
    c20 = madd(x, b0, c20);
    c21 = madd(x, b1, c21);
    x = lane3(a);
    c30 = madd(x, b0, c30);
    c31 = madd(x, b1, c31);
    x = v128.load_splat<f32>(left, 16);
    c40 = madd(x, b0, c40);
    c41 = madd(x, b1, c41);

    b0 = v128.load(right, 32);
    b1 = v128.load(right, 48);
    a = v128.load(left, 20);
    x = lane0(a);
    c00 = madd(x, b0, c00);
    c01 = madd(x, b1, c01);
    x = lane1(a);
    c10 = madd(x, b0, c10);
    c11 = madd(x, b1, c11);
    x = lane2(a);
    c20 = madd(x, b0, c20);
    c21 = madd(x, b1, c21);
    x = lane3(a);
    c30 = madd(x, b0, c30);
    c31 = madd(x, b1, c31);
    x = v128.load_splat<f32>(left, 36);
    c40 = madd(x, b0, c40);
    c41 = madd(x, b1, c41);

    left += ROWS * 8;
    right += COLUMNS * 8;
  }
  if (left < end) {
    const b0 = v128.load(right);
    const b1 = v128.load(right, 16);
    const a = v128.load(left);
    let x = lane0(a);
    c00 = madd(x, b0, c00);
    c01 = madd(x, b1, c01);
    x = lane1(a);
    c10 = madd(x, b0, c10);
    c11 = madd(x, b1, c11);
    x = lane2(a);
    c20 = madd(x, b0, c20);
    c21 = madd(x, b1, c21);
    x = lane3(a);
    c30 = madd(x, b0, c30);
    c31 = madd(x, b1, c31);
    x = v128.load_splat<f32>(left, 16);
    c40 = madd(x, b0, c40);
    c41 = madd(x, b1, c41);
  }
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
}

@inline
function lane0(a: v128): v128 {
  return v128.shuffle<f32>(a, a, 0, 0, 0, 0);
}

@inline
function lane1(a: v128): v128 {
  return v128.shuffle<f32>(a, a, 1, 1, 1, 1);
}

@inline
function lane2(a: v128): v128 {
  return v128.shuffle<f32>(a, a, 2, 2, 2, 2);
}

@inline
function lane3(a: v128): v128 {
  return v128.shuffle<f32>(a, a, 3, 3, 3, 3);
}

/**
 * Packs `rows` rows of length `k` into panels of the left factor. Element (i, l) is read at
 * `from` + i · stride + l · 4 bytes.
 */
export function packRows(to: usize, from: usize, stride: usize, rows: usize, k: usize): void {
  for (; rows >= ROWS; rows -= ROWS) {
    const r1 = from + stride, r2 = r1 + stride, r3 = r2 + stride, r4 = r3 + stride;
    let l: usize = 0;
    for (; l + 4 <= k; l += 4) {
      const at = l * 4;
      const a = v128.load(from + at), b = v128.load(r1 + at), c = v128.load(r2 + at);
      const d = v128.load(r3 + at), e = v128.load(r4 + at);
      const ab0 = v128.shuffle<f32>(a, b, 0, 4, 1, 5), ab1 = v128.shuffle<f32>(a, b, 2, 6, 3, 7);
      const cd0 = v128.shuffle<f32>(c, d, 0, 4, 1, 5), cd1 = v128.shuffle<f32>(c, d, 2, 6, 3, 7);
      v128.store(to, v128.shuffle<f32>(ab0, cd0, 0, 1, 4, 5));
      v128.store(to, v128.shuffle<f32>(ab0, cd0, 2, 3, 6, 7), 20);
      v128.store(to, v128.shuffle<f32>(ab1, cd1, 0, 1, 4, 5), 40);
      v128.store(to, v128.shuffle<f32>(ab1, cd1, 2, 3, 6, 7), 60);
      v128.store_lane<f32>(to, e, 0, 16);
      v128.store_lane<f32>(to, e, 1, 36);
      v128.store_lane<f32>(to, e, 2, 56);
      v128.store_lane<f32>(to, e, 3, 76);
      to += 4 * ROWS * 4;
    }
    for (; l < k; l++) {
      const at = l * 4;
      store<f32>(to, load<f32>(from + at));
      store<f32>(to, load<f32>(r1 + at), 4);
      store<f32>(to, load<f32>(r2 + at), 8);
      store<f32>(to, load<f32>(r3 + at), 12);
      store<f32>(to, load<f32>(r4 + at), 16);
      to += ROWS * 4;
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
      store<f32>(to, load<f32>(p, 16), 16);
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

@inline
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
