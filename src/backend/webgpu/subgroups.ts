/**
 * Whether kernels may use subgroups: the threads of a workgroup that a GPU runs in step, and that can
 * add up their numbers without memory in between.
 *
 * @module
 */

import { BUFFER_USAGE, MAP_READ } from "./flags.ts";

/**
 * How a kernel with subgroups has to begin: with `enable subgroups;`, as the specification wants it,
 * or without, as wgpu does as long as it does not know that line.
 */
export type SubgroupPrefix = "enable subgroups;\n" | "";

/** Lanes of the workgroups that are looked at, those of the kernels that reduce. */
const LANES = [64, 256];

/**
 * What reduce.wgsl takes for granted, tried out: that all subgroups of a workgroup have one size, and
 * that a subgroup is that many neighbouring lanes. WGSL does not promise it.
 */
const probeCode = (prefix: SubgroupPrefix, lanes: number): string =>
  `${prefix}
@group(0) @binding(0) var<storage, read_write> found: array<vec2u>;
@compute @workgroup_size(${lanes})
fn main(@builtin(local_invocation_index) lane: u32) {
  found[lane] = vec2u(subgroupAdd(1u), subgroupMin(lane));
}`;

/**
 * Tries subgroups on a device.
 * @returns How kernels have to begin; `undefined` if they must do without.
 */
export async function probeSubgroups(device: GPUDevice): Promise<SubgroupPrefix | undefined> {
  if (!device.features.has("subgroups" as GPUFeatureName)) return undefined;
  for (const prefix of ["enable subgroups;\n", ""] as const) {
    const found = await Promise.all(LANES.map((lanes) => probe(device, prefix, lanes)));
    if (found.every((pairs) => pairs !== undefined && isLinear(pairs))) return prefix;
  }
  return undefined;
}

/** For each lane how many lanes its subgroup has, and the first of them. */
async function probe(
  device: GPUDevice,
  prefix: SubgroupPrefix,
  lanes: number,
): Promise<Uint32Array | undefined> {
  const size = 8 * lanes;
  device.pushErrorScope("validation");
  const pipeline = device.createComputePipeline({
    label: "subgroup probe",
    layout: "auto",
    compute: { module: device.createShaderModule({ code: probeCode(prefix, lanes) }) },
  });
  if (await device.popErrorScope()) return undefined;
  const [found, staging] = [
    BUFFER_USAGE.STORAGE | BUFFER_USAGE.COPY_SRC,
    BUFFER_USAGE.MAP_READ | BUFFER_USAGE.COPY_DST,
  ].map((usage) => device.createBuffer({ size, usage }));
  const bindGroup = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: [{ binding: 0, resource: { buffer: found } }],
  });
  const encoder = device.createCommandEncoder(), pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, bindGroup);
  pass.dispatchWorkgroups(1);
  pass.end();
  encoder.copyBufferToBuffer(found, 0, staging, 0, size);
  device.queue.submit([encoder.finish()]);
  await staging.mapAsync(MAP_READ);
  const pairs = new Uint32Array(staging.getMappedRange().slice(0));
  for (const buffer of [found, staging]) buffer.destroy();
  return pairs;
}

/** Whether (size, first lane) of each lane are those of neighbours in groups of one size. */
export function isLinear(pairs: Uint32Array): boolean {
  const [size] = pairs, lanes = pairs.length / 2;
  if (size === 0 || lanes % size !== 0) return false;
  for (let lane = 0; lane < lanes; lane++) {
    if (pairs[2 * lane] !== size || pairs[2 * lane + 1] !== lane - lane % size) return false;
  }
  return true;
}
