import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { benchCount } from "../../scripts/bench/count.ts";
import { figures, goals, type PartReport } from "../../scripts/bench/figures.ts";
import { lastRows } from "../../scripts/bench/gpu.ts";
import {
  adapterKind,
  alternate,
  expectNear,
  median,
  type Result,
  table,
  timeAll,
} from "../../scripts/bench/measure.ts";
import { cases, modelShape, type Options, parse, wanted } from "../../scripts/bench/options.ts";
import { fullBatch, modelFlops, report as profileReport } from "../../scripts/bench/profile.ts";
import { trainingHyper } from "../../scripts/bench/train.ts";
import type { StepTime } from "../../src/backend/webgpu/profile.ts";
import { WebGpuBackend } from "../../src/backend/webgpu/webgpu_backend.ts";
import { PRESETS } from "../../src/model/config.ts";
import { BackendEngine } from "../../src/trainer/engine.ts";
import { webgpuAvailable } from "../adapter.ts";
import { CapturedDevices } from "./captured_device.ts";

Deno.test("median() takes the middle of the sorted values, or the mean of the two middle ones", () => {
  assertEquals(median([3, 1, 2]), 2);
  assertEquals(median([10, 1, 2, 4]), 3);
});

Deno.test("alternate() runs the contenders in turn, once to warm up", async () => {
  const order: string[] = [];
  const runner = (name: string, work: number) => ({
    work,
    run: () => Promise.resolve(void order.push(name)),
  });
  const rates = await alternate([runner("a", 1), runner("b", 2)], 2);
  assertEquals(order.join(""), "ababab");
  assertEquals(rates.length, 2);
});

Deno.test("expectNear() throws when a contender's figure is off, or no number", () => {
  expectNear("loss", 9.001, 9);
  assertThrows(() => expectNear("loss", 9.1, 9), Error, "its loss is 9.1, expected 9");
  assertThrows(() => expectNear("loss", NaN, 9), Error, "its loss is NaN, expected 9");
});

Deno.test("table() shows a dash and the reason for a contender that could not run", () => {
  const row = { bench: "train", input: "1 × 64", unit: "tokens/s" };
  const results: Result[] = [
    { ...row, contender: "wasm", value: 1234.5, note: "" },
    { ...row, contender: "webgpu", note: "not run: no adapter" },
  ];
  const lines = table(results).split("\n");
  assertEquals(lines.length, 4);
  assertStringIncludes(lines[2], "1,230 | tokens/s");
  assertStringIncludes(lines[3], "– | tokens/s | not run: no adapter");
});

Deno.test("timeAll() takes out a runner that fails, and its row tells why", async () => {
  const row = (contender: string): Result => {
    return { bench: "train", contender, input: "", unit: "tokens/s", note: "" };
  };
  let runs = 0;
  const run = (): Promise<void> => {
    runs++;
    return Promise.reject(new Error("device lost\nat …"));
  };
  const fails = { result: row("a"), runner: { work: 1, run } };
  const works = { result: row("b"), runner: { work: 1, run: () => Promise.resolve() } };
  await timeAll([fails, works], 3);
  assertEquals(fails.result.note, "failed: device lost");
  assertEquals(fails.result.value, undefined);
  assertEquals(runs, 1);
  assert(works.result.value! > 0);
});

Deno.test("adapterKind() tells of the adapter that the backend opens", async () => {
  const adapters = { "high-performance": false, "low-power": true };
  const requestAdapter = ({ powerPreference = "low-power" }: GPURequestAdapterOptions = {}) =>
    Promise.resolve({ info: { isFallbackAdapter: adapters[powerPreference] } });
  const before = Object.getOwnPropertyDescriptor(navigator, "gpu");
  Object.defineProperty(navigator, "gpu", { value: { requestAdapter }, configurable: true });
  try {
    assertEquals(await adapterKind(), "real");
  } finally {
    if (before) Object.defineProperty(navigator, "gpu", before);
    else Reflect.deleteProperty(navigator, "gpu");
  }
});

const options = (...args: string[]): Options => parse(args) as Options;

Deno.test("wanted() gives our backends, and peers where these run", () => {
  const contenders = { "wasm": 0, "webgpu f32": 0, "tfjs cpu": 0, "tfjs webgpu": 0, "pytorch": 0 };
  const on = (backend: string, peers: string) =>
    wanted(contenders, options("train", "--backend", backend, "--vs", peers));
  assertEquals(on("webgpu", "tfjs"), ["webgpu f32", "tfjs webgpu"]);
  assertEquals(on("wasm", "tfjs,pytorch"), ["wasm", "tfjs cpu", "pytorch"]);
  assertEquals(on("wasm,webgpu", "none"), ["wasm", "webgpu f32"]);
});

