// out (N, C) = (x − mean) · rstd · weight + bias (Ba et al. 2016), one workgroup to a row.
// Needs reduce.wgsl.

struct Sizes {
  N: u32,
  C: u32, // in Values
  inverse: f32, // 1 / C, in elements
}

// @if VEC4
alias Value = vec4f;
fn total(x: Value) -> f32 {
  return (x.x + x.y) + (x.z + x.w);
}
// @else
alias Value = f32;
fn total(x: Value) -> f32 {
  return x;
}
// @end

// @stored Out F16_OUT

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read_write> out: array<Out>;
@group(0) @binding(2) var<storage, read_write> mean: array<f32>;
@group(0) @binding(3) var<storage, read_write> rstd: array<f32>;
@group(0) @binding(4) var<storage, read> x: array<Value>;
@group(0) @binding(5) var<storage, read> weight: array<Value>;
@group(0) @binding(6) var<storage, read> bias: array<Value>;

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let n = groupIndex(id, grid);
  if (n >= sizes.N) {
    return;
  }
  let row = n * sizes.C;
  var sum = Value(0.0);
  for (var c = lane; c < sizes.C; c += LANES) {
    sum += x[row + c];
  }
  let m = workgroupSum(total(sum), lane) * sizes.inverse;
  var squares = Value(0.0);
  for (var c = lane; c < sizes.C; c += LANES) {
    let centred = x[row + c] - m;
    squares += centred * centred;
  }
  let r = inverseSqrt(workgroupSum(total(squares), lane) * sizes.inverse + 1e-5);
  for (var c = lane; c < sizes.C; c += LANES) {
    out[row + c] = Out((x[row + c] - m) * r * weight[c] + bias[c]);
  }
  if (lane == 0u) {
    mean[n] = m;
    rstd[n] = r;
  }
}
