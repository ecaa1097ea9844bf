// Stores the key and value of every active row of qkv (N, 3C) in caches (S, NH, L, HS) of 8-bit
// numbers: x ≈ q · scale, where q is within ±127. One head of a row to a thread. Needs int8.wgsl.

struct Sizes {
  size: u32, // N · NH
  NH: u32,
  HS4: u32, // quads of a head
  S: u32,
  L: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read_write> keys: array<u32>;
@group(0) @binding(2) var<storage, read_write> values: array<u32>;
@group(0) @binding(3) var<storage, read_write> factors: array<f32>;
@group(0) @binding(4) var<storage, read> qkv: array<vec4f>;
@group(0) @binding(5) var<storage, read> positions: array<u32>;
@group(0) @binding(6) var<storage, read> slots: array<u32>;

/// Largest magnitude of a head's numbers, which begin at quad `start` of qkv.
fn magnitude(start: u32) -> f32 {
  var most = vec4f(0.0);
  for (var i = 0u; i < sizes.HS4; i++) {
    most = max(most, abs(qkv[start + i]));
  }
  return max(max(most.x, most.y), max(most.z, most.w));
}

/// Four numbers as four bytes.
fn packed(x: vec4f, inverse: f32) -> u32 {
  let q = vec4u(vec4i(round(x * inverse))) & vec4u(0xffu); // of two nearest the even one
  return q.x | (q.y << 8u) | (q.z << 16u) | (q.w << 24u);
}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = groupIndex(id, grid) * 64u + lane;
  if (i >= sizes.size) {
    return;
  }
  let n = i / sizes.NH;
  let position = positions[n];
  // Inactive rows stand at 2^32 − 1, so this leaves them out too.
  if (position < sizes.L && slots[n] < sizes.S) {
    let head = slots[n] * sizes.NH + i % sizes.NH;
    let to = (head * sizes.L + position) * sizes.HS4;
    let C4 = sizes.NH * sizes.HS4;
    let key = n * 3u * C4 + C4 + i % sizes.NH * sizes.HS4;
    let value = key + C4;
    let mostKey = magnitude(key);
    let mostValue = magnitude(value);
    let inverseKey = select(0.0, 127.0 / mostKey, mostKey > 0.0);
    let inverseValue = select(0.0, 127.0 / mostValue, mostValue > 0.0);
    var sums = vec4i(0);
    for (var c = 0u; c < sizes.HS4; c++) {
      let word = packed(qkv[key + c], inverseKey);
      keys[to + c] = word;
      sums += int8s(word);
      values[to + c] = packed(qkv[value + c], inverseValue);
    }
    let factor = head * 3u * sizes.L + position;
    let scale = mostKey / 127.0;
    factors[factor] = scale;
    factors[factor + sizes.L] = scale * f32(sums.x + sums.y + sums.z + sums.w);
    factors[factor + 2u * sizes.L] = mostValue / 127.0;
  }
}
