// Causal attention of packed sequences (Dao et al. 2022). A task is one head of one sequence: its
// rows are packed once, then pairs of a query tile and a key tile are multiplied, and of the T×T
// scores only one tile exists at a time.

import { expOne, expRow, laneMax, laneSum, log } from "./math";
import { nextTask, sharedScratch, threadIndex, threadScratch } from "./threads";
import {
  columnPanels,
  COLUMNS,
  packColumns,
  packColumnsTransposed,
  packRows,
  ROWS,
  TILE,
  tileProduct,
} from "./tiles";

/** Queries, and keys, of a tile: whole panels of either kind. */
export const SPAN: usize = 40;
/** Bytes from row to row of a tile of scores. */
export const STRIDE: usize = SPAN * 4;
/** Stands for minus infinity; times any scale it is still far below every score. */
export const LOWEST: f32 = -1e30;

/**
 * c (rows, columns) += left · right over k, of packed panels; `stride` bytes from row to row of c.
 * With `replace` c is overwritten.
 */
export function multiplyPanels(
  c: usize,
  stride: usize,
  left: usize,
  right: usize,
  rows: usize,
  columns: usize,
  k: usize,
  replace: bool,
): void {
  const tile = threadScratch();
  for (let j: usize = 0; j < columns; j += COLUMNS) {
    const width = min(COLUMNS, columns - j);
    for (let i: usize = 0; i < rows; i += ROWS) {
      tileProduct(tile, left + i * k * 4, right + j * k * 4, k);
      let to = c + i * stride + j * 4, from = tile;
      for (let r = min(ROWS, rows - i); r > 0; r--) {
        if (width == COLUMNS) {
          const x = v128.load(from), y = v128.load(from, 16);
          v128.store(to, replace ? x : f32x4.add(v128.load(to), x));
          v128.store(to, replace ? y : f32x4.add(v128.load(to, 16), y), 16);
        } else {
          for (let at: usize = 0; at < width * 4; at += 4) {
            store<f32>(to + at, load<f32>(from + at) + (replace ? 0 : load<f32>(to + at)));
          }
        }
        from += COLUMNS * 4;
        to += stride;
      }
    }
  }
}

/** The first key, in its sequence, that row t of the sequence whose positions these are may see. */

@inline
export function firstKey(positions: usize, t: usize): usize {
  return t - min<usize>(load<u32>(positions + t * 4), t);
}

/** The first key that any of the queries i … i + rows − 1 may see. */
export function firstKeyOf(positions: usize, i: usize, rows: usize): usize {
  let first = i;
  for (let r: usize = 0; r < rows; r++) first = min(first, firstKey(positions, i + r));
  return first;
}

/**
 * Keeps of a row of dot products with keys j … j + SPAN − 1 those with keys first … last; the others
 * become `other`. Nothing is done for a row that sees all keys.
 */
export function maskRow(row: usize, j: usize, first: usize, last: usize, other: f32): void {
  if (first <= j && last >= j + SPAN - 1) return;
  const low = i32x4.splat(<i32>first), high = i32x4.splat(<i32>last), four = i32x4.splat(4);
  const others = f32x4.splat(other);
  let keys = i32x4.add(i32x4.splat(<i32>j), i32x4(0, 1, 2, 3));
  for (const end = row + STRIDE; row < end; row += 16) {
    const seen = v128.and(i32x4.ge_s(keys, low), i32x4.le_s(keys, high));
    v128.store(row, v128.bitselect(v128.load(row), others, seen));
    keys = i32x4.add(keys, four);
  }
}

/**
 * Words: out, lse, qkv, positions, B, T, NH, HS, bytes of shared scratch for one thread.
 *
 * Online softmax (Milakov & Gimelshein 2018): a query keeps the highest score m and the sum l of
 * exponentials so far; when a new tile raises m, l and the output are scaled down.
 */
