// x = value, as bits: infinities and NaN cannot be written down in WGSL.

struct Sizes {
  size: u32, // in Values
  bits: u32,
}

// @if VEC4
alias Value = vec4u;
// @else
alias Value = u32;
// @end

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read_write> x: array<Value>;

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = groupIndex(id, grid) * 256u + lane;
  if (i < sizes.size) {
    x[i] = Value(sizes.bits);
  }
}
