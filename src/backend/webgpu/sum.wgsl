// Σ x or Σ x², in two stages of fixed order: every workgroup of the first sums a stride of x into
// one partial, the one workgroup of the second (FINAL) sums the partials. Needs reduce.wgsl.

struct Sizes {
  size: u32, // in Values
  base: u32, // place of the first partial, where x takes several dispatches
}

// @if VEC4
alias Value = vec4f;
// @else
alias Value = f32;
// @end

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<Value>;
// @if SCALED
@group(0) @binding(3) var<storage, read> scaling: array<f32>; // its first is the loss scale
// @end

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  var sum = Value(0.0);
  for (var i = id.x * LANES + lane; i < sizes.size; i += grid.x * LANES) {
    // @if SQUARES
    sum += x[i] * x[i];
    // @else
    sum += x[i];
    // @end
  }
  // @if VEC4
  let total = workgroupSum(sum.x + sum.y + sum.z + sum.w, lane);
  // @else
  let total = workgroupSum(sum, lane);
  // @end
  if (lane == 0u) {
    // @if ROOT
    // @if SCALED
    out[0] = sqrt(total) / scaling[0];
    // @else
    out[0] = sqrt(total);
    // @end
    // @else
    // @if FINAL
    out[0] += total;
    // @else
    out[sizes.base + id.x] = total;
    // @end
    // @end
  }
}
