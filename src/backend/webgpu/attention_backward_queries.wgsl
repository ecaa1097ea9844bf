// The query part of dqkv (N, 3C): a workgroup takes 64 queries of one head, a thread one query, and
// keys and values pass by in tiles. Probabilities come back from `lse`. Also stores delta (N, NH) =
// Σ dout · out, which the key and value parts need.

override HS4: u32; // quads of a head
override KEYS: u32; // keys of a tile
const QUERIES = 64u;

struct Sizes {
  T: u32,
  NH: u32,
  scale: f32, // 1 / √HS
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read_write> dqkv: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> delta: array<f32>;
@group(0) @binding(3) var<storage, read> dout: array<vec4f>;
@group(0) @binding(4) var<storage, read> lse: array<f32>;
@group(0) @binding(5) var<storage, read> qkv: array<vec4f>;
@group(0) @binding(6) var<storage, read> positions: array<u32>;
@group(0) @binding(7) var<storage, read> out: array<vec4f>;

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
  let tile = grid.x - 1u - id.x;
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
  var dy: array<vec4f, HS4>;
  var sum: array<vec4f, HS4>;
  let at = row * 3u * C4 + head * HS4;
  let y = row * C4 + head * HS4;
  var deltas = vec4f(0.0);
  // @each i HS4
  q[$i] = qkv[at + $iu] * sizes.scale;
  dy[$i] = dout[y + $iu];
  deltas += dy[$i] * out[y + $iu];
  // @end
  let ownDelta = (deltas.x + deltas.y) + (deltas.z + deltas.w);
  let ownLse = lse[row * sizes.NH + head];
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
        var scores = vec4f(0.0);
        var dprobabilities = vec4f(0.0);
        // @each i HS4
        scores += q[$i] * keys[start + $iu];
        dprobabilities += dy[$i] * values[start + $iu];
        // @end
        let probability = exp((scores.x + scores.y) + (scores.z + scores.w) - ownLse);
        let dprobability = (dprobabilities.x + dprobabilities.y) +
          (dprobabilities.z + dprobabilities.w);
        let dscore = probability * (dprobability - ownDelta);
        // @each i HS4
        sum[$i] += dscore * keys[start + $iu];
        // @end
      }
    }
  }
  if (isRow) {
    // @each i HS4
    dqkv[at + $iu] = sum[$i] * sizes.scale;
    // @end
    delta[row * sizes.NH + head] = ownDelta;
  }
}
