// Sums and maxima over the lanes of one workgroup, by a binary tree: the order never changes.

override LANES: u32;

var<workgroup> lanes: array<f32, LANES>;

fn workgroupSum(value: f32, lane: u32) -> f32 {
  workgroupBarrier(); // an earlier result may still be read
  lanes[lane] = value;
  workgroupBarrier();
  for (var stride = LANES / 2u; stride > 0u; stride /= 2u) {
    if (lane < stride) {
      lanes[lane] += lanes[lane + stride];
    }
    workgroupBarrier();
  }
  return lanes[0];
}

fn workgroupMax(value: f32, lane: u32) -> f32 {
  workgroupBarrier();
  lanes[lane] = value;
  workgroupBarrier();
  for (var stride = LANES / 2u; stride > 0u; stride /= 2u) {
    if (lane < stride) {
      lanes[lane] = max(lanes[lane], lanes[lane + stride]);
    }
    workgroupBarrier();
  }
  return lanes[0];
}
