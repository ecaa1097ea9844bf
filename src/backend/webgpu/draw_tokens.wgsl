// Draws the next token of each row from its largest logits top (N, 1 + 2K), and moves the row on to
// the next position. One workgroup to a row: a lane weighs every 64th logit, then the first lane adds
// up the weights in order, which are few.

override K: u32;
const LANES = 64u;
const INACTIVE = 0xffffffffu;
const LEAST = -87.0; // exponent of the smallest weight: e^−87 is still a normal f32

struct Sizes {
  N: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read_write> drawn: array<f32>;
@group(0) @binding(2) var<storage, read_write> tokens: array<u32>;
@group(0) @binding(3) var<storage, read_write> positions: array<u32>;
@group(0) @binding(4) var<storage, read> ends: array<u32>;
@group(0) @binding(5) var<storage, read> top: array<f32>;
@group(0) @binding(6) var<storage, read> rules: array<vec4f>; // temperature, top-k, top-p, min-p
@group(0) @binding(7) var<storage, read> chances: array<f32>;

var<workgroup> weights: array<f32, K>;

/// The place that a number in [0, 1) draws among the first `count` weights, which fall.
fn drawPlace(count: u32, rule: vec4f, chance: f32) -> u32 {
  var sum = 0.0;
  for (var i = 0u; i < count; i++) {
    sum += weights[i];
  }
  var kept = count;
  if (rule.z < 1.0) {
    let least = rule.z * sum;
    sum = 0.0;
    kept = 0u;
    while (kept < count && (kept == 0u || sum < least)) {
      sum += weights[kept];
      kept++;
    }
  }
  while (kept > 1u && weights[kept - 1u] < rule.w) {
    kept--;
  }
  sum = 0.0;
  for (var i = 0u; i < kept; i++) {
    sum += weights[i];
  }
  var rest = chance * sum;
  var place = 0u;
  while (place + 1u < kept && rest >= weights[place] && weights[place + 1u] > 0.0) {
    rest -= weights[place];
    place++;
  }
  return place;
}

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let n = groupIndex(id, grid);
  if (n >= sizes.N) {
    return;
  }
  let rule = rules[n];
  let values = n * (1u + 2u * K) + 1u;
  let lowest = LEAST * rule.x;
  for (var i = lane; i < K; i += LANES) {
    // Clamped before the division: a low temperature would make it infinite.
    let below = max(top[values + i] - top[values], lowest);
    weights[i] = select(0.0, exp(below / max(rule.x, 1e-30)), below > lowest);
  }
  workgroupBarrier();
  let position = positions[n];
  if (lane > 0u || position == INACTIVE) {
    return;
  }
  let chance = chances[n];
  var place = 0u;
  if (rule.x > 0.0 && chance >= 0.0) {
    let count = select(min(u32(rule.y), K), K, rule.y == 0.0);
    place = drawPlace(count, rule, chance);
  }
  let token = select(top[values + K + place], -1.0 - chance, chance < 0.0);
  drawn[n] = token;
  tokens[n] = u32(token);
  positions[n] = select(position + 1u, INACTIVE, position + 1u == ends[n]);
}
