// The loss scale of the next step, from this one's gradient norm. Needs finite.wgsl.

struct Sizes {
  interval: f32, // finite steps after which the scale is doubled
}

// As in loss_scaling.ts: places in `scaling`, and bounds.
const SCALE = 0u;
const STEPS = 1u;
const SKIPPED = 2u;
const NORM = 3u;
const LEAST = 1.0;
const MOST = 16777216.0;

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read_write> scaling: array<f32>;
@group(0) @binding(2) var<storage, read> norm: array<u32>; // bits

@compute @workgroup_size(1)
fn main() {
  if (!isFinite(norm[0])) {
    scaling[SCALE] = max(scaling[SCALE] / 2.0, LEAST);
    scaling[STEPS] = 0.0;
    scaling[SKIPPED] += 1.0;
    return;
  }
  scaling[NORM] = bitcast<f32>(norm[0]);
  scaling[STEPS] += 1.0;
  if (scaling[STEPS] >= sizes.interval) {
    scaling[STEPS] = 0.0;
    if (scaling[SCALE] < MOST) {
      scaling[SCALE] *= 2.0;
    }
  }
}
