/**
 * Compute pipelines, compiled once for each way a kernel is specialised, and their error reports.
 *
 * @module
 */

import { type Specialization, specialize } from "./template.ts";

/** What a pipeline is compiled from. */
export interface Kernel extends Specialization {
  /** The op it is part of, which names it in errors and profiles. */
  op: string;
  /** Its text after what it includes: one of kernels.ts. */
  code: readonly string[];
}

interface Unverified {
  op: string;
  source: string;
  module: GPUShaderModule;
  error: Promise<GPUError | null>;
}

/** Compiles pipelines and keeps them. */
export class PipelineCache {
  readonly #device: GPUDevice;
  readonly #subgroups: string | undefined;
  readonly #pipelines = new Map<readonly string[], Map<string, GPUComputePipeline>>();
  #unverified: Unverified[] = [];

  /**
   * @param device Where the pipelines run.
   * @param subgroups The line that lets kernels use subgroups; see subgroups.ts.
   */
  constructor(device: GPUDevice, subgroups?: string) {
    this.#device = device;
    this.#subgroups = subgroups;
  }

  /**
   * The pipeline of a kernel, whose entry point is `main`. Errors show in {@linkcode verify}.
   * @param writable Numbers of bindings that the kernel only reads and that are bound as writable
   * all the same.
   */
  get(
    { op, code, constants = {}, flags = [] }: Kernel,
    writable: number[] = [],
  ): GPUComputePipeline {
    let variants = this.#pipelines.get(code);
    if (!variants) this.#pipelines.set(code, variants = new Map());
    const key = JSON.stringify([constants, flags, writable]);
    let pipeline = variants.get(key);
    if (!pipeline) {
      let source = this.#specialize(code.join("\n"), { constants, flags });
      for (const binding of writable) {
        const declaration = `@binding(${binding}) var<storage, read`;
        source = source.replace(`${declaration}> `, `${declaration}_write> `);
      }
      variants.set(key, pipeline = this.#compile(op, source));
    }
    return pipeline;
  }

  /**
   * Waits for the verdict on the pipelines compiled since the last call.
   * @throws {SyntaxError} for the first that is not valid, with line, column and full source.
   */
  async verify(): Promise<void> {
    const unverified = this.#unverified;
    this.#unverified = [];
    for (const { op, source, module, error } of unverified) {
      const failure = await error;
      if (!failure) continue;
      const { messages } = await module.getCompilationInfo();
      const report = messages.filter(({ type }) => type === "error")
        .map(({ lineNum, linePos, message }) => `line ${lineNum}:${linePos}: ${message.trim()}`);
      const listing = source.split("\n").map((line, i) => `${String(i + 1).padStart(4)} ${line}`);
      throw new SyntaxError(
        [`A kernel of ${op} does not compile.`, ...report, failure.message, ...listing].join("\n"),
      );
    }
  }

  #specialize(code: string, { constants, flags = [] }: Specialization): string {
    const line = this.#subgroups;
    if (line === undefined) return specialize(code, { constants, flags });
    const source = specialize(code, { constants, flags: [...flags, "SUBGROUPS"] });
    return line && source.includes("subgroup") ? `${line}\n${source}` : source;
  }

  #compile(op: string, source: string): GPUComputePipeline {
    this.#device.pushErrorScope("validation");
    const module = this.#device.createShaderModule({ label: op, code: source });
    const pipeline = this.#device.createComputePipeline({
      label: op,
      layout: "auto",
      compute: { module, entryPoint: "main" },
    });
    this.#unverified.push({ op, source, module, error: this.#device.popErrorScope() });
    return pipeline;
  }
}
