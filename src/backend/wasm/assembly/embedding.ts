// Token and position embeddings.

import { nextTask } from "./threads";

/** Rows of one task of the forward pass. */
const ROWS: i32 = 32;
/** Columns of one task of the backward pass: two cache lines, so that no two threads share one. */
const COLUMNS: usize = 32;
/** Position of a row that takes no part: it is embedded at position 0. */
const INACTIVE: usize = 0xffffffff;

/**
 * Words: out, tokens, positions, wte, wpe, N, C, V, L.
 * A token or position outside its table gives a row of NaN, which the loss then shows.
 */
export function embeddingForward(args: usize): void {
  const out = load<usize>(args), tokens = load<usize>(args, 4), positions = load<usize>(args, 8);
  const wte = load<usize>(args, 12), wpe = load<usize>(args, 16);
  const N = load<i32>(args, 20), C = load<usize>(args, 24), bytes = C * 4;
  const V = load<usize>(args, 28), L = load<usize>(args, 32);
  const count = (N + ROWS - 1) / ROWS;
  for (let task = nextTask(); task < count; task = nextTask()) {
    const end = min((task + 1) * ROWS, N);
    for (let n = task * ROWS; n < end; n++) {
      const token = <usize> load<u32>(tokens + <usize> n * 4);
      let position: usize = load<u32>(positions + <usize> n * 4);
      if (position == INACTIVE) position = 0;
      const to = out + <usize> n * bytes, e = wte + token * bytes, p = wpe + position * bytes;
      let i: usize = 0;
      if (token >= V || position >= L) {
        for (; i < bytes; i += 4) store<f32>(to + i, f32.NaN);
        continue;
      }
      for (; i + 16 <= bytes; i += 16) {
        v128.store(to + i, f32x4.add(v128.load(e + i), v128.load(p + i)));
      }
      for (; i < bytes; i += 4) store<f32>(to + i, load<f32>(e + i) + load<f32>(p + i));
    }
  }
}

/**
 * Words: out, tokens, positions, packed, scales, wpe, N, C, V, L. The token table is packed as
 * matmul_int8.ts says: a row's columns lie in fours, 64 bytes apart.
 */
export function embeddingForwardInt8(args: usize): void {
  const out = load<usize>(args), tokens = load<usize>(args, 4), positions = load<usize>(args, 8);
  const packed = load<usize>(args, 12), scales = load<usize>(args, 16), wpe = load<usize>(args, 20);
  const N = load<i32>(args, 24), C = load<usize>(args, 28), bytes = C * 4;
  const V = load<usize>(args, 32), L = load<usize>(args, 36);
  const count = (N + ROWS - 1) / ROWS;
  for (let task = nextTask(); task < count; task = nextTask()) {
    const end = min((task + 1) * ROWS, N);
    for (let n = task * ROWS; n < end; n++) {
      const token = <usize> load<u32>(tokens + <usize> n * 4);
      let position: usize = load<u32>(positions + <usize> n * 4);
      if (position == INACTIVE) position = 0;
      const to = out + <usize> n * bytes, p = wpe + position * bytes;
      let i: usize = 0;
      if (token >= V || position >= L) {
        for (; i < bytes; i += 4) store<f32>(to + i, f32.NaN);
        continue;
      }
      const row = packed + token / 16 * 16 * C + token % 16 * 4;
      const scale = f32x4.splat(load<f32>(scales + token * 4));
      for (; i < bytes; i += 16) {
        const quad = i32x4.extend_low_i16x8_s(
          i16x8.extend_low_i8x16_s(v128.load32_zero(row + i * 4)),
        );
        const e = f32x4.mul(f32x4.convert_i32x4_s(quad), scale);
        v128.store(to + i, f32x4.add(e, v128.load(p + i)));
      }
    }
  }
}

/**
 * Words: dwte, dwpe, dout, tokens, positions, N, C, V, L.
 * Rows of different tasks may meet in one row of a table, so tasks are columns, rows in order.
 */
export function embeddingBackward(args: usize): void {
  const dwte = load<usize>(args), dwpe = load<usize>(args, 4), dout = load<usize>(args, 8);
  const tokens = load<usize>(args, 12), positions = load<usize>(args, 16);
  const N = load<usize>(args, 20), C = load<usize>(args, 24), bytes = C * 4;
  const V = load<usize>(args, 28), L = load<usize>(args, 32);
  const count = <i32> ((C + COLUMNS - 1) / COLUMNS);
  for (let task = nextTask(); task < count; task = nextTask()) {
    const first = <usize> task * COLUMNS * 4, end = min(first + COLUMNS * 4, bytes);
    for (let n: usize = 0; n < N; n++) {
      const token: usize = load<u32>(tokens + n * 4),
        position: usize = load<u32>(positions + n * 4);
      if (token < V) addPart(dwte + token * bytes, dout + n * bytes, first, end);
      if (position < L) addPart(dwpe + position * bytes, dout + n * bytes, first, end);
    }
  }
}

/** to[first … end) += from[first … end), in bytes. */

@inline
function addPart(to: usize, from: usize, first: usize, end: usize): void {
  let i = first;
  for (; i + 16 <= end; i += 16) {
    v128.store(to + i, f32x4.add(v128.load(to + i), v128.load(from + i)));
  }
  for (; i < end; i += 4) store<f32>(to + i, load<f32>(to + i) + load<f32>(from + i));
}
