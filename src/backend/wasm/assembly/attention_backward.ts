// The backward pass of attention (Dao et al. 2022): probabilities are computed again from the
// scores and their log-sum-exp, one tile at a time. A task is one head of one sequence.

import { firstKey, firstKeyOf, LOWEST, maskRow, multiplyPanels, SPAN, STRIDE } from "./attention";
import { expRow } from "./math";
import { dot } from "./matvec";
import { nextTask, sharedScratch, threadIndex, threadScratch } from "./threads";
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
} from "./tiles";

/** Words: dqkv, dout, out, lse, qkv, positions, B, T, NH, HS, bytes of scratch for one thread. */
export function attentionBackward(args: usize): void {
  const dqkv = load<usize>(args), dout = load<usize>(args, 4), out = load<usize>(args, 8);
  const lse = load<usize>(args, 12), qkv = load<usize>(args, 16);
  const positions = load<usize>(args, 20), B = load<usize>(args, 24), T = load<usize>(args, 28);
  const NH = load<usize>(args, 32), HS = load<usize>(args, 36), C = NH * HS;
  const row = C * 12, outRow = C * 4;
  const scale: f32 = 1 / sqrt<f32>(<f32> HS);

  // The four matrices as left (rows) and right (columns) factors; those packed by tile take
  // SPAN × width elements for each tile.
  const width = columnPanels(HS) * COLUMNS;
  const asRows = rowPanels(T) * ROWS * HS * 4, asColumns = columnPanels(T) * COLUMNS * HS * 4;
  const qRows = sharedScratch() + <usize> threadIndex() * load<usize>(args, 40);
  const doutRows = qRows + asRows, kColumns = doutRows + asRows, vColumns = kColumns + asColumns;
  const kTiles = vColumns + asColumns, qTiles = kTiles + T * width * 4;
  const doutTiles = qTiles + T * width * 4, delta = doutTiles + T * width * 4;
  const scores = threadScratch() + TILE, dscores = scores + SPAN * STRIDE;
  const left = dscores + SPAN * STRIDE;

  for (let task = nextTask(); task < <i32> (B * NH); task = nextTask()) {
    const b = <usize> task / NH, h = <usize> task % NH;
    const q = qkv + b * T * row + h * HS * 4, k = q + C * 4, v = k + C * 4;
    const dq = dqkv + b * T * row + h * HS * 4, dk = dq + C * 4, dv = dk + C * 4;
    const dy = dout + b * T * outRow + h * HS * 4, y = out + b * T * outRow + h * HS * 4;
    const places = positions + b * T * 4, logs = lse + (b * T * NH + h) * 4;
    packRows(qRows, q, row, T, HS);
    packRows(doutRows, dy, outRow, T, HS);
    packColumnsTransposed(kColumns, k, row, T, HS);
    packColumnsTransposed(vColumns, v, row, T, HS);
    for (let i: usize = 0; i < T; i += SPAN) {
      const span = min(SPAN, T - i), at = i * width * 4;
      packColumns(kTiles + at, k + i * row, row, HS, span);
      packColumns(qTiles + at, q + i * row, row, HS, span);
      packColumns(doutTiles + at, dy + i * outRow, outRow, HS, span);
    }
    for (let t: usize = 0; t < T; t++) {
      // Σ dout · out, which stands for the sum in the softmax's gradient.
      store<f32>(delta + t * 4, dot(dy + t * outRow, y + t * outRow, HS));
      memory.fill(dq + t * row, 0, HS * 4);
      memory.fill(dk + t * row, 0, HS * 4);
      memory.fill(dv + t * row, 0, HS * 4);
    }
    for (let i: usize = 0; i < T; i += SPAN) {
      const rows = min(SPAN, T - i);
      for (let j = firstKeyOf(places, i, rows) / SPAN * SPAN; j <= i; j += SPAN) {
        const span = min(SPAN, T - j), columns = columnPanels(span) * COLUMNS;
        const query = i * HS * 4, key = j * HS * 4;
        multiplyPanels(scores, STRIDE, qRows + query, kColumns + key, rows, columns, HS, true);
        multiplyPanels(dscores, STRIDE, doutRows + query, vColumns + key, rows, columns, HS, true);
        for (let r: usize = 0; r < rows; r++) {
          scoreGradient(
            scores + r * STRIDE,
            dscores + r * STRIDE,
            scale,
            load<f32>(logs + (i + r) * NH * 4),
            load<f32>(delta + (i + r) * 4),
            j,
            firstKey(places, i + r),
            i + r,
          );
        }
        packRowsTransposed(left, scores, STRIDE, span, rows);
        multiplyPanels(dv + j * row, row, left, doutTiles + i * width * 4, span, HS, rows, false);
        packRowsTransposed(left, dscores, STRIDE, span, rows);
        multiplyPanels(dk + j * row, row, left, qTiles + i * width * 4, span, HS, rows, false);
        packRows(left, dscores, STRIDE, rows, span);
        multiplyPanels(dq + i * row, row, left, kTiles + j * width * 4, rows, HS, span, false);
      }
    }
  }
}

/** A row of dot products becomes probabilities, and their gradient that of the dot products. */
function scoreGradient(
  scores: usize,
  dscores: usize,
  scale: f32,
  lse: f32,
  delta: f32,
  j: usize,
  first: usize,
  last: usize,
): void {
  maskRow(scores, j, first, last, LOWEST);
  expRow(scores, scores, STRIDE, scale, lse);
  const factor = f32x4.splat(scale), shift = f32x4.splat(delta);
  for (let at: usize = 0; at < STRIDE; at += 16) {
    const d = f32x4.mul(f32x4.sub(v128.load(dscores + at), shift), factor);
    v128.store(dscores + at, f32x4.mul(v128.load(scores + at), d));
  }
  maskRow(dscores, j, first, last, 0);
}
