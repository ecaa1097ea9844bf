/**
 * A WebGPU adapter on paper: what is recorded and submitted on it is counted, nothing is allocated
 * and nothing is computed. So programs of any size can be looked at on any machine.
 *
 * @module
 */

/** What an adapter on paper allows. */
export interface PaperLimits {
  /** Most bytes of a buffer that a binding may show; by default 2 GiB less 4 bytes. */
  maxStorageBufferBindingSize?: number;
}

/** An adapter on paper, and what its devices have been asked to do. */
export class PaperAdapter {
  /** Bytes of the buffers made, those given back included. */
  bytes = 0;
  /** Dispatches encoded. */
  dispatches = 0;
  /** Command buffers submitted. */
  submissions = 0;
  readonly #limits: { maxBufferSize: number; maxStorageBufferBindingSize: number };

  /** @param limits What it allows. */
  constructor({ maxStorageBufferBindingSize = 2 ** 31 - 4 }: PaperLimits = {}) {
    this.#limits = { maxBufferSize: 2 ** 40, maxStorageBufferBindingSize };
  }

  /** The adapter, as `WebGpuBackend.create` takes it. */
  get adapter(): GPUAdapter {
    return {
      info: { description: "an adapter on paper", isFallbackAdapter: false },
      limits: this.#limits,
      features: new Set(["shader-f16"]),
      requestDevice: () => Promise.resolve(this.#device()),
    } as unknown as GPUAdapter;
  }

  #device(): GPUDevice {
    const pass = {
      setPipeline() {},
      setBindGroup() {},
      dispatchWorkgroups: () => void this.dispatches++,
      end() {},
    };
    return {
      limits: { ...this.#limits, maxComputeWorkgroupsPerDimension: 65535 },
      features: new Set(["shader-f16"]),
      lost: new Promise(() => {}),
      queue: {
        submit: () => void this.submissions++,
        writeBuffer() {},
        onSubmittedWorkDone: () => Promise.resolve(),
      },
      addEventListener() {},
      pushErrorScope() {},
      popErrorScope: () => Promise.resolve(null),
      createBuffer: ({ size, mappedAtCreation }: GPUBufferDescriptor) => {
        this.bytes += size;
        const mapped = mappedAtCreation ? new ArrayBuffer(size) : undefined;
        return { size, getMappedRange: () => mapped, unmap() {}, destroy() {} };
      },
      createShaderModule: () => ({}),
      createComputePipeline: () => ({ getBindGroupLayout: () => ({}) }),
      createBindGroup: () => ({}),
      createCommandEncoder: () => ({ beginComputePass: () => pass, finish: () => ({}) }),
      destroy() {},
    } as unknown as GPUDevice;
  }
}
