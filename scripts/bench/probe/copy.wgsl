// Copies four numbers a thread, or with FILL writes numbers that tell where they stand.

// @if F16
enable f16;
alias Value = vec4<f16>;
// @else
alias Value = vec4f;
// @end

struct Sizes {
  size: u32, // in Values
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read_write> out: array<Value>;
// @if FILL
// @else
@group(0) @binding(2) var<storage, read> source: array<Value>;
// @end

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (id.y * grid.x + id.x) * 256u + lane;
  if (i >= sizes.size) {
    return;
  }
  // @if FILL
  // Whole numbers from 1 to 2039, which f16 holds too and none of which a new buffer has.
  out[i] = Value(vec4f(f32(1u + i % 2039u), f32(1u + i / 2039u % 2039u), 1.0, 2.0));
  // @else
  out[i] = source[i];
  // @end
}
