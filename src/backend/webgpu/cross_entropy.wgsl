// losses (R) = −log softmax(logits)[target], and logits (R, V) become their gradient. One
// workgroup to a row; the row stays in the cache over its three passes. Needs reduce.wgsl.

struct Sizes {
  R: u32,
  V: u32, // in Values
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
fn one(wanted: u32, v: u32) -> Value {
  return select(vec4f(0.0), vec4f(1.0), vec4u(wanted) == v * 4u + vec4u(0u, 1u, 2u, 3u));
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
fn one(wanted: u32, v: u32) -> Value {
  return select(0.0, 1.0, wanted == v);
}
// @end

// @stored Logits F16_LOGITS

const IGNORED = 0xffffffffu;
const LOWEST = -1e30; // below every logit

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read_write> losses: array<f32>;
@group(0) @binding(2) var<storage, read_write> logits: array<Logits>;
@group(0) @binding(3) var<storage, read> targets: array<u32>;
@group(0) @binding(4) var<storage, read> scale: array<f32>;
// @if SCALED
@group(0) @binding(5) var<storage, read> scaling: array<f32>; // its first is the loss scale
// @end

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
  let wanted = targets[r];
  let isIgnored = wanted == IGNORED;
  var highest = LOWEST;
  for (var v = lane; v < sizes.V; v += LANES) {
    highest = max(highest, largest(Value(logits[row + v])));
  }
  highest = workgroupMax(highest, lane);
  var sum = Value(0.0);
  for (var v = lane; v < sizes.V; v += LANES) {
    sum += exp(Value(logits[row + v]) - highest);
  }
  let denominator = workgroupSum(total(sum), lane);
  if (lane == 0u) {
    let at = min(wanted / WIDTH, sizes.V - 1u);
    // @if VEC4
    let logit = f32(logits[row + at][wanted % WIDTH]);
    // @else
    let logit = f32(logits[row + at]);
    // @end
    losses[r] = select(highest + log(denominator) - logit, 0.0, isIgnored);
  }
  storageBarrier(); // lane 0 has read the target's logit before it is replaced
  workgroupBarrier();
  // @if SCALED
  let factor = scale[0] * scaling[0];
  // @else
  let factor = scale[0];
  // @end
  let inverse = 1.0 / denominator;
  for (var v = lane; v < sizes.V; v += LANES) {
    let probability = exp(Value(logits[row + v]) - highest) * inverse;
    let gradient = (probability - one(wanted, v)) * factor;
    logits[row + v] = Logits(select(gradient, Value(0.0), isIgnored));
  }
}
