// Each row of a (m, k) in 7 bits: x ≈ low + step · q, q from 0 to 127, four to a word. A row of out is
// k / 4 words, then low and step. One workgroup to a row. Needs reduce.wgsl.

struct Sizes {
  m: u32,
  quads: u32, // k / 4
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read_write> out: array<u32>;
@group(0) @binding(2) var<storage, read> a: array<vec4f>;

const HIGHEST = 1e30; // above every element

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = groupIndex(id, grid);
  if (i >= sizes.m) {
    return;
  }
  let row = i * sizes.quads;
  var lows = vec4f(HIGHEST);
  var highs = vec4f(-HIGHEST);
  for (var l = lane; l < sizes.quads; l += LANES) {
    lows = min(lows, a[row + l]);
    highs = max(highs, a[row + l]);
  }
  let low = -workgroupMax(-min(min(lows.x, lows.y), min(lows.z, lows.w)), lane);
  let high = workgroupMax(max(max(highs.x, highs.y), max(highs.z, highs.w)), lane);
  let range = high - low;
  let inverse = select(0.0, 127.0 / range, range > 0.0);
  let to = i * (sizes.quads + 2u);
  for (var l = lane; l < sizes.quads; l += LANES) {
    let q = vec4u(round((a[row + l] - low) * inverse)); // of two nearest the even one
    out[to + l] = q.x | (q.y << 8u) | (q.z << 16u) | (q.w << 24u);
  }
  if (lane == 0u) {
    out[to + sizes.quads] = bitcast<u32>(low);
    out[to + sizes.quads + 1u] = bitcast<u32>(range / 127.0);
  }
}
