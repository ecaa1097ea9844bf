// Causal attention without a T×T matrix (Dao et al. 2022): a workgroup takes 64 queries of one
// head, a thread one query, and keys and values pass by in tiles of KEYS. Highest score and sum of
// exponentials are kept as they run. Row t sees keys t − positions[t] … t, and tiles before the
// first of these of all 64 queries are never touched.

override HS4: u32; // quads of a head
override KEYS: u32; // keys of a tile
const QUERIES = 64u;
const LOWEST = -1e30; // below every score

struct Sizes {
  T: u32,
  NH: u32,
  scale: f32, // 1 / √HS
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> lse: array<f32>;
@group(0) @binding(3) var<storage, read> qkv: array<vec4f>;
@group(0) @binding(4) var<storage, read> positions: array<u32>;

var<workgroup> keys: array<vec4f, KEYS * HS4>;
var<workgroup> values: array<vec4f, KEYS * HS4>;
var<workgroup> firsts: array<u32, QUERIES>;
var<workgroup> lowestFirst: u32;

@compute @workgroup_size(QUERIES)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let tile = grid.x - 1u - id.x; // the last queries see most keys: they start first
  let head = id.y;
  let sequence = id.z * sizes.T;
  let C4 = sizes.NH * HS4;
  let t = tile * QUERIES + lane;
  let isRow = t < sizes.T;
  let row = sequence + min(t, sizes.T - 1u);

  let first = select(sizes.T, t - min(positions[row], t), isRow);
  firsts[lane] = first;
  workgroupBarrier();
  if (lane == 0u) {
    var lowest = first;
    for (var i = 1u; i < QUERIES; i++) {
      lowest = min(lowest, firsts[i]);
    }
    lowestFirst = lowest;
  }
  let begin = workgroupUniformLoad(&lowestFirst);
  let end = min(sizes.T, (tile + 1u) * QUERIES);

  var q: array<vec4f, HS4>;
  var sum: array<vec4f, HS4>;
  let at = row * 3u * C4 + head * HS4;
  // @each i HS4
  q[$i] = qkv[at + $iu] * sizes.scale;
  // @end
  var highest = LOWEST;
  var total = 0.0;
  for (var base = begin; base < end; base += KEYS) {
    workgroupBarrier(); // the last tile may still be read
    for (var i = lane; i < KEYS * HS4; i += QUERIES) {
      let key = min(base + i / HS4, end - 1u);
      let place = (sequence + key) * 3u * C4 + head * HS4 + i % HS4;
      keys[i] = qkv[place + C4];
      values[i] = qkv[place + 2u * C4];
    }
    workgroupBarrier();
    for (var j = 0u; j < KEYS; j++) {
      let key = base + j;
      if (isRow && key >= first && key <= t) {
        let start = j * HS4;
        var dots = vec4f(0.0);
        // @each i HS4
        dots += q[$i] * keys[start + $iu];
        // @end
        let score = (dots.x + dots.y) + (dots.z + dots.w);
        if (score > highest) {
          let shrink = exp(highest - score);
          total *= shrink;
          // @each i HS4
          sum[$i] *= shrink;
          // @end
          highest = score;
        }
        let probability = exp(score - highest);
        total += probability;
        // @each i HS4
        sum[$i] += probability * values[start + $iu];
        // @end
      }
    }
  }
  if (isRow) {
    let inverse = 1.0 / total;
    // @each i HS4
    out[row * C4 + head * HS4 + $iu] = sum[$i] * inverse;
    // @end
    lse[row * sizes.NH + head] = highest + log(total);
  }
}
