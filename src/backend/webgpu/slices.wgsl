// out (C) += Σ partials (slices, C) over the slices, the second stage of column_sums.wgsl.

struct Sizes {
  size: u32, // C
  slices: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<storage, read> partials: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = id.x * 64u + lane;
  if (i < sizes.size) {
    var sum = 0.0;
    for (var slice = 0u; slice < sizes.slices; slice++) {
      sum += partials[slice * sizes.size + i];
    }
    out[i] += sum;
  }
}
