// dtable[indices[n]] += dout[n], without atomics and in a fixed order. A workgroup owns COLUMNS
// Values of one row of the table. It has STRANDS of COLUMNS lanes: each takes every STRANDS-th chunk
// and walks its list, see embedding_lists.wgsl, and then their sums are added up.

override CHUNK: u32;
override COLUMNS: u32;
override STRANDS: u32;

const NONE = 0xffffffffu;

struct Sizes {
  N: u32,
  C: u32, // in Values
  blocks: u32, // workgroups along a row of C
  rows: u32, // of the table
  chunks: u32,
}

// @if VEC4
alias Value = vec4f;
// @else
alias Value = f32;
// @end

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read_write> dtable: array<Value>;
@group(0) @binding(2) var<storage, read> dout: array<Value>;
@group(0) @binding(3) var<storage, read> indices: array<u32>;
@group(0) @binding(4) var<storage, read> heads: array<u32>;
@group(0) @binding(5) var<storage, read> next: array<u32>;

var<workgroup> sums: array<Value, COLUMNS * STRANDS>;

@compute @workgroup_size(COLUMNS * STRANDS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let group = groupIndex(id, grid);
  let row = group / sizes.blocks;
  let c = group % sizes.blocks * COLUMNS + lane % COLUMNS;
  let owns = row < sizes.rows && c < sizes.C;
  var sum = Value(0.0);
  if (owns) {
    for (var chunk = lane / COLUMNS; chunk < sizes.chunks; chunk += STRANDS) {
      var n = heads[row * sizes.chunks + chunk];
      if (n >= sizes.N || n / CHUNK != chunk || indices[n] != row) {
        continue; // what was there before
      }
      while (n != NONE) {
        sum += dout[n * sizes.C + c];
        n = next[n];
      }
    }
  }
  sums[lane] = sum;
  workgroupBarrier();
  if (owns && lane < COLUMNS) {
    for (var strand = 1u; strand < STRANDS; strand++) {
      sum += sums[strand * COLUMNS + lane];
    }
    if (!all(sum == Value(0.0))) { // most rows are named nowhere; what is no number goes on
      dtable[row * sizes.C + c] += sum;
    }
  }
}
