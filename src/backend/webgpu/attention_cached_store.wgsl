// Stores the key and value of every active row of qkv (N, 3C) in the caches (S, NH, L, HS).

struct Sizes {
  size: u32, // N · C in quads
  NH: u32,
  HS4: u32, // quads of a head
  S: u32,
  L: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read_write> keys: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> values: array<vec4f>;
@group(0) @binding(3) var<storage, read> qkv: array<vec4f>;
@group(0) @binding(4) var<storage, read> positions: array<u32>;
@group(0) @binding(5) var<storage, read> slots: array<u32>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = groupIndex(id, grid) * 64u + lane;
  if (i >= sizes.size) {
    return;
  }
  let C4 = sizes.NH * sizes.HS4;
  let n = i / C4;
  let c = i % C4;
  let position = positions[n];
  // Inactive rows stand at 2^32 − 1, so this leaves them out too.
  if (position < sizes.L && slots[n] < sizes.S) {
    let head = c / sizes.HS4;
    let to = ((slots[n] * sizes.NH + head) * sizes.L + position) * sizes.HS4 + c % sizes.HS4;
    let start = n * 3u * C4 + c;
    keys[to] = qkv[start + C4];
    values[to] = qkv[start + 2u * C4];
  }
}
