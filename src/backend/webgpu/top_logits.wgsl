// A row of out (R, 1 + 2K) is log Σ e^logit, the K largest logits, the largest first, and their
// indices as f32. One workgroup to a row. Needs reduce.wgsl.
//
// Each lane finds the largest of its share. The K-th largest of these is a bound that at least K
// logits of the row reach, and seldom many more: where the large ones are spread at random, about
// 74 for 256 lanes and K = 64. Those that reach it are collected, and the place of each is the
// number of them that come before it. So the row is read twice, whatever K is. In rows with
// many equal logits more may reach the bound than there is room for; then, and where K is more than
// LANES, every place takes a pass over the row.

struct Sizes {
  R: u32,
  V: u32, // in Values
  K: u32,
}

// @if VEC4
alias Value = vec4f;
const WIDTH = 4u;
fn largest(x: Value) -> f32 {
  return max(max(x.x, x.y), max(x.z, x.w));
}
fn total(x: Value) -> f32 {
  return (x.x + x.y) + (x.z + x.w);
}
// @else
alias Value = f32;
const WIDTH = 1u;
fn largest(x: Value) -> f32 {
  return x;
}
fn total(x: Value) -> f32 {
  return x;
}
// @end

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<storage, read> logits: array<Value>;

const LOWEST = -1e30; // below every logit
const ROOM = 4u * LANES;

/// A logit and its index.
struct Candidate {
  value: f32,
  index: u32,
}

var<workgroup> highs: array<f32, LANES>; // of the lanes
var<workgroup> bound: f32;
var<workgroup> candidates: array<Candidate, ROOM>;
var<workgroup> reached: atomic<u32>; // logits that reach the bound
var<workgroup> count: u32;

/// Of equal logits the one with the lower index comes first.
fn comesBefore(a: Candidate, b: Candidate) -> bool {
  return a.value > b.value || (a.value == b.value && a.index < b.index);
}

fn collect(value: f32, index: u32) {
  if (value >= bound) {
    let i = atomicAdd(&reached, 1u);
    if (i < ROOM) {
      candidates[i] = Candidate(value, index);
    }
  }
}

fn store(to: u32, k: u32, found: Candidate) {
  out[to + 1u + k] = found.value;
  out[to + 1u + sizes.K + k] = f32(found.index); // exact below 2^24
}

/// One place after another, each by a pass over the row that starts at `row`.
fn storeByPasses(row: u32, to: u32, lane: u32) {
  var last = Candidate(-LOWEST, 0u);
  for (var k = 0u; k < sizes.K; k++) {
    var best = Candidate(LOWEST, sizes.V * WIDTH);
    for (var i = lane; i < sizes.V; i += LANES) {
      for (var j = 0u; j < WIDTH; j++) {
        // @if VEC4
        let x = Candidate(logits[row + i][j], i * WIDTH + j);
        // @else
        let x = Candidate(logits[row + i], i);
        // @end
        if (comesBefore(last, x) && comesBefore(x, best)) {
          best = x;
        }
      }
    }
    last.value = workgroupMax(best.value, lane);
    let index = select(LOWEST, -f32(best.index), best.value == last.value);
    last.index = u32(-workgroupMax(index, lane));
    if (lane == 0u) {
      store(to, k, last);
    }
  }
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
  var high = LOWEST;
  for (var i = lane; i < sizes.V; i += LANES) {
    high = max(high, largest(logits[row + i]));
  }
  highs[lane] = high;
  if (lane == 0u) {
    bound = LOWEST;
  }
  let highest = workgroupMax(high, lane); // its barriers let the lanes see these
  var rank = 0u; // lanes before this one
  for (var i = 0u; i < LANES; i++) {
    rank += select(0u, 1u, highs[i] > high || (highs[i] == high && i < lane));
  }
  if (rank + 1u == sizes.K) {
    bound = high;
  }
  workgroupBarrier();
  var sum = Value(0.0);
  for (var i = lane; i < sizes.V; i += LANES) {
    let x = logits[row + i];
    sum += exp(x - highest);
    // @if VEC4
    // @each j 4
    collect(x[$j], i * WIDTH + $ju);
    // @end
    // @else
    collect(x, i);
    // @end
  }
  let normalizer = highest + log(workgroupSum(total(sum), lane));
  if (lane == 0u) {
    out[to] = normalizer;
    count = atomicLoad(&reached);
  }
  let found = workgroupUniformLoad(&count);
  if (found < sizes.K || found > ROOM) {
    storeByPasses(row, to, lane);
    return;
  }
  for (var i = lane; i < found; i += LANES) {
    let own = candidates[i];
    var place = 0u;
    for (var j = 0u; j < found; j++) {
      place += select(0u, 1u, comesBefore(candidates[j], own));
    }
    if (place < sizes.K) {
      store(to, place, own);
    }
  }
}
