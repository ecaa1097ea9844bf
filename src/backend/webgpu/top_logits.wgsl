// A row of out (R, 1 + 2K) is log Σ e^logit, the K largest logits, the largest first, and their
// indices as f32. One workgroup to a row. Each lane knows the best of its share of the row; each round
// takes the best of these, and only the lane that had it looks for its next. Needs reduce.wgsl.

struct Sizes {
  R: u32,
  V: u32,
  K: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<storage, read> logits: array<f32>;

const LOWEST = -1e30; // below every logit
const NONE = 0xffffffffu;

/// A logit and its index; of equal logits the one with the lower index is better.
struct Best {
  value: f32,
  index: u32,
}

fn isBetter(a: Best, b: Best) -> bool {
  return a.value > b.value || (a.value == b.value && a.index < b.index);
}

var<workgroup> bests: array<Best, LANES>;

/// The best of those that the lanes give.
fn workgroupBest(own: Best, lane: u32) -> Best {
  // @if SUBGROUPS
  let size = subgroupAdd(1u);
  let value = subgroupMax(own.value);
  let index = subgroupMin(select(NONE, own.index, own.value == value));
  workgroupBarrier(); // an earlier result may still be read
  if (lane % size == 0u) {
    bests[lane / size] = Best(value, index);
  }
  workgroupBarrier();
  var best = bests[0];
  for (var i = 1u; i < LANES / size; i++) {
    if (isBetter(bests[i], best)) {
      best = bests[i];
    }
  }
  return best;
  // @else
  workgroupBarrier(); // an earlier result may still be read
  bests[lane] = own;
  workgroupBarrier();
  for (var stride = LANES / 2u; stride > 0u; stride /= 2u) {
    if (lane < stride && isBetter(bests[lane + stride], bests[lane])) {
      bests[lane] = bests[lane + stride];
    }
    workgroupBarrier();
  }
  return bests[0];
  // @end
}

/// The best of a lane's share of a row that is not better than `last`, nor `last` itself.
fn nextOf(lane: u32, row: u32, last: Best) -> Best {
  var best = Best(LOWEST, NONE);
  for (var v = lane; v < sizes.V; v += LANES) {
    let one = Best(logits[row + v], v);
    if (isBetter(last, one) && isBetter(one, best)) {
      best = one;
    }
  }
  return best;
}

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let r = groupIndex(id, grid);
  if (r >= sizes.R) {
    return;
  }
  let row = r * sizes.V;
  let to = r * (1u + 2u * sizes.K);
  var own = nextOf(lane, row, Best(-LOWEST, 0u));
  let largest = workgroupMax(own.value, lane);
  var sum = 0.0;
  for (var v = lane; v < sizes.V; v += LANES) {
    sum += exp(logits[row + v] - largest);
  }
  sum = workgroupSum(sum, lane);
  if (lane == 0u) {
    out[to] = largest + log(sum);
  }
  for (var k = 0u; k < sizes.K; k++) {
    let best = workgroupBest(own, lane);
    if (lane == 0u) {
      out[to + 1u + k] = best.value;
      out[to + 1u + sizes.K + k] = f32(best.index); // exact below 2^24
    }
    if (own.index == best.index) {
      own = nextOf(lane, row, best);
    }
  }
}
