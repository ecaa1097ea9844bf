// The query part of dqkv (N, 3C): a workgroup owns 64 queries, keys and values pass by, and
// probabilities come back from `lse`. Also stores delta (N, NH) = Σ dout · out of each row and
// head, which the key and value parts need. Needs attention_tile.wgsl.

@group(0) @binding(1) var<storage, read_write> dqkv: array<Quad>;
@group(0) @binding(2) var<storage, read_write> delta: array<f32>;
@group(0) @binding(3) var<storage, read> dout: array<Quad>;
@group(0) @binding(4) var<storage, read> lse: array<f32>;
@group(0) @binding(5) var<storage, read> qkv: array<Quad>;
@group(0) @binding(6) var<storage, read> positions: array<u32>;
@group(0) @binding(7) var<storage, read> out: array<Quad>;

var<workgroup> firsts: array<u32, OWN>;
var<workgroup> lses: array<f32, OWN>;
var<workgroup> deltas: array<f32, OWN>;
var<workgroup> lowestFirst: u32;

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let tile = grid.x - 1u - id.x; // the last queries see most keys: they start first
  let own = tile * OWN;
  locate(id);

  let t = own + lane;
  firsts[lane] = sizes.T; // a row outside sees nothing
  if (t < sizes.T) {
    let row = (sequence + t) * sizes.NH + head;
    var sum = vec4f(0.0);
    for (var i = 0u; i < sizes.HS4; i++) {
      sum += vec4f(dout[row * sizes.HS4 + i]) * vec4f(out[row * sizes.HS4 + i]);
    }
    firsts[lane] = t - min(positions[sequence + t], t);
    lses[lane] = lse[row];
    deltas[lane] = (sum.x + sum.y) + (sum.z + sum.w);
    if (firstQuad == 0u) {
      delta[row] = deltas[lane];
    }
  }
  workgroupBarrier();
  if (lane == 0u) {
    var lowest = firsts[0];
    for (var i = 1u; i < OWN; i++) {
      lowest = min(lowest, firsts[i]);
    }
    lowestFirst = lowest;
  }
  let begin = workgroupUniformLoad(&lowestFirst);
  let end = min(sizes.T, own + OWN);

  let upper = lane / 8u * 4u; // own rows of this lane, from the tile's first
  let lower = upper + 32u;
  var sums: Sums;
  for (var base = begin; base < end; base += OTHERS) {
    let s = scores(Q, own, K, base, lane);
    let dp = scores(DOUT, own, V, base, lane);
    let keys = base + lane % 8u * 4u + vec4u(0u, 1u, 2u, 3u);
    var ds: Scores;
    // @each i 4
    ds[$i] = dscores(s[$i], dp[$i], keys, own, upper + $iu);
    ds[4 + $i] = dscores(s[4 + $i], dp[4 + $i], keys, own, lower + $iu);
    // @end
    setWeights(ds, lane);
    addWeighted(&sums, K, base, lane);
  }
  let column = firstQuad + lane % 8u;
  // @each g GROUPS
  // @each i 4
  store(own + upper + $iu, column + 8u * $gu, sums[8 * $g + $i]);
  store(own + lower + $iu, column + 8u * $gu, sums[8 * $g + 4 + $i]);
  // @end
  // @end
}

/// Gradient at the scores of four keys, times the scale of what they are multiplied with.
fn dscores(s: vec4f, dp: vec4f, keys: vec4u, own: u32, row: u32) -> vec4f {
  let isSeen = (keys >= vec4u(firsts[row])) & (keys <= vec4u(own + row));
  let p = select(vec4f(0.0), exp(s * sizes.scale - lses[row]), isSeen);
  return p * (dp - deltas[row]) * sizes.scale;
}

fn store(row: u32, i: u32, y: vec4f) {
  if (row < sizes.T && i < sizes.HS4) {
    dqkv[((sequence + row) * 3u * sizes.NH + head) * sizes.HS4 + i] = Quad(y);
  }
}