Deno.test("cases() combines presets, batches and lengths, and suits a GPU by default", () => {
  const shapes = (list: ReturnType<typeof cases>) =>
    list.map(({ preset, batchSize, sequenceLength }) =>
      `${preset} ${batchSize} × ${sequenceLength}`
    );
  assertEquals(shapes(cases(options("train"), "real")), ["small 16 × 512"]);
  assertEquals(shapes(cases(options("train"), "software")), ["small 1 × 512"]);
  assertEquals(shapes(cases(options("train", "--backend", "wasm"), "real")), ["small 1 × 512"]);
  const sweep = options("train", "--preset", "nano,tiny", "--batch-size", "1,2", "--length", "64");
  assertEquals(shapes(cases(sweep, "none")), [
    "nano 1 × 64",
    "nano 2 × 64",
    "tiny 1 × 64",
    "tiny 2 × 64",
  ]);
});

Deno.test("parse() refuses contexts that a preset has not, save for cost", () => {
  assertThrows(() => parse(["train", "--length", "600"]), Error, "the context of small is 512");
  assertEquals(options("cost", "--length", "2048").lengths, [2048]);
});

Deno.test("modelFlops() counts 6 for each parameter and token, and causal attention", () => {
  const { width, layers } = PRESETS.small, N = 2 * 512;
  // Forward a query meets 512 / 2 keys on average, in two products of 2 · C each; three times that.
  const attention = layers * N * 256 * 2 * 2 * width * 3;
  assertEquals(modelFlops(PRESETS.small, 2, 512), 6 * 13_916_160 * N + attention);
});

Deno.test("fullBatch() fills each row with one document", () => {
  const { positions, count } = fullBatch(PRESETS.tiny, 2, 4);
  assertEquals([...positions], [0, 1, 2, 3, 0, 1, 2, 3]);
  assertEquals(count, 8);
});

Deno.test({
  name: "benchCount() counts what a step does on a device",
  ignore: !webgpuAvailable,
  fn: async () => {
    const config = modelShape("nano"), shape = { batchSize: 2, sequenceLength: 64 };
    const rows = await benchCount({ config, ...shape });
    const [f32, f16] = rows.filter(({ contender }) => contender === "all");
    using captured = new CapturedDevices();
    const backend = await WebGpuBackend.create({ allowFallback: true });
    using engine = await BackendEngine.create(backend, config, { ...shape, dropout: 0.1 });
    captured.calls = {};
    await engine.trainStep([fullBatch(config, 2, 64)], trainingHyper(0), 0);
    await backend.finish();
    assertEquals(captured.calls.dispatchWorkgroups, f32.figures!.dispatches);
    assertEquals(captured.calls.submit, f32.figures!.submissions);
    // Weights stay in f32 and are rounded once more; activations and their gradients are halved.
    const share = f16.figures!.bytes / f32.figures!.bytes;
    assert(share > 0.5 && share < 0.9, `${share}`);
    const ops = rows.filter(({ input, contender }) =>
      input === f32.input && !contender.startsWith("all")
    );
    const bytes = ops.reduce((sum, { figures }) => sum + figures!.bytes, 0);
    assertEquals(bytes, f32.figures!.bytes);
  },
});

Deno.test("report() gives no rates where the GPU's clock saw no time, and refuses one that stands still", () => {
  const step = (label: string, ms: number): StepTime => ({
    op: label,
    label,
    work: 8,
    bytes: 4,
    ms,
  });
  const roofline = { flops: 1e9, bandwidth: 1e9, results: [] };
  const of = (...ms: number[]) =>
    profileReport([ms.map((ms, i) => step(`op ${i}`, ms))], 2, roofline, 1e6, {
      note: "",
      shape: "",
    });
  const rows = of(1, 0);
  assertEquals(rows[1].note, "too short for the GPU's clock");
  for (const { value, figures = {} } of rows) {
    assert([value, ...Object.values(figures)].every(Number.isFinite));
  }
  assertThrows(() => of(0, 0), Error, "clock says 0 ms");
});

/** A part's report with one row for each contender. */
function report(name: string, rows: Partial<Result>[]): PartReport {
  const base = { bench: name, contender: "", input: "", unit: "", note: "" };
  return {
    name,
    command: `bench ${name}`,
    seconds: 1,
    results: rows.map((r) => ({ ...base, ...r })),
  };
}

