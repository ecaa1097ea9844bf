// As many f32 multiply-adds as a chip can do: CHAINS chains of four numbers in registers, each
// x = factor · x + term again and again. The chains do not depend on one another, so that a thread
// has always one ready; their sum is stored, so that none can be left out.

override CHAINS: u32;
override STEPS: u32; // of each chain in a round, unrolled

struct Sizes {
  rounds: u32,
  factor: f32,
  term: f32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read_write> sums: array<vec4f>;

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let thread = groupIndex(id, grid) * 256u + lane;
  if (thread >= arrayLength(&sums)) {
    return;
  }
  let factor = vec4f(sizes.factor);
  let term = vec4f(sizes.term);
  // Starts differ from chain to chain and from one number to the next.
  let start = vec4f(0.0, 0.25, 0.5, 0.75) + f32(thread % 16u);
  // @each i CHAINS
  var x$i = start + f32($i);
  // @end
  for (var round = 0u; round < sizes.rounds; round++) {
    // @each step STEPS
    // @each i CHAINS
    x$i = x$i * factor + term;
    // @end
    // @end
  }
  var sum = vec4f(0.0);
  // @each i CHAINS
  sum += x$i;
  // @end
  sums[thread] = sum;
}
