// dx (N, C) += the gradient at the input of a LayerNorm, one workgroup to a row. The gradients of
// its weight and bias are sums over rows: column_sums.wgsl. Needs reduce.wgsl.

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

// @stored Dout F16_DOUT

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read_write> dx: array<Value>;
@group(0) @binding(2) var<storage, read> dout: array<Dout>;
@group(0) @binding(3) var<storage, read> x: array<Value>;
@group(0) @binding(4) var<storage, read> weight: array<Value>;
@group(0) @binding(5) var<storage, read> mean: array<f32>;
@group(0) @binding(6) var<storage, read> rstd: array<f32>;

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
  let m = mean[n];
  let r = rstd[n];
  var sum = Value(0.0); // of dhat, the gradient at the normalised input
  var sumHat = Value(0.0); // of dhat · hat
  for (var c = lane; c < sizes.C; c += LANES) {
    let dhat = Value(dout[row + c]) * weight[c];
    sum += dhat;
    sumHat += dhat * ((x[row + c] - m) * r);
  }
  let average = workgroupSum(total(sum), lane) * sizes.inverse;
  let averageHat = workgroupSum(total(sumHat), lane) * sizes.inverse;
  for (var c = lane; c < sizes.C; c += LANES) {
    let hat = (x[row + c] - m) * r;
    let dhat = Value(dout[row + c]) * weight[c];
    dx[row + c] += (dhat - average - hat * averageHat) * r;
  }
}
