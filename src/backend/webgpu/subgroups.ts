/**
 * Subgroups: lanes of a workgroup that compute in step, and that add up among themselves without
 * workgroup memory.
 *
 * @module
 */

/** A kernel with what reduce.wgsl needs. */
const PROBE = `@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32) {
  x[lane] = subgroupAdd(x[lane]) + subgroupMax(x[lane]) + f32(subgroupExclusiveAdd(1u));
}`;

/**
 * Tries whether kernels of a device may use subgroups. Chromium wants a line for it, and Deno does
 * not know that line yet.
 * @returns The line, empty where none is wanted; undefined where there are no subgroups.
 */
export async function findSubgroups(device: GPUDevice): Promise<string | undefined> {
  if (!device.features.has("subgroups" as GPUFeatureName)) return undefined;
  for (const line of ["enable subgroups;", ""]) {
    device.pushErrorScope("validation");
    const module = device.createShaderModule({ label: "subgroups", code: `${line}\n${PROBE}` });
    device.createComputePipeline({ layout: "auto", compute: { module, entryPoint: "main" } });
    if (!await device.popErrorScope()) return line;
  }
  return undefined;
}
