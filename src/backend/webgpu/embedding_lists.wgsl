// Lists of the places at which each row of a table is named, for embedding_backward.wgsl: for each
// chunk of indices one list, in rising order. heads (rows, chunks) holds the first place in a chunk,
// next (N) the place after each, or NONE. The head of a row that is not named in a chunk is not
// written, but keeps what was there: whoever reads one must see whether that place names the row.

override CHUNK: u32;

const NONE = 0xffffffffu;

struct Sizes {
  N: u32,
  rows: u32, // of the table
  chunks: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read_write> heads: array<u32>;
@group(0) @binding(2) var<storage, read_write> next: array<u32>;
@group(0) @binding(3) var<storage, read> indices: array<u32>;

var<workgroup> named: array<u32, CHUNK>;

@compute @workgroup_size(CHUNK)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) lane: u32) {
  let n = id.x * CHUNK + lane;
  var row = NONE;
  if (n < sizes.N) {
    row = indices[n];
  }
  named[lane] = row;
  workgroupBarrier();
  if (row >= sizes.rows) {
    return;
  }
  var isFirst = true;
  for (var i = 0u; i < lane; i++) {
    isFirst = isFirst && named[i] != row;
  }
  if (isFirst) {
    heads[row * sizes.chunks + id.x] = n;
  }
  var after = NONE;
  for (var i = CHUNK - 1u; i > lane; i--) {
    after = select(after, id.x * CHUNK + i, named[i] == row);
  }
  next[n] = after;
}
