// Included by kernels whose grid has one dimension.

/// Index of a workgroup in a one-dimensional grid that was folded into two dimensions.
fn groupIndex(id: vec3u, grid: vec3u) -> u32 {
  return id.y * grid.x + id.x;
}
