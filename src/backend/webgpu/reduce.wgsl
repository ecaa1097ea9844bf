// Sums and maxima over the lanes of one workgroup, in an order that never changes on one device: by
// a binary tree, or with SUBGROUPS each subgroup by itself and then one after the other. Subgroups are
// neighbouring lanes, all of one size: subgroups.ts has tried it out.

override LANES: u32;

var<workgroup> lanes: array<f32, LANES>;

// @if SUBGROUPS
fn workgroupSum(value: f32, lane: u32) -> f32 {
  let size = subgroupAdd(1u);
  let sum = subgroupAdd(value);
  workgroupBarrier(); // an earlier result may still be read
  if (lane % size == 0u) {
    lanes[lane / size] = sum;
  }
  workgroupBarrier();
  var total = lanes[0];
  for (var i = 1u; i < LANES / size; i++) {
    total += lanes[i];
  }
  return total;
}

fn workgroupMax(value: f32, lane: u32) -> f32 {
  let size = subgroupAdd(1u);
  let largest = subgroupMax(value);
  workgroupBarrier();
  if (lane % size == 0u) {
    lanes[lane / size] = largest;
  }
  workgroupBarrier();
  var total = lanes[0];
  for (var i = 1u; i < LANES / size; i++) {
    total = max(total, lanes[i]);
  }
  return total;
}
// @else
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
// @end
