// out = x, from one type of element to another.

struct Sizes {
  size: u32, // in elements, or fours of them with VEC4
}

// @stored Out F16_OUT
// @stored X F16_X

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read_write> out: array<Out>;
@group(0) @binding(2) var<storage, read> x: array<X>;

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = groupIndex(id, grid) * 256u + lane;
  if (i < sizes.size) {
    out[i] = Out(x[i]);
  }
}