export function attentionForward(args: usize): void {
  const out = load<usize>(args), lse = load<usize>(args, 4), qkv = load<usize>(args, 8);
  const positions = load<usize>(args, 12), B = load<usize>(args, 16), T = load<usize>(args, 20);
  const NH = load<usize>(args, 24), HS = load<usize>(args, 28), C = NH * HS, row = C * 12;
  const scale: f32 = 1 / sqrt<f32>(<f32> HS);

  const keys = sharedScratch() + <usize> threadIndex() * load<usize>(args, 32);
  const padded = columnPanels(T) * COLUMNS, width = columnPanels(HS) * COLUMNS;
  const values = keys + padded * HS * 4; // packed by key tile: SPAN × width each
  const scores = threadScratch() + TILE, queries = scores + SPAN * STRIDE;
  const left = queries + SPAN * HS * 4, sums = left + SPAN * STRIDE;
  const state = sums + SPAN * HS * 4; // m and l of every query

  for (let task = nextTask(); task < <i32> (B * NH); task = nextTask()) {
    const b = <usize> task / NH, h = <usize> task % NH;
    const q = qkv + b * T * row + h * HS * 4, k = q + C * 4, v = k + C * 4;
    const places = positions + b * T * 4;
    packColumnsTransposed(keys, k, row, T, HS);
    for (let j: usize = 0; j < T; j += SPAN) {
      packColumns(values + j * width * 4, v + j * row, row, HS, min(SPAN, T - j));
    }
    for (let i: usize = 0; i < T; i += SPAN) {
      const rows = min(SPAN, T - i);
      packRows(queries, q + i * row, row, rows, HS);
      memory.fill(sums, 0, SPAN * HS * 4);
      for (let r: usize = 0; r < rows; r++) {
        store<f32>(state + r * 8, LOWEST);
        store<f32>(state + r * 8, 0, 4);
      }
      for (let j = firstKeyOf(places, i, rows) / SPAN * SPAN; j <= i; j += SPAN) {
        const span = min(SPAN, T - j);
        const columns = columnPanels(span) * COLUMNS;
        multiplyPanels(scores, STRIDE, queries, keys + j * HS * 4, rows, columns, HS, true);
        for (let r: usize = 0; r < rows; r++) {
          softmaxRow(
            scores + r * STRIDE,
            state + r * 8,
            sums + r * HS * 4,
            HS,
            scale,
            j,
            firstKey(places, i + r),
            i + r,
          );
        }
        packRows(left, scores, STRIDE, rows, span);
        multiplyPanels(sums, HS * 4, left, values + j * width * 4, rows, HS, span, false);
      }
      for (let r: usize = 0; r < rows; r++) {
        const n = b * T + i + r, total = load<f32>(state + r * 8, 4);
        const to = out + (n * C + h * HS) * 4, from = sums + r * HS * 4;
        const factor = f32x4.splat(1 / total);
        for (let at: usize = 0; at < HS * 4; at += 16) {
          v128.store(to + at, f32x4.mul(v128.load(from + at), factor));
        }
        const logarithm = <f64> load<f32>(state + r * 8) + log(total);
        store<f32>(lse + (n * NH + h) * 4, <f32> logarithm);
      }
    }
  }
}

/** A row of dot products becomes exponentials of scores; `state` and the sums so far follow. */
function softmaxRow(
  scores: usize,
  state: usize,
  sums: usize,
  HS: usize,
  scale: f32,
  j: usize,
  first: usize,
  last: usize,
): void {
  if (first >= j + SPAN) { // no key of this tile is seen
    memory.fill(scores, 0, STRIDE);
    return;
  }
  maskRow(scores, j, first, last, LOWEST);
  let highest = v128.load(scores);
  for (let at: usize = 16; at < STRIDE; at += 16) {
    highest = f32x4.pmax(highest, v128.load(scores + at));
  }
  const before = load<f32>(state), m = max(before, laneMax(highest) * scale);
  const total = laneSum(expRow(scores, scores, STRIDE, scale, m));
  if (m != before) {
    const shrink = expOne(before - m), factor = f32x4.splat(shrink);
    for (let at: usize = 0; at < HS * 4; at += 16) {
      v128.store(sums + at, f32x4.mul(v128.load(sums + at), factor));
    }
    store<f32>(state, load<f32>(state, 4) * shrink, 4);
  }
  store<f32>(state, m);
  store<f32>(state, load<f32>(state, 4) + total, 4);
}
