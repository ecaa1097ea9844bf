// Inverted dropout in place; the mask is dropoutKeeps of backend.ts.

struct Sizes {
  size: u32, // in Values
  base: u32, // index of the first element, where a tensor takes several dispatches
  siteHash: u32, // site · 0x9e3779b9
  keep: u32, // probability of keeping · 2^32
  scale: f32, // 1 / (1 − rate)
}

// @if VEC4
alias Value = vec4f;
alias Word = vec4u;
const WIDTH = 4u;
const STEPS = vec4u(0u, 1u, 2u, 3u);
// @else
alias Value = f32;
alias Word = u32;
const WIDTH = 1u;
const STEPS = 0u;
// @end

// @stored X F16_X

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read_write> x: array<X>;
@group(0) @binding(2) var<storage, read> seed: array<u32>;

/// The PCG output permutation (Jarzynski & Olano 2020).
fn hash(value: Word) -> Word {
  let state = value * 747796405u + 2891336453u;
  let word = ((state >> ((state >> Word(28u)) + 4u)) ^ state) * 277803737u;
  return (word >> Word(22u)) ^ word;
}

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = groupIndex(id, grid) * 256u + lane;
  if (i < sizes.size) {
    let key = hash(Word(seed[0] ^ sizes.siteHash));
    let drawn = hash(key + (sizes.base + i * WIDTH) + STEPS);
    x[i] = X(select(Value(0.0), Value(x[i]) * sizes.scale, drawn < Word(sizes.keep)));
  }
}
