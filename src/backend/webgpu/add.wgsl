// out = a + b. A term that is `out` itself is not bound again: WebGPU forbids the alias.

struct Sizes {
  size: u32, // in Values
}

// @if VEC4
alias Value = vec4f;
// @else
alias Value = f32;
// @end

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read_write> out: array<Value>;
// @if A
@group(0) @binding(2) var<storage, read> a: array<Value>;
// @end
// @if B
@group(0) @binding(3) var<storage, read> b: array<Value>;
// @end

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = groupIndex(id, grid) * 256u + lane;
  if (i < sizes.size) {
    // @if A
    var sum = a[i];
    // @else
    var sum = out[i];
    // @end
    // @if B
    sum += b[i];
    // @else
    sum += out[i];
    // @end
    out[i] = sum;
  }
}
