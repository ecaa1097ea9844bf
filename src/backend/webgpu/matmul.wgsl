// out (m, n) = a · b, either factor read as its transpose, with the epilogue of
// matmul_epilogue.wgsl.
//
// A workgroup of SIDE × SIDE threads computes a tile of 8·SIDE × 8·SIDE, a thread 8 × 8 of it in
// registers: rows 4·row … and 4·(SIDE + row) …, columns likewise, so that lanes read neighbouring
// quads. The tile goes along k in steps of SIDE. For one step each factor is SIDE × 8·SIDE
// elements, SIDE²/2 blocks of 4 × 4: half of the threads fetch one block of `a` each, half one of
// `b`, transpose it in registers if its memory runs along k, and stage it in workgroup memory as
// quads along m or n. The next step's block is fetched before this step is computed.
//
// SPLIT: workgroup z takes k from z·depth on and stores its part in `parts` (splits, m, n).
// Loops are unrolled by the template: WebGPU implementations bound every loop with a counter,
// which keeps drivers from unrolling.

override SIDE: u32; // 16 or 8
const TILE = 8u * SIDE;
const QUADS = 2u * SIDE; // quads along a tile's row
const BLOCKS = SIDE * SIDE / 2u; // 4 × 4 blocks of one factor's step

struct Sizes {
  m: u32,
  n: u32,
  k: u32,
  depth: u32, // of a split; a multiple of SIDE
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
// @stored A F16_A
// @stored B F16_B
@group(0) @binding(3) var<storage, read> a: array<A>;
@group(0) @binding(4) var<storage, read> b: array<B>;
// @if SPLIT
// @if VEC4
alias Value = vec4f;
// @else
alias Value = f32;
// @end
@group(0) @binding(1) var<storage, read_write> parts: array<Value>;
// @end

// Element k of a step is at [k % 4], quads of k / 4 within: implementations check an index that is
// not a literal, and so the four steps of a quad share one check.
var<workgroup> tileA: array<array<vec4f, SIDE / 4u * QUADS>, 4>;
var<workgroup> tileB: array<array<vec4f, SIDE / 4u * QUADS>, 4>;

/// Four elements of a row of `a` as it is stored, zero outside (rows, columns).
fn quadA(row: u32, column: u32, rows: u32, columns: u32) -> vec4f {
  if (row >= rows || column >= columns) {
    return vec4f(0.0);
  }
  let at = row * columns + column;
  // @if VEC4
  return vec4f(a[at / 4u]);
  // @else
  var quad = vec4f(f32(a[at]), 0.0, 0.0, 0.0);
  if (column + 1u < columns) { quad.y = f32(a[at + 1u]); }
  if (column + 2u < columns) { quad.z = f32(a[at + 2u]); }
  if (column + 3u < columns) { quad.w = f32(a[at + 3u]); }
  return quad;
  // @end
}

/// Four elements of a row of `b` as it is stored, zero outside (rows, columns).
fn quadB(row: u32, column: u32, rows: u32, columns: u32) -> vec4f {
  if (row >= rows || column >= columns) {
    return vec4f(0.0);
  }
  let at = row * columns + column;
  // @if VEC4
  return vec4f(b[at / 4u]);
  // @else
  var quad = vec4f(f32(b[at]), 0.0, 0.0, 0.0);
  if (column + 1u < columns) { quad.y = f32(b[at + 1u]); }
  if (column + 2u < columns) { quad.z = f32(b[at + 2u]); }
  if (column + 3u < columns) { quad.w = f32(b[at + 3u]); }
  return quad;
  // @end
}

/// Rows of `block` are quads along m or n, one for each of four steps of k.
struct Place {
  quad: u32, // of the tile, along m or n
  step: u32, // quad of k
}

/// Which block a lane fetches, so that neighbouring lanes read neighbouring memory.
fn place(block: u32, alongK: bool) -> Place {
  if (alongK) {
    return Place(block / (SIDE / 4u), block % (SIDE / 4u));
  }
  return Place(block % QUADS, block / QUADS);
}

fn fetch(lane: u32, origin: vec2u, k: u32) -> mat4x4f {
  if (lane < BLOCKS) {
    // @if TRANSPOSE_A
    let p = place(lane, false);
    let row = k + 4u * p.step;
    let column = origin.y + 4u * p.quad;
    return mat4x4f(
      quadA(row, column, sizes.k, sizes.m),
      quadA(row + 1u, column, sizes.k, sizes.m),
      quadA(row + 2u, column, sizes.k, sizes.m),
      quadA(row + 3u, column, sizes.k, sizes.m),
    );
    // @else
    let p = place(lane, true);
    let row = origin.y + 4u * p.quad;
    let column = k + 4u * p.step;
    return transpose(mat4x4f(
      quadA(row, column, sizes.m, sizes.k),
      quadA(row + 1u, column, sizes.m, sizes.k),
      quadA(row + 2u, column, sizes.m, sizes.k),
      quadA(row + 3u, column, sizes.m, sizes.k),
    ));
    // @end
  }
  // @if TRANSPOSE_B
  let p = place(lane - BLOCKS, true);
  let row = origin.x + 4u * p.quad;
  let column = k + 4u * p.step;
  return transpose(mat4x4f(
    quadB(row, column, sizes.n, sizes.k),
    quadB(row + 1u, column, sizes.n, sizes.k),
    quadB(row + 2u, column, sizes.n, sizes.k),
    quadB(row + 3u, column, sizes.n, sizes.k),
  ));
  // @else
  let p = place(lane - BLOCKS, false);
  let row = k + 4u * p.step;
  let column = origin.x + 4u * p.quad;
  return mat4x4f(
    quadB(row, column, sizes.k, sizes.n),
    quadB(row + 1u, column, sizes.k, sizes.n),
    quadB(row + 2u, column, sizes.k, sizes.n),
    quadB(row + 3u, column, sizes.k, sizes.n),
  );
  // @end
}

/// Stores a block. Quads are swizzled by their step, else lanes that hold neighbouring steps of
/// one quad would all write to the same memory bank.
fn stage(lane: u32, block: mat4x4f) {
  if (lane < BLOCKS) {
    // @if TRANSPOSE_A
    let p = place(lane, false);
    // @else
    let p = place(lane, true);
    // @end
    let at = p.step * QUADS + (p.quad ^ (2u * p.step));
    // @each i 4
    tileA[$i][at] = block[$i];
    // @end
  } else {
    // @if TRANSPOSE_B
    let p = place(lane - BLOCKS, true);
    // @else
    let p = place(lane - BLOCKS, false);
    // @end
    let at = p.step * QUADS + (p.quad ^ (2u * p.step));
    // @each i 4
    tileB[$i][at] = block[$i];
    // @end
  }
}

/// Stores four columns of a row, the parts of them that are inside.
fn store(row: u32, column: u32, split: u32, y: vec4f) {
  if (row >= sizes.m || column >= sizes.n) {
    return;
  }
  // @if SPLIT
  let at = (split * sizes.m + row) * sizes.n + column;
  // @if VEC4
  parts[at / 4u] = y;
  // @else
  for (var i = 0u; i < min(4u, sizes.n - column); i++) {
    parts[at + i] = y[i];
  }
  // @end
  // @else
  let at = row * sizes.n + column;
  // @if VEC4
  finish(at / 4u, column / 4u, y);
  // @else
  for (var i = 0u; i < min(4u, sizes.n - column); i++) {
    finish(at + i, column + i, y[i]);
  }
  // @end
  // @end
}

@compute @workgroup_size(SIDE * SIDE)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) lane: u32) {
  let origin = id.xy * TILE; // first column, first row
  let row = lane / SIDE;
  let column = lane % SIDE;
  let begin = id.z * sizes.depth;
  let end = min(sizes.k, begin + sizes.depth);
  // One quad of columns for each of four rows: upper and lower rows, left and right columns.
  var upperLeft: array<vec4f, 4>;
  var upperRight: array<vec4f, 4>;
  var lowerLeft: array<vec4f, 4>;
  var lowerRight: array<vec4f, 4>;
  var block = fetch(lane, origin, begin);
  for (var k = begin; k < end; k += SIDE) {
    workgroupBarrier(); // the last step may still be read
    stage(lane, block);
    workgroupBarrier();
    if (k + SIDE < end) {
      block = fetch(lane, origin, k + SIDE);
    }
    for (var step = 0u; step < SIDE / 4u; step++) {
      let atA = step * QUADS + (row ^ (2u * step));
      let atB = step * QUADS + (column ^ (2u * step));
      // @each j 4
      {
        let upper = tileA[$j][atA];
        let lower = tileA[$j][atA + SIDE];
        let left = tileB[$j][atB];
        let right = tileB[$j][atB + SIDE];
        // @each i 4
        upperLeft[$i] += upper[$i] * left;
        upperRight[$i] += upper[$i] * right;
        lowerLeft[$i] += lower[$i] * left;
        lowerRight[$i] += lower[$i] * right;
        // @end
      }
      // @end
    }
  }
  let y = origin.y + 4u * row;
  let x = origin.x + 4u * column;
  // @each i 4
  store(y + $iu, x, id.z, upperLeft[$i]);
  store(y + $iu, x + 4u * SIDE, id.z, upperRight[$i]);
  store(y + $iu + 4u * SIDE, x, id.z, lowerLeft[$i]);
  store(y + $iu + 4u * SIDE, x + 4u * SIDE, id.z, lowerRight[$i]);
  // @end
}
