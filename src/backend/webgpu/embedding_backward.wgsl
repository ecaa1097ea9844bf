// dtable[indices[n]] += dout[n], without atomics and in a fixed order: a workgroup owns LANES
// Values of one row of the table and looks for that row's number among all indices, 32 · LANES at
// a time. A lane marks its finds as the bits of one word; then all lanes walk the words together.

override LANES: u32;

struct Sizes {
  N: u32,
  C: u32, // in Values
  blocks: u32, // workgroups along a row of C
  rows: u32, // of the table
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

var<workgroup> found: array<u32, LANES>;

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let group = groupIndex(id, grid);
  let row = group / sizes.blocks;
  let c = group % sizes.blocks * LANES + lane;
  let owns = row < sizes.rows && c < sizes.C;
  var sum = Value(0.0);
  var any = false;
  for (var base = 0u; base < sizes.N; base += 32u * LANES) {
    var mine = 0u;
    for (var j = 0u; j < 32u; j++) {
      let n = base + j * LANES + lane;
      if (n < sizes.N && indices[n] == row) {
        mine |= 1u << j;
      }
    }
    workgroupBarrier(); // the last words may still be read
    found[lane] = mine;
    workgroupBarrier();
    for (var i = 0u; i < LANES; i++) {
      for (var word = found[i]; word != 0u; word &= word - 1u) {
        let n = base + countTrailingZeros(word) * LANES + i;
        any = true;
        if (owns) {
          sum += dout[n * sizes.C + c];
        }
      }
    }
  }
  if (owns && any) {
    dtable[row * sizes.C + c] += sum;
  }
}
