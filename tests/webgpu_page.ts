/** What the page of webgpu_browser_test.ts runs: the op table on the page's own WebGPU. */

import { WebGpuBackend } from "../src/backend/webgpu/webgpu_backend.ts";
import { checkParity } from "./op_check.ts";
import { OP_CASES, reduces } from "./op_cases.ts";

/** What the page found out. */
export interface PageReport {
  error?: string;
  /** All cases with subgroups, then those without for which it makes a difference. */
  runs: { description: string; subgroups: boolean; passed: number; failures: string[] }[];
}

const report: PageReport = { runs: [] };
try {
  for (const subgroups of [true, false]) {
    using backend = await WebGpuBackend.create({ allowFallback: true, subgroups });
    const run: PageReport["runs"][0] = {
      description: backend.description,
      subgroups: backend.hasSubgroups,
      passed: 0,
      failures: [],
    };
    report.runs.push(run);
    for (const opCase of subgroups ? OP_CASES : OP_CASES.filter(reduces)) {
      try {
        await checkParity(backend, opCase, 2);
        run.passed++;
      } catch (error) {
        run.failures.push(`${opCase.name}: ${error}`);
      }
    }
  }
} catch (error) {
  report.error = String(error);
}
await fetch("result", { method: "POST", body: JSON.stringify(report) });
