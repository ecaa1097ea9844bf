/**
 * Races that a software adapter hides: it runs the lanes of a workgroup, and the workgroups of a
 * dispatch, in rising order from barrier to barrier, so what a later one reads of an earlier one is
 * right even where no barrier makes it so. Here kernels run with both renumbered.
 */

import { assert } from "@std/assert";
import { WebGpuBackend } from "../../src/backend/webgpu/webgpu_backend.ts";
import { webgpuAvailable } from "../adapter.ts";
import { HALF_CASES } from "../f16_cases.ts";
import { checkParity } from "../op_check.ts";
import { OP_CASES } from "../op_cases.ts";

const LANE = "@builtin(local_invocation_index) lane: u32";
const GROUP = "@builtin(workgroup_id) id: vec3u";
const GRID = "@builtin(num_workgroups) grid: vec3u";

/**
 * A kernel whose workgroups are numbered falling, and its lanes, whose number is a power of two,
 * scattered: falling ones would hide as much as rising ones.
 */
function renumber(code: string): string {
  const size = code.match(/@workgroup_size\(([^)]*)\)/)?.[1];
  assert(size !== undefined, "a kernel has no size of its workgroups");
  if (!code.includes(GROUP) && size === "1") return code;
  assert(code.includes(GROUP) && code.includes(LANE), "a kernel takes its place otherwise");
  const grid = code.includes(GRID) ? "" : `${GRID}, `;
  return code.replace(LANE, "@builtin(local_invocation_index) lane_given: u32")
    .replace(GROUP, `${grid}@builtin(workgroup_id) id_given: vec3u`)
    .replace(/fn main\([^{]*\{/, (head) =>
      `${head}
  let id = grid - vec3u(1u) - id_given;
  let lane = (77u * lane_given + 5u) % u32(${size});`);
}

Deno.test({
  name: "webgpu ops agree with the reference with other numbers of lanes and workgroups",
  ignore: !webgpuAvailable,
  async fn(t) {
    const { createShaderModule } = GPUDevice.prototype;
    let renumbered = 0;
    GPUDevice.prototype.createShaderModule = function (descriptor) {
      renumbered++;
      return createShaderModule.call(this, { ...descriptor, code: renumber(descriptor.code) });
    };
    try {
      // Subgroups rely on their lanes' own numbers.
      using backend = await WebGpuBackend.create({ allowFallback: true, subgroups: false });
      const cases = backend.hasF16 ? [...OP_CASES, ...HALF_CASES] : OP_CASES;
      for (const opCase of cases) {
        await t.step(opCase.name, () => checkParity(backend, opCase, 2));
      }
    } finally {
      GPUDevice.prototype.createShaderModule = createShaderModule;
    }
    assert(renumbered > 0);
  },
});