Deno.test("goals() compares within a part, and counts no PyTorch without CUDA", () => {
  const reports = [
    report("train-tfjs", [{ contender: "webgpu", value: 90 }, {
      contender: "tfjs webgpu",
      value: 10,
    }]),
    report("train-pytorch", [{ contender: "webgpu", value: 90 }, {
      contender: "pytorch",
      value: 100,
      note: "PyTorch 2.4, f32, NVIDIA H200",
    }]),
    report("decode", [
      { contender: "webgpu f32", value: 70_000, figures: { streams: 1 } },
      { contender: "webgpu int8", value: 51_000, figures: { streams: 64 } },
    ]),
  ];
  const notes = () => goals(reports).map(({ note }) => note);
  assertEquals(notes(), ["NOT reached", "reached", "not measured", "reached"]);
  reports[1].results[1].note = "PyTorch 2.4, f32, cpu, 8 thread(s)";
  assertEquals(notes()[1], "not measured");
});

Deno.test("figures() tells of a part that has not come to its end", () => {
  const reports = [{ ...report("decode", []), failure: "stopped after 50 s" }];
  const page = figures("a GPU", reports);
  assertStringIncludes(page, "`bench decode`, 1 s. **Not finished: stopped after 50 s.**");
});

Deno.test("lastRows() takes the last whole line of a process that was stopped", () => {
  const row = { bench: "cost", contender: "webgpu", input: "", unit: "tokens/s", note: "" };
  const line = (...results: Result[]) => JSON.stringify({ results });
  const stdout = `${line(row)}\n${line(row, row)}\n${line(row, row, row).slice(0, 90)}`;
  assertEquals(lastRows(stdout), [row, row]);
  assertEquals(lastRows(""), []);
});

Deno.test("--json tells the rows so far whenever a case has ended", async () => {
  const main = new URL("../../scripts/bench/main.ts", import.meta.url).href;
  const args = ["count", "--preset", "nano", "--batch-size", "1,2", "--length", "64", "--json"];
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-lock", "--allow-all", main, ...args],
  }).output();
  const lines = new TextDecoder().decode(stdout).trim().split("\n");
  const [one, two, all] = lines.map((line) => lastRows(line));
  assert(one.length > 0 && one.every(({ input }) => input.includes("1 × 64")));
  assertEquals(two.slice(0, one.length), one);
  assertEquals(all, two);
});

/** Runs `deno task bench gpu --smoke` and returns the reports that its folder then has. */
async function smoke(folder: string, parts: string): Promise<Map<string, PartReport>> {
  const main = new URL("../../scripts/bench/main.ts", import.meta.url).href;
  const args = ["gpu", "--smoke", "--output", folder, "--only", parts, "--json"];
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-lock", "--allow-all", main, ...args],
  }).output();
  assertEquals(code, 0, new TextDecoder().decode(stderr));
  const reports = new Map<string, PartReport>();
  for await (const { name } of Deno.readDir(folder)) {
    if (!name.endsWith(".json")) continue;
    const report = JSON.parse(await Deno.readTextFile(`${folder}/${name}`)) as PartReport;
    reports.set(report.name, report);
  }
  return reports;
}

Deno.test({
  name: "deno task bench gpu runs its parts one by one, and leaves the reports of others",
  ignore: !webgpuAvailable,
  fn: async () => {
    const folder = await Deno.makeTempDir();
    try {
      await smoke(folder, "tests,train-tfjs,train-pytorch,decode");
      const reports = await smoke(folder, "profile,cost");
      assertEquals(reports.size, 6);
      const rows = (part: string) => reports.get(part)!.results;
      const of = (part: string, contender: string) =>
        rows(part).filter((row) => row.contender === contender);
      assertEquals(of("tests", "webgpu_backend_test")[0].value, 1);
      assert(of("train-tfjs", "webgpu")[0].value! > 0);
      assert(of("train-tfjs", "tfjs webgpu")[0].value! > 0);
      // PyTorch may be missing, but it must not be wrong.
      const { value, note } = of("train-pytorch", "pytorch")[0];
      assert(value! > 0 || note.includes("PyTorch is not installed"), note);
      assertEquals(of("decode", "webgpu f32").map(({ figures }) => figures!.streams), [1, 4]);
      for (const row of of("decode", "webgpu f32")) assert(row.value! > 0, row.note);
      if (reports.get("profile")!.failure === undefined) {
        const groups = rows("profile").filter(({ figures }) => figures?.share !== undefined);
        const share = groups.reduce((sum, { figures }) => sum + figures!.share, 0);
        assert(Math.abs(share - 1) < 1e-9, `the shares sum to ${share}`);
        assert(groups.some(({ contender }) => contender.startsWith("matmul 64 × 96 × 32")));
      }
      assert(rows("cost")[0].figures!.megabytes > 1);
      const page = await Deno.readTextFile(`${folder}/figures.md`);
      for (const part of reports.keys()) assertStringIncludes(page, `## ${part}`);
      assertStringIncludes(await Deno.readTextFile(`${folder}/cost.svg`), "<polyline");
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});
