// Sums and maxima over the lanes of one workgroup, in an order that never changes on one device.
//
// SUBGROUPS: first each subgroup by itself, then all of them what these have left, a value at the
// place of each lane. How many lanes a subgroup has, and which, is counted and not asked for,
// because what devices say is not always so. A barrier comes first: lanes that left a loop one after
// another need not run together again before it, and count only those that do. Otherwise a binary tree.

override LANES: u32;

var<workgroup> lanes: array<f32, LANES>;

// @if SUBGROUPS
fn workgroupSum(value: f32, lane: u32) -> f32 {
  workgroupBarrier(); // and an earlier result may still be read
  let part = subgroupAdd(value);
  let number = subgroupExclusiveAdd(1u); // of this lane in its subgroup
  let size = subgroupAdd(1u);
  lanes[lane] = select(0.0, part, number == 0u);
  workgroupBarrier();
  var sum = 0.0;
  for (var i = number; i < LANES; i += size) {
    sum += lanes[i];
  }
  return subgroupAdd(sum);
}

fn workgroupMax(value: f32, lane: u32) -> f32 {
  workgroupBarrier();
  let part = subgroupMax(value);
  let number = subgroupExclusiveAdd(1u);
  let size = subgroupAdd(1u);
  lanes[lane] = part;
  workgroupBarrier();
  var highest = part;
  for (var i = number; i < LANES; i += size) {
    highest = max(highest, lanes[i]);
  }
  return subgroupMax(highest);
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
