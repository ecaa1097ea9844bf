// Tiles of attention, the same for forward and backward. A workgroup of 64 lanes owns 64 rows of
// one head and sequence (queries, or keys in the backward pass), and 32 others pass by at a time.
// Scores of the tile are a small matrix product over the head's dimensions; weights made of them
// stay in workgroup memory for a second product over the others. Lane (r, c) of 8 × 8 holds own
// rows 4·r … and 32 + 4·r …, and in scores the others 4·c …, in sums the quads 8·g + c.
// Heads wider than 64 are summed in parts by several workgroups, each with the scores for itself.
//
// 14 KiB of workgroup memory: within the 16 KiB that every adapter has. Loops that matter are
// unrolled by the template, as in matmul.wgsl.

override GROUPS: u32; // groups of 8 quads that a lane sums: 1 or 2
const LANES = 64u;
const OWN = 64u;
const OTHERS = 32u;
const CHUNK = 16u; // others staged at once for a sum

struct Sizes {
  T: u32,
  NH: u32,
  HS4: u32, // quads of a head
  parts: u32, // workgroups that share the sums of one head, HS4 / (8 · GROUPS) rounded up
  scale: f32, // 1 / √HS
}

// @stored Quad F16

@group(0) @binding(0) var<uniform> sizes: Sizes;

/// Which matrix: the three of qkv in their order, and dout.
const Q = 0u;
const K = 1u;
const V = 2u;
const DOUT = 3u;

var<private> sequence: u32; // its first row of N
var<private> head: u32;
var<private> firstQuad: u32; // of the head's, the first that this workgroup sums

// Dimension or other number x is at [x % 4], so that the four of a quad share one index check.
var<workgroup> staged: array<array<vec4f, 96>, 4>; // 16 dimensions of 64 own rows and 32 others
var<workgroup> weights: array<array<vec4f, OTHERS * 4u>, 4>; // (others, own rows in quads)

/// Own scores in `scores`, for each own row of a lane the four others of the lane.
alias Scores = array<vec4f, 8>;
/// Own sums of a lane: for each group of quads its eight own rows.
alias Sums = array<vec4f, 8u * GROUPS>;

/// Says which head, and which part of it, a workgroup works on.
fn locate(id: vec3u) {
  sequence = id.z * sizes.T;
  head = id.y / sizes.parts;
  firstQuad = id.y % sizes.parts * 8u * GROUPS;
}

/// Quad `i` of a row of the sequence, zero outside.
fn quad(kind: u32, row: u32, i: u32) -> vec4f {
  if (row >= sizes.T || i >= sizes.HS4) {
    return vec4f(0.0);
  }
  let C4 = sizes.NH * sizes.HS4;
  // @if BACKWARD
  if (kind == DOUT) {
    return vec4f(dout[(sequence + row) * C4 + head * sizes.HS4 + i]);
  }
  // @end
  return vec4f(qkv[((sequence + row) * 3u + kind) * C4 + head * sizes.HS4 + i]);
}

/// 4 rows × 4 dimensions, as columns of rows.
fn block(kind: u32, row: u32, i: u32) -> mat4x4f {
  return transpose(mat4x4f(
    quad(kind, row, i),
    quad(kind, row + 1u, i),
    quad(kind, row + 2u, i),
    quad(kind, row + 3u, i),
  ));
}

/// Dot products of 64 own rows of one matrix with 32 others of another. Quads are swizzled by
/// their dimension to spread stores over memory banks.
fn scores(ownKind: u32, own: u32, otherKind: u32, other: u32, lane: u32) -> Scores {
  let r = lane / 8u;
  let c = lane % 8u;
  let rows = lane / 4u; // quad of rows, and quad of dimensions, that this lane stages
  let dims = lane % 4u;
  var s: Scores;
  for (var first = 0u; first < sizes.HS4; first += 4u) {
    let ownBlock = block(ownKind, own + 4u * rows, first + dims);
    workgroupBarrier(); // what was staged may still be read
    let toOwn = 16u * dims + (rows ^ (2u * dims));
    // @each i 4
    staged[$i][toOwn] = ownBlock[$i];
    // @end
    if (lane < OTHERS) {
      let otherBlock = block(otherKind, other + 4u * rows, first + dims);
      let toOther = 64u + 8u * dims + (rows ^ (2u * dims));
      // @each i 4
      staged[$i][toOther] = otherBlock[$i];
      // @end
    }
    workgroupBarrier();
    for (var d = 0u; d < 4u; d++) {
      let atOwn = 16u * d + (r ^ (2u * d));
      let atOther = 64u + 8u * d + (c ^ (2u * d));
      // @each j 4
      {
        let upper = staged[$j][atOwn];
        let lower = staged[$j][atOwn + 8u];
        let right = staged[$j][atOther];
        // @each i 4
        s[$i] += upper[$i] * right;
        s[4 + $i] += lower[$i] * right;
        // @end
      }
      // @end
    }
  }
  return s;
}

/// Place of a quad of own rows in `weights`, for four others: swizzled by these.
fn placeOf(otherQuad: u32, ownQuad: u32) -> u32 {
  return 16u * otherQuad + (ownQuad ^ otherQuad);
}

/// Stores a lane's scores as weights.
fn setWeights(s: Scores, lane: u32) {
  let upper = transpose(mat4x4f(s[0], s[1], s[2], s[3]));
  let lower = transpose(mat4x4f(s[4], s[5], s[6], s[7]));
  let at = placeOf(lane % 8u, lane / 8u);
  // @each j 4
  weights[$j][at] = upper[$j];
  weights[$j][at + 8u] = lower[$j];
  // @end
}

/// sums += weights · 32 others of a matrix.
fn addWeighted(sums: ptr<function, Sums>, kind: u32, other: u32, lane: u32) {
  let r = lane / 8u;
  let c = lane % 8u;
  for (var first = 0u; first < OTHERS; first += CHUNK) {
    workgroupBarrier(); // what was staged may still be read, and weights are there
    for (var i = lane; i < CHUNK * 8u * GROUPS; i += LANES) {
      let o = i / (8u * GROUPS);
      let column = i % (8u * GROUPS);
      let to = o / 4u * 8u * GROUPS + column;
      staged[o % 4u][to] = quad(kind, other + first + o, firstQuad + column);
    }
    workgroupBarrier();
    for (var o = 0u; o < CHUNK; o += 4u) {
      let at = placeOf((first + o) / 4u, r);
      let atRight = o / 4u * 8u * GROUPS + c;
      // @each j 4
      {
        let upper = weights[$j][at];
        let lower = weights[$j][at + 8u];
        // @each g GROUPS
        {
          let right = staged[$j][atRight + $gu * 8u];
          // @each i 4
          (*sums)[8 * $g + $i] += upper[$i] * right;
          (*sums)[8 * $g + 4 + $i] += lower[$i] * right;
          // @end
        }
        // @end
      }
      // @end
    }
  }
}
