// out (m, n) = rows (m, k) · transpose of packed (n, k), rows as quantize_rows.wgsl leaves them, then
// bias, GELU and residual. One element to a thread; 16 threads read the 16 rows of a block side by
// side. Needs int8.wgsl.

struct Sizes {
  m: u32,
  n: u32,
  quads: u32, // k / 4
}

const BLOCK = 16u;

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<storage, read> rows: array<u32>;
@group(0) @binding(3) var<storage, read> packed: array<u32>;
@group(0) @binding(4) var<storage, read> scales: array<f32>;
@group(0) @binding(5) var<storage, read> sums: array<f32>;
// @if BIAS
@group(0) @binding(6) var<storage, read> bias: array<f32>;
// @end
// @if RESIDUAL
@group(0) @binding(7) var<storage, read> residual: array<f32>;
// @end

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = id.y;
  let j = id.x * 64u + lane;
  if (j >= sizes.n) {
    return;
  }
  let row = i * (sizes.quads + 2u);
  let block = j / BLOCK * sizes.quads * BLOCK + j % BLOCK;
  var products = vec4i(0);
  for (var l = 0u; l < sizes.quads; l++) {
    products += int8s(rows[row + l]) * int8s(packed[block + l * BLOCK]);
  }
  let sum = f32(products.x + products.y + products.z + products.w);
  let low = bitcast<f32>(rows[row + sizes.quads]);
  let step = bitcast<f32>(rows[row + sizes.quads + 1u]);
  var y = sum * step * scales[j] + low * sums[j];
  // @if BIAS
  y += bias[j];
  // @end
  // @if GELU
  // GELU's tanh form (Hendrycks & Gimpel 2016); its tanh is computed as in matmul_epilogue.wgsl.
  let z = clamp(0.7978845608 * (y + 0.044715 * y * y * y), -10.0, 10.0);
  y *= 1.0 - 1.0 / (exp(2.0 * z) + 1.0);
  // @end
  // @if RESIDUAL
  y += residual[i * sizes.n + j];
  // @end
  out[i * sizes.n + j] = y;
}
