// out (m, n) = a · b, either factor read as its transpose, with the epilogue of
// matmul_epilogue.wgsl.
//
// A workgroup of ROWS × COLUMNS threads computes a tile of 4·HIGH·ROWS × 4·WIDE·COLUMNS, a thread
// HIGH × WIDE blocks of 4 × 4 of it in registers: rows 4·row … and, if HIGH is 2, 4·(ROWS + row) …,
// columns likewise, so that lanes read neighbouring quads. The tile goes along k in steps of STEP.
// For one step each factor is STEP elements of each row or column of the tile, in blocks of 4 × 4:
// threads share out those of `a`, then those of `b`, transpose in registers a block whose memory
// runs along k, and stage it in workgroup memory as quads along m or n. The next step's blocks are
// fetched before this step is computed.
//
// SPLIT: workgroup z takes k from z·depth on and stores its part in `parts` (splits, m, n).
// Loops are unrolled by the template: WebGPU implementations bound every loop with a counter,
// which keeps drivers from unrolling.

// Powers of two; see matmul_plan.ts.
override ROWS: u32; // from 4
override COLUMNS: u32; // from 8
override HIGH: u32; // 1 or 2
override WIDE: u32; // 1 or 2
override STEP: u32;
override FETCHES: u32; // blocks for a thread
const THREADS = ROWS * COLUMNS;
const QUADS_A = HIGH * ROWS; // quads along m of the tile
const QUADS_B = WIDE * COLUMNS; // quads along n
const STEPS = STEP / 4u; // quads along k
const BLOCKS_A = QUADS_A * STEPS; // 4 × 4 blocks of a factor's step
const BLOCKS = (QUADS_A + QUADS_B) * STEPS;

struct Sizes {
  m: u32,
  n: u32,
  k: u32,
  depth: u32, // of a split; a multiple of STEP
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
var<workgroup> tileA: array<array<vec4f, STEPS * QUADS_A>, 4>;
var<workgroup> tileB: array<array<vec4f, STEPS * QUADS_B>, 4>;

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

/// Which block this is of a factor `quads` wide, so that neighbouring lanes read neighbouring memory.
fn place(block: u32, alongK: bool, quads: u32) -> Place {
  if (alongK) {
    return Place(block / STEPS, block % STEPS);
  }
  return Place(block % quads, block / quads);
}

fn placeA(block: u32) -> Place {
  // @if TRANSPOSE_A
  return place(block, false, QUADS_A);
  // @else
  return place(block, true, QUADS_A);
  // @end
}

fn placeB(block: u32) -> Place {
  // @if TRANSPOSE_B
  return place(block, true, QUADS_B);
  // @else
  return place(block, false, QUADS_B);
  // @end
}

/// A block of the step at `k`, its rows quads along m or n.
fn fetch(block: u32, origin: vec2u, k: u32) -> mat4x4f {
  if (block < BLOCKS_A) {
    let p = placeA(block);
    // @if TRANSPOSE_A
    let row = k + 4u * p.step;
    let column = origin.y + 4u * p.quad;
    return mat4x4f(
      quadA(row, column, sizes.k, sizes.m),
      quadA(row + 1u, column, sizes.k, sizes.m),
      quadA(row + 2u, column, sizes.k, sizes.m),
      quadA(row + 3u, column, sizes.k, sizes.m),
    );
    // @else
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
  if (block >= BLOCKS) {
    return mat4x4f();
  }
  let p = placeB(block - BLOCKS_A);
  // @if TRANSPOSE_B
  let row = origin.x + 4u * p.quad;
  let column = k + 4u * p.step;
  return transpose(mat4x4f(
    quadB(row, column, sizes.n, sizes.k),
    quadB(row + 1u, column, sizes.n, sizes.k),
    quadB(row + 2u, column, sizes.n, sizes.k),
    quadB(row + 3u, column, sizes.n, sizes.k),
  ));
  // @else
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

/// Where quads are moved to by their step, else lanes that hold neighbouring steps of one quad would
/// all write to the same memory bank.
fn swizzle(step: u32, lanes: u32) -> u32 {
  return (2u * step) & (lanes - 1u);
}

fn stage(block: u32, values: mat4x4f) {
  if (block < BLOCKS_A) {
    let p = placeA(block);
    let at = p.step * QUADS_A + (p.quad ^ swizzle(p.step, ROWS));
    // @each i 4
    tileA[$i][at] = values[$i];
    // @end
  } else if (block < BLOCKS) {
    let p = placeB(block - BLOCKS_A);
    let at = p.step * QUADS_B + (p.quad ^ swizzle(p.step, COLUMNS));
    // @each i 4
    tileB[$i][at] = values[$i];
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

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) lane: u32) {
  let origin = 4u * vec2u(QUADS_B, QUADS_A) * id.xy; // first column, first row
  // 32 lanes, which a GPU runs together, cover 4 × 8 threads' blocks: the squarer, the fewer distinct
  // quads they read.
  let warp = lane / 32u;
  let row = lane / 8u % 4u + 4u * (warp / (COLUMNS / 8u));
  let column = lane % 8u + 8u * (warp % (COLUMNS / 8u));
  let begin = id.z * sizes.depth;
  let end = min(sizes.k, begin + sizes.depth);
  // @each h HIGH
  // @each w WIDE
  var sum$h$w: array<vec4f, 4>; // one quad of columns for each of four rows
  // @end
  // @end
  // @each f FETCHES
  var block$f = fetch(lane + $fu * THREADS, origin, begin);
  // @end
  for (var k = begin; k < end; k += STEP) {
    workgroupBarrier(); // the last step may still be read
    // @each f FETCHES
    stage(lane + $fu * THREADS, block$f);
    // @end
    workgroupBarrier();
    if (k + STEP < end) {
      // @each f FETCHES
      block$f = fetch(lane + $fu * THREADS, origin, k + STEP);
      // @end
    }
    for (var step = 0u; step < STEPS; step++) {
      let atA = step * QUADS_A + (row ^ swizzle(step, ROWS));
      let atB = step * QUADS_B + (column ^ swizzle(step, COLUMNS));
      // @each j 4
      {
        // @each h HIGH
        let a$h = tileA[$j][atA + $hu * ROWS];
        // @end
        // @each w WIDE
        let b$w = tileB[$j][atB + $wu * COLUMNS];
        // @end
        // @each h HIGH
        // @each w WIDE
        // @each i 4
        sum$h$w[$i] += a$h[$i] * b$w;
        // @end
        // @end
        // @end
      }
      // @end
    }
  }
  let y = origin.y + 4u * row;
  let x = origin.x + 4u * column;
  // @each h HIGH
  // @each w WIDE
  // @each i 4
  store(y + $iu + 4u * $hu * ROWS, x + 4u * $wu * COLUMNS, id.z, sum$h$w[$i]);
  // @end
  // @end
  // @end
}
