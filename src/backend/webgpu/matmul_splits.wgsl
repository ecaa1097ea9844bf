// out (m, n) = Σ parts (splits, m, n), the second stage of a matrix product split along k, with
// the epilogue of matmul_epilogue.wgsl.

struct Sizes {
  size: u32, // m · n in Values
  n: u32, // in Values
  splits: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(3) var<storage, read> parts: array<Value>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = groupIndex(id, grid) * 64u + lane;
  if (i < sizes.size) {
    var sum = parts[i];
    for (var split = 1u; split < sizes.splits; split++) {
      sum += parts[split * sizes.size + i];
    }
    finish(i, i % sizes.n, sum);
  }
}
