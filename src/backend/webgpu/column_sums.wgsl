// Sums over slices of rows, the first of two stages: partials (slices, C) = Σ dout of biasBackward,
// or with LAYERNORM also partialsHat (slices, C) = Σ dout · hat. slices.wgsl adds the slices up.
// A workgroup takes 64 columns and one slice; its 4 rows of lanes go down the slice in turn.

struct Sizes {
  N: u32,
  C: u32,
  depth: u32, // rows of a slice
}

// @stored Dout F16_DOUT

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read_write> partials: array<f32>;
// @if LAYERNORM
@group(0) @binding(2) var<storage, read_write> partialsHat: array<f32>;
// @end
@group(0) @binding(3) var<storage, read> dout: array<Dout>;
// @if LAYERNORM
@group(0) @binding(4) var<storage, read> x: array<f32>;
@group(0) @binding(5) var<storage, read> mean: array<f32>;
@group(0) @binding(6) var<storage, read> rstd: array<f32>;

var<workgroup> sumsHat: array<f32, 256>;
// @end

var<workgroup> sums: array<f32, 256>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) lane: u32) {
  let c = id.x * 64u + lane % 64u;
  let end = min(sizes.N, (id.y + 1u) * sizes.depth);
  var sum = 0.0;
  // @if LAYERNORM
  var sumHat = 0.0;
  // @end
  if (c < sizes.C) {
    for (var n = id.y * sizes.depth + lane / 64u; n < end; n += 4u) {
      let d = f32(dout[n * sizes.C + c]);
      sum += d;
      // @if LAYERNORM
      sumHat += d * (x[n * sizes.C + c] - mean[n]) * rstd[n];
      // @end
    }
  }
  sums[lane] = sum;
  // @if LAYERNORM
  sumsHat[lane] = sumHat;
  // @end
  workgroupBarrier();
  if (lane < 64u && c < sizes.C) {
    let at = id.y * sizes.C + c;
    partials[at] = (sums[lane] + sums[lane + 64u]) + (sums[lane + 128u] + sums[lane + 192u]);
    // @if LAYERNORM
    partialsHat[at] = (sumsHat[lane] + sumsHat[lane + 64u]) +
      (sumsHat[lane + 128u] + sumsHat[lane + 192u]);
    // @end
  }
}
