// The key part of dqkv (N, 3C), with DKEYS, or else its value part: a workgroup takes 64 keys of one
// head, a thread one key, and queries with their dout pass by in tiles. Key and value parts are
// two dispatches because one thread's registers do not hold both.

override HS4: u32; // quads of a head
override QUERIES: u32; // queries of a tile
const KEYS = 64u;

struct Sizes {
  T: u32,
  NH: u32,
  scale: f32, // 1 / √HS
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read_write> dqkv: array<vec4f>;
@group(0) @binding(2) var<storage, read> dout: array<vec4f>;
@group(0) @binding(3) var<storage, read> lse: array<f32>;
@group(0) @binding(4) var<storage, read> qkv: array<vec4f>;
@group(0) @binding(5) var<storage, read> positions: array<u32>;
// @if DKEYS
@group(0) @binding(6) var<storage, read> delta: array<f32>;
// @end

var<workgroup> queries: array<vec4f, QUERIES * HS4>;
var<workgroup> douts: array<vec4f, QUERIES * HS4>;
var<workgroup> firsts: array<u32, QUERIES>;
var<workgroup> lses: array<f32, QUERIES>;
// @if DKEYS
var<workgroup> deltas: array<f32, QUERIES>;
// @end

@compute @workgroup_size(KEYS)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) lane: u32) {
  let head = id.y;
  let sequence = id.z * sizes.T;
  let C4 = sizes.NH * HS4;
  let key = id.x * KEYS + lane;
  let isRow = key < sizes.T;
  let row = sequence + min(key, sizes.T - 1u);
  let at = row * 3u * C4 + head * HS4;

  var k: array<vec4f, HS4>;
  var sum: array<vec4f, HS4>;
  // @each i HS4
  k[$i] = qkv[at + C4 + $iu] * sizes.scale;
  // @end
  // @if DKEYS
  var v: array<vec4f, HS4>;
  // @each i HS4
  v[$i] = qkv[at + 2u * C4 + $iu];
  // @end
  // @end
  for (var base = id.x * KEYS; base < sizes.T; base += QUERIES) {
    workgroupBarrier(); // the last tile may still be read
    for (var i = lane; i < QUERIES * HS4; i += KEYS) {
      let query = sequence + min(base + i / HS4, sizes.T - 1u);
      let quad = head * HS4 + i % HS4;
      queries[i] = qkv[query * 3u * C4 + quad];
      douts[i] = dout[query * C4 + quad];
    }
    if (lane < QUERIES) {
      let t = min(base + lane, sizes.T - 1u);
      let query = sequence + t;
      firsts[lane] = t - min(positions[query], t);
      lses[lane] = lse[query * sizes.NH + head];
      // @if DKEYS
      deltas[lane] = delta[query * sizes.NH + head];
      // @end
    }
    workgroupBarrier();
    for (var j = 0u; j < QUERIES; j++) {
      let t = base + j;
      if (isRow && t < sizes.T && key <= t && key >= firsts[j]) {
        let start = j * HS4;
        var scores = vec4f(0.0);
        // @each i HS4
        scores += k[$i] * queries[start + $iu];
        // @end
        let probability = exp((scores.x + scores.y) + (scores.z + scores.w) - lses[j]);
        // @if DKEYS
        var dprobabilities = vec4f(0.0);
        // @each i HS4
        dprobabilities += v[$i] * douts[start + $iu];
        // @end
        let dprobability = (dprobabilities.x + dprobabilities.y) +
          (dprobabilities.z + dprobabilities.w);
        let dscore = probability * (dprobability - deltas[j]) * sizes.scale;
        // @each i HS4
        sum[$i] += dscore * queries[start + $iu];
        // @end
        // @else
        // @each i HS4
        sum[$i] += probability * douts[start + $iu];
        // @end
        // @end
      }
    }
  }
  if (isRow) {
    // @if DKEYS
    let to = at + C4;
    // @else
    let to = at + 2u * C4;
    // @end
    // @each i HS4
    dqkv[to + $iu] = sum[$i];
    // @end
  }
}
