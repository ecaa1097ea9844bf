// A row of out (R, 1 + 2K) is log Σ e^logit, the K largest logits, the largest first, and their
// indices as f32. One workgroup to a row; each round finds the largest of those that come after the
// one found last. Needs reduce.wgsl.

struct Sizes {
  R: u32,
  V: u32,
  K: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<storage, read> logits: array<f32>;

const LOWEST = -1e30; // below every logit

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
  var largest = LOWEST;
  for (var v = lane; v < sizes.V; v += LANES) {
    largest = max(largest, logits[row + v]);
  }
  largest = workgroupMax(largest, lane);
  var sum = 0.0;
  for (var v = lane; v < sizes.V; v += LANES) {
    sum += exp(logits[row + v] - largest);
  }
  sum = workgroupSum(sum, lane);
  if (lane == 0u) {
    out[to] = largest + log(sum);
  }
  var value = -LOWEST; // of the one found last
  var place = 0u;
  for (var k = 0u; k < sizes.K; k++) {
    var best = LOWEST;
    var first = sizes.V;
    for (var v = lane; v < sizes.V; v += LANES) {
      let x = logits[row + v];
      let comesAfter = x < value || (x == value && v > place);
      if (comesAfter && x > best) {
        best = x;
        first = v;
      }
    }
    value = workgroupMax(best, lane);
    // Indices below 2^24 are exact in f32.
    place = u32(-workgroupMax(select(LOWEST, -f32(first), best == value), lane));
    if (lane == 0u) {
      out[to + 1u + k] = value;
      out[to + 1u + sizes.K + k] = f32(place);
    }
  }
}
