/**
 * Finding an adapter and opening its device.
 *
 * @module
 */

import { findSubgroups } from "./subgroups.ts";

/** Which adapter to open. */
export interface WebGpuOptions {
  /** An adapter of one's own; by default the system is asked for one. */
  adapter?: GPUAdapter;
  /** Take an adapter that computes in software too. It is right, and far slower than wasm. */
  allowFallback?: boolean;
  /** Which of several GPUs to ask for. */
  powerPreference?: GPUPowerPreference;
  /**
   * Most bytes of a tensor that one dispatch may touch, at least 512; by default what the GPU
   * allows. Ops over pools and over the rows of a batch are cut into pieces of this size.
   */
  maxBindingBytes?: number;
  /**
   * Let kernels add up within subgroups where the GPU has them, true by default. It is faster, and
   * sums are taken in another order.
   */
  subgroups?: boolean;
  /**
   * Whether `tune()` measures how matrix products are best cut; by default on a GPU, not on an adapter
   * in software.
   */
  autotune?: boolean;
}

/** An open device. */
export interface OpenDevice {
  device: GPUDevice;
  /** The adapter's own name. */
  description: string;
  /** Whether the adapter computes in software. */
  isSoftware: boolean;
  /** See {@linkcode findSubgroups}. */
  subgroups: string | undefined;
}

/** Its name is not in every TypeScript library. */
const SUBGROUPS = "subgroups" as GPUFeatureName;

/** Features that are used where they are there. */
const WANTED: readonly GPUFeatureName[] = ["timestamp-query", "shader-f16"];

/**
 * Opens the device of an adapter with the largest buffers it has.
 * @throws {Error} if there is no adapter, or only one in software and `allowFallback` is not set.
 */
export async function openDevice(
  options: WebGpuOptions,
): Promise<OpenDevice> {
  const { allowFallback = false, powerPreference = "high-performance" } = options;
  let { adapter } = options;
  if (typeof navigator === "undefined" || !navigator.gpu) {
    throw new Error("WebGPU is not there: this runtime has no navigator.gpu. Use another backend.");
  }
  adapter ??= await navigator.gpu.requestAdapter({ powerPreference }) ?? undefined;
  if (!adapter) {
    throw new Error("WebGPU has no adapter on this machine. Install a GPU driver, or use wasm.");
  }
  const { info, limits } = adapter;
  const description = info.description || `${info.vendor} ${info.architecture}`.trim();
  if (info.isFallbackAdapter && !allowFallback) {
    throw new Error(
      `WebGPU has only ${description}, an adapter in software. Use wasm, which is faster.`,
    );
  }
  const isSoftware = info.isFallbackAdapter;
  const features = WANTED.filter((feature) => adapter.features.has(feature));
  const request = (requiredFeatures: GPUFeatureName[]) =>
    adapter.requestDevice({
      label: "bashling",
      requiredFeatures,
      requiredLimits: {
        maxBufferSize: limits.maxBufferSize,
        maxStorageBufferBindingSize: limits.maxStorageBufferBindingSize,
      },
    });
  if (options.subgroups === false) {
    return { device: await request(features), description, isSoftware, subgroups: undefined };
  }
  // Deno's adapters have subgroups without saying so, hence the attempt.
  const device = await request([...features, SUBGROUPS]).catch(() => request(features));
  return { device, description, isSoftware, subgroups: await findSubgroups(device) };
}
