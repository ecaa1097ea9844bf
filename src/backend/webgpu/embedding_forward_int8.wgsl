// out (N, C) = wte[tokens] + wpe[positions], with wte in 8 bits: a word is four columns of a row, and
// neighbouring words belong to neighbouring rows of a block of 16. One quad of a row to a thread.

struct Sizes {
  size: u32, // N · C / 4
  quads: u32, // C / 4
}

const INACTIVE = 0xffffffffu;
const BLOCK = 16u;

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(2) var<storage, read> tokens: array<u32>;
@group(0) @binding(3) var<storage, read> positions: array<u32>;
@group(0) @binding(4) var<storage, read> wte: array<u32>;
@group(0) @binding(5) var<storage, read> scales: array<f32>;
@group(0) @binding(6) var<storage, read> wpe: array<vec4f>;

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
  let n = i / sizes.quads;
  let quad = i % sizes.quads;
  let token = tokens[n];
  let position = select(positions[n], 0u, positions[n] == INACTIVE);
  let word = wte[(token / BLOCK * sizes.quads + quad) * BLOCK + token % BLOCK];
  out[i] = vec4f(int8s(word)) * scales[token] + wpe[position * sizes.quads + quad];
}
