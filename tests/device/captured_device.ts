/** Devices that code under test opens for itself: to count what they make, and to lose them. */

/** Calls of a device's methods, and of `queue.submit` and `mapAsync`, by name. */
export type Calls = Record<string, number>;

const MAKERS = [
  "createBuffer",
  "createBindGroup",
  "createComputePipeline",
  "createShaderModule",
  "createQuerySet",
] as const;

/** Keeps the devices opened while it lives; they count their calls. */
export class CapturedDevices implements Disposable {
  /** In the order in which they were opened. */
  readonly devices: GPUDevice[] = [];
  /** Since the last `calls = {}`. */
  calls: Calls = {};
  readonly #undo: (() => void)[] = [];

  constructor() {
    const count = (name: string) => this.calls[name] = (this.calls[name] ?? 0) + 1;
    const watch = <T extends object>(owner: T, name: keyof T & string) => {
      // deno-lint-ignore no-explicit-any
      const original = owner[name] as any;
      owner[name] = function (this: unknown, ...args: unknown[]) {
        count(name);
        return original.apply(this, args);
      } as T[typeof name];
      this.#undo.push(() => owner[name] = original);
    };
    for (const name of MAKERS) watch(GPUDevice.prototype, name);
    watch(GPUQueue.prototype, "submit");
    watch(GPUBuffer.prototype, "mapAsync");
    watch(GPUComputePassEncoder.prototype, "dispatchWorkgroups");
    const original = GPUAdapter.prototype.requestDevice, { devices } = this;
    GPUAdapter.prototype.requestDevice = async function (descriptor) {
      const device = await original.call(this, descriptor);
      devices.push(device);
      return device;
    };
    this.#undo.push(() => GPUAdapter.prototype.requestDevice = original);
  }

  [Symbol.dispose](): void {
    for (const undo of this.#undo) undo();
  }
}
