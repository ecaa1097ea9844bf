// Attention of the rows of qkv (N, 3C) over key and value caches (S, NH, L, HS), after
// attention_cached_store.wgsl, or with INT8 after attention_cached_int8_store.wgsl: the caches are then
// words of four numbers, which have factors. One workgroup to a row and head. Keys come in tiles of 64, a lane
// scores one; then the lanes are GROUPS groups of HS4, each group adds up every GROUPS-th value of
// the tile, a lane one quad of it, and at the end the groups are added up.

override HS4: u32; // quads of a head
override GROUPS: u32; // 64 / HS4, rounded down
const LANES = 64u;
const LOWEST = -1e30; // below every score

struct Sizes {
  N: u32,
  NH: u32,
  S: u32,
  L: u32,
  scale: f32, // 1 / √HS
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(2) var<storage, read> qkv: array<vec4f>;
@group(0) @binding(3) var<storage, read> positions: array<u32>;
@group(0) @binding(4) var<storage, read> slots: array<u32>;
// @if INT8
@group(0) @binding(5) var<storage, read> keys: array<u32>;
@group(0) @binding(6) var<storage, read> values: array<u32>;
@group(0) @binding(7) var<storage, read> factors: array<f32>;
// @else
@group(0) @binding(5) var<storage, read> keys: array<vec4f>;
@group(0) @binding(6) var<storage, read> values: array<vec4f>;
// @end

var<workgroup> query: array<vec4f, HS4>;
var<workgroup> scores: array<f32, LANES>;
var<workgroup> sums: array<vec4f, LANES>;

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let group = groupIndex(id, grid);
  if (group >= sizes.N * sizes.NH) {
    return;
  }
  let n = group / sizes.NH;
  let head = group % sizes.NH;
  let C4 = sizes.NH * HS4;
  let isActive = positions[n] < sizes.L && slots[n] < sizes.S;
  let end = select(0u, positions[n] + 1u, isActive);
  let first = (min(slots[n], sizes.S - 1u) * sizes.NH + head) * sizes.L; // position 0 of the slot
  let cache = first * HS4;
  if (lane < HS4) {
    query[lane] = qkv[n * 3u * C4 + head * HS4 + lane] * sizes.scale;
  }
  let quad = lane % HS4;
  let part = lane / HS4; // lanes past the last whole group add nothing
  var highest = LOWEST;
  var total = 0.0; // the same in every lane
  var sum = vec4f(0.0);
  for (var base = 0u; base < end; base += LANES) {
    workgroupBarrier();
    let key = base + lane;
    var score = LOWEST;
    if (key < end) {
      var dots = vec4f(0.0);
      for (var i = 0u; i < HS4; i++) {
        // @if INT8
        dots += query[i] * vec4f(int8s(keys[cache + key * HS4 + i]));
        // @else
        dots += query[i] * keys[cache + key * HS4 + i];
        // @end
      }
      score = (dots.x + dots.y) + (dots.z + dots.w);
      // @if INT8
      score *= factors[first * 3u + key];
      // @end
    }
    scores[lane] = score;
    workgroupBarrier();
    let count = min(LANES, end - base);
    var highestNow = highest;
    for (var j = 0u; j < count; j++) {
      highestNow = max(highestNow, scores[j]);
    }
    let shrink = exp(highest - highestNow);
    highest = highestNow;
    total *= shrink;
    sum *= shrink;
    workgroupBarrier(); // everyone has the maximum
    if (key < end) {
      scores[lane] = exp(score - highest);
    }
    workgroupBarrier();
    for (var j = 0u; j < count; j++) {
      total += scores[j];
    }
    if (part < GROUPS) {
      for (var j = part; j < count; j += GROUPS) {
        // @if INT8
        let scale = factors[first * 3u + 2u * sizes.L + base + j];
        sum += scores[j] * scale * vec4f(int8s(values[cache + (base + j) * HS4 + quad]));
        // @else
        sum += scores[j] * values[cache + (base + j) * HS4 + quad];
        // @end
      }
    }
  }
  sums[lane] = sum;
  workgroupBarrier();
  if (lane < HS4) {
    var y = sums[lane];
    for (var g = 1u; g < GROUPS; g++) {
      y += sums[g * HS4 + lane];
    }
    out[n * C4 + head * HS4 + lane] = select(vec4f(0.0), y / total, isActive);
  }
}
