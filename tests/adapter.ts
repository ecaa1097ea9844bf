/** Whether this machine has a WebGPU adapter, so that tests of the webgpu backend can run. */

const adapter = await navigator.gpu?.requestAdapter();
const isCi = Deno.permissions.querySync({ name: "env", variable: "CI" }).state === "granted" &&
  Deno.env.get("CI") === "true";

if (!adapter && isCi) {
  throw new Error(
    "No WebGPU adapter, and CI=true asks for one. Install mesa-vulkan-drivers or a GPU driver.",
  );
}
if (!adapter) console.error("No WebGPU adapter: the tests of the webgpu backend are ignored.");

/** Whether there is an adapter, in software or hardware. */
export const webgpuAvailable: boolean = Boolean(adapter);
