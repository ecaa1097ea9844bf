/**
 * Compute pipelines, compiled once for every text of a kernel, and reports of their errors.
 *
 * @module
 */

interface Unchecked {
  label: string;
  source: string;
  module: GPUShaderModule;
  error: Promise<GPUError | null>;
}

/** Compiles pipelines and keeps them. */
export class PipelineCache {
  readonly #device: GPUDevice;
  readonly #pipelines = new Map<string, GPUComputePipeline>();
  #unchecked: Unchecked[] = [];

  /** @param device Where the pipelines run. */
  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** Pipelines compiled so far. */
  get size(): number {
    return this.#pipelines.size;
  }

  /**
   * The pipeline of a kernel, whose entry point is `main`. Errors show in {@linkcode verify}.
   * @param label What error reports call it.
   */
  get(label: string, source: string): GPUComputePipeline {
    let pipeline = this.#pipelines.get(source);
    if (!pipeline) {
      this.#device.pushErrorScope("validation");
      const module = this.#device.createShaderModule({ label, code: source });
      pipeline = this.#device.createComputePipeline({
        label,
        layout: "auto",
        compute: { module, entryPoint: "main" },
      });
      this.#unchecked.push({ label, source, module, error: this.#device.popErrorScope() });
      this.#pipelines.set(source, pipeline);
    }
    return pipeline;
  }

  /**
   * Waits for the verdict on the pipelines compiled since the last call.
   * @throws {SyntaxError} for the first that is not valid, with line, column and full source.
   */
  async verify(): Promise<void> {
    const unchecked = this.#unchecked;
    this.#unchecked = [];
    for (const { label, source, module, error } of unchecked) {
      const failure = await error;
      if (!failure) continue;
      const { messages } = await module.getCompilationInfo();
      const places = messages.filter(({ type }) => type === "error").map((message) =>
        `${label}.wgsl:${message.lineNum}:${message.linePos}: ${message.message.trim()}`
      );
      throw new SyntaxError(
        `Kernel ${label} does not compile.\n${places.join("\n") || failure.message}\n\n${
          source.split("\n").map((line, i) => `${String(i + 1).padStart(4)} ${line}`).join("\n")
        }`,
      );
    }
  }
}
