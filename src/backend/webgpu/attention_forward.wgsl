// Causal attention without a T×T matrix (Dao et al. 2022): a workgroup owns 64 queries, keys and
// values pass by, and each row's highest score and sum of exponentials are kept as they run. Row t
// sees keys t − positions[t] … t; keys before the first of these of all 64 rows are never touched.
// Needs attention_tile.wgsl.

const LOWEST = -1e30; // below every score

@group(0) @binding(1) var<storage, read_write> out: array<Quad>;
@group(0) @binding(2) var<storage, read_write> lse: array<f32>;
@group(0) @binding(3) var<storage, read> qkv: array<Quad>;
@group(0) @binding(4) var<storage, read> positions: array<u32>;

var<workgroup> firsts: array<u32, OWN>;
var<workgroup> lowestFirst: u32;
var<workgroup> exchange: array<vec4f, LANES>;
var<workgroup> perRow: array<vec4f, OWN / 4u>;

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
  let first = select(sizes.T, t - min(positions[sequence + min(t, sizes.T - 1u)], t), t < sizes.T);
  firsts[lane] = first;
  workgroupBarrier();
  if (lane == 0u) {
    var lowest = first;
    for (var i = 1u; i < OWN; i++) {
      lowest = min(lowest, firsts[i]);
    }
    lowestFirst = lowest;
  }
  let begin = workgroupUniformLoad(&lowestFirst);
  let end = min(sizes.T, own + OWN);

  // For the softmax a lane takes four rows and a quarter of the others.
  let rows = lane % 16u;
  let quarter = lane / 16u * 2u; // its first quad of them
  let ts = own + 4u * rows + vec4u(0u, 1u, 2u, 3u);
  let firstOf = vec4u(
    firsts[4u * rows],
    firsts[4u * rows + 1u],
    firsts[4u * rows + 2u],
    firsts[4u * rows + 3u],
  );
  var highest = vec4f(LOWEST);
  var total = vec4f(0.0); // of this lane's quarters
  var sums: Sums;
  for (var base = begin; base < end; base += OTHERS) {
    setWeights(scores(Q, own, K, base, lane), lane);
    workgroupBarrier();
    var top = highest;
    for (var o = quarter; o < quarter + 2u; o++) {
      let at = placeOf(o, rows);
      // @each j 4
      {
        let seen = isSeen(base + 4u * o + $ju, ts, firstOf);
        top = max(top, select(vec4f(LOWEST), weights[$j][at] * sizes.scale, seen));
      }
      // @end
    }
    exchange[lane] = top;
    workgroupBarrier();
    top = max(
      max(exchange[rows], exchange[rows + 16u]),
      max(exchange[rows + 32u], exchange[rows + 48u]),
    );
    let shrink = exp(highest - top);
    highest = top;
    total *= shrink;
    for (var o = quarter; o < quarter + 2u; o++) {
      let at = placeOf(o, rows);
      // @each j 4
      {
        let p = exp(weights[$j][at] * sizes.scale - top);
        let seen = select(vec4f(0.0), p, isSeen(base + 4u * o + $ju, ts, firstOf));
        weights[$j][at] = seen;
        total += seen;
      }
      // @end
    }
    if (lane < 16u) {
      perRow[rows] = shrink;
    }
    workgroupBarrier();
    let upper = perRow[lane / 8u];
    let lower = perRow[lane / 8u + 8u];
    // @each g GROUPS
    // @each i 4
    sums[8 * $g + $i] *= upper[$i];
    sums[8 * $g + 4 + $i] *= lower[$i];
    // @end
    // @end
    addWeighted(&sums, V, base, lane);
  }

  exchange[lane] = total;
  workgroupBarrier();
  if (lane < 16u) {
    total = (exchange[rows] + exchange[rows + 16u]) + (exchange[rows + 32u] + exchange[rows + 48u]);
    perRow[rows] = 1.0 / total;
    let logSum = highest + log(total);
    // @each i 4
    if (ts[$i] < sizes.T && firstQuad == 0u) {
      lse[(sequence + ts[$i]) * sizes.NH + head] = logSum[$i];
    }
    // @end
  }
  workgroupBarrier();
  let row = own + lane / 8u * 4u;
  let column = firstQuad + lane % 8u;
  let upper = perRow[lane / 8u];
  let lower = perRow[lane / 8u + 8u];
  // @each g GROUPS
  // @each i 4
  store(row + $iu, column + 8u * $gu, sums[8 * $g + $i] * upper[$i]);
  store(row + 32u + $iu, column + 8u * $gu, sums[8 * $g + 4 + $i] * lower[$i]);
  // @end
  // @end
}

fn isSeen(key: u32, ts: vec4u, first: vec4u) -> vec4<bool> {
  return (vec4u(key) >= first) & (vec4u(key) <= ts);
}

fn store(row: u32, i: u32, y: vec4f) {
  if (row < sizes.T && i < sizes.HS4) {
    out[((sequence + row) * sizes.NH + head) * sizes.HS4 + i] = Quad(y);
  }
}
