// out (N, C) = wte[tokens] + wpe[positions], one Value of a row to a thread.

struct Sizes {
  size: u32, // N · C in Values
  C: u32, // in Values
}

// @if VEC4
alias Value = vec4f;
// @else
alias Value = f32;
// @end

// @stored Table F16_WTE

const INACTIVE = 0xffffffffu;

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read_write> out: array<Value>;
@group(0) @binding(2) var<storage, read> tokens: array<u32>;
@group(0) @binding(3) var<storage, read> positions: array<u32>;
@group(0) @binding(4) var<storage, read> wte: array<Table>;
@group(0) @binding(5) var<storage, read> wpe: array<Value>;

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
  let n = i / sizes.C;
  let c = i % sizes.C;
  let position = select(positions[n], 0u, positions[n] == INACTIVE);
  out[i] = Value(wte[tokens[n] * sizes.C + c]) + wpe[position * sizes.C + c];
}
