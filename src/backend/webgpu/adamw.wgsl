// AdamW (Loshchilov & Hutter 2019) with gradient clipping, over a pool of parameters.

struct Sizes {
  size: u32, // in Values
  decay: u32, // elements of this piece, from its first, that are decayed
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

// Places in `hyper`, as HYPER in backend.ts.
const LR = 0u;
const BETA1 = 1u;
const BETA2 = 2u;
const EPS = 3u;
const WEIGHT_DECAY = 4u;
const CLIP = 5u;
const CORRECTION1 = 6u;
const CORRECTION2 = 7u;

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read_write> params: array<Value>;
@group(0) @binding(2) var<storage, read_write> m: array<Value>;
@group(0) @binding(3) var<storage, read_write> v: array<Value>;
@group(0) @binding(4) var<storage, read> grads: array<Value>;
@group(0) @binding(5) var<storage, read> norm: array<u32>; // bits
@group(0) @binding(6) var<storage, read> hyper: array<f32>;
// @if SCALED
@group(0) @binding(7) var<storage, read> scaling: array<f32>; // its first is the loss scale
// @end

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = groupIndex(id, grid) * 256u + lane;
  if (i >= sizes.size) {
    return;
  }
  let clip = hyper[CLIP];
  var shrink = 1.0;
  let length = bitcast<f32>(norm[0]);
  if (clip > 0.0 && length > clip) {
    shrink = clip / length;
  }
  // @if SCALED
  if (!isFinite(norm[0])) {
    return;
  }
  shrink /= scaling[0];
  // @end
  let gradient = grads[i] * shrink;
  let first = hyper[BETA1] * m[i] + (1.0 - hyper[BETA1]) * gradient;
  let second = hyper[BETA2] * v[i] + (1.0 - hyper[BETA2]) * gradient * gradient;
  m[i] = first;
  v[i] = second;
  let update = first * hyper[CORRECTION1] / (sqrt(second * hyper[CORRECTION2]) + hyper[EPS]);
  let isDecayed = Word(i * WIDTH) + STEPS < Word(sizes.decay);
  let decayed = select(Value(0.0), hyper[WEIGHT_DECAY] * params[i], isDecayed);
  params[i] -= hyper[LR] * (update + decayed);
}
