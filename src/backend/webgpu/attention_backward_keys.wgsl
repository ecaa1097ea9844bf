// The key and value parts of dqkv (N, 3C): a workgroup owns 64 keys, and the queries that may see
// them pass by with their dout. Needs attention_tile.wgsl.

@group(0) @binding(1) var<storage, read_write> dqkv: array<Quad>;
@group(0) @binding(2) var<storage, read> dout: array<Quad>;
@group(0) @binding(3) var<storage, read> lse: array<f32>;
@group(0) @binding(4) var<storage, read> qkv: array<Quad>;
@group(0) @binding(5) var<storage, read> positions: array<u32>;
@group(0) @binding(6) var<storage, read> delta: array<f32>;

var<workgroup> ends: array<u32, LANES>;
var<workgroup> highestEnd: u32;
var<workgroup> firsts: array<u32, OTHERS>;
var<workgroup> lses: array<f32, OTHERS>;
var<workgroup> deltas: array<f32, OTHERS>;

fn firstOf(t: u32) -> u32 {
  return t - min(positions[sequence + t], t);
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) lane: u32) {
  let own = id.x * OWN;
  locate(id);

  // After the last query that sees one of the own keys.
  ends[lane] = 0u;
  for (var t = own + lane; t < sizes.T; t += LANES) {
    if (firstOf(t) < own + OWN) {
      ends[lane] = t + 1u;
    }
  }
  workgroupBarrier();
  if (lane == 0u) {
    var highest = ends[0];
    for (var i = 1u; i < LANES; i++) {
      highest = max(highest, ends[i]);
    }
    highestEnd = highest;
  }
  let end = workgroupUniformLoad(&highestEnd);

  let keys = own + lane / 8u * 4u; // the upper own rows of this lane; the lower are 32 on
  let four = lane % 8u * 4u; // its queries of a tile
  var sumsK: Sums;
  var sumsV: Sums;
  for (var base = own; base < end; base += OTHERS) {
    if (lane < OTHERS) {
      let t = base + lane;
      firsts[lane] = sizes.T; // a query outside sees nothing
      if (t < sizes.T) {
        let row = (sequence + t) * sizes.NH + head;
        firsts[lane] = firstOf(t);
        lses[lane] = lse[row];
        deltas[lane] = delta[row];
      }
    }
    var p = scores(K, own, Q, base, lane);
    let first = vec4u(firsts[four], firsts[four + 1u], firsts[four + 2u], firsts[four + 3u]);
    let logSum = vec4f(lses[four], lses[four + 1u], lses[four + 2u], lses[four + 3u]);
    let ownDelta = vec4f(deltas[four], deltas[four + 1u], deltas[four + 2u], deltas[four + 3u]);
    let ts = base + four + vec4u(0u, 1u, 2u, 3u);
    // @each i 4
    p[$i] = probabilities(p[$i], keys + $iu, ts, first, logSum);
    p[4 + $i] = probabilities(p[4 + $i], keys + 32u + $iu, ts, first, logSum);
    // @end
    setWeights(p, lane);
    addWeighted(&sumsV, DOUT, base, lane);
    let dp = scores(V, own, DOUT, base, lane);
    // @each i 8
    p[$i] *= (dp[$i] - ownDelta) * sizes.scale;
    // @end
    setWeights(p, lane);
    addWeighted(&sumsK, Q, base, lane);
  }
  let column = firstQuad + lane % 8u;
  // @each g GROUPS
  // @each i 4
  store(K, keys + $iu, column + 8u * $gu, sumsK[8 * $g + $i]);
  store(K, keys + 32u + $iu, column + 8u * $gu, sumsK[8 * $g + 4 + $i]);
  store(V, keys + $iu, column + 8u * $gu, sumsV[8 * $g + $i]);
  store(V, keys + 32u + $iu, column + 8u * $gu, sumsV[8 * $g + 4 + $i]);
  // @end
  // @end
}

/// Attention that four queries pay to one key.
fn probabilities(s: vec4f, key: u32, ts: vec4u, first: vec4u, logSum: vec4f) -> vec4f {
  let isSeen = (vec4u(key) >= first) & (vec4u(key) <= ts);
  return select(vec4f(0.0), exp(s * sizes.scale - logSum), isSeen);
}

fn store(kind: u32, row: u32, i: u32, y: vec4f) {
  if (row < sizes.T && i < sizes.HS4) {
    dqkv[(((sequence + row) * 3u + kind) * sizes.NH + head) * sizes.HS4 + i] = Quad(y);
  }
}
