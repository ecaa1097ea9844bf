/**
 * What a run on a GPU gave, as a page of Markdown, and which goals it reached.
 *
 * @module
 */

import { type Result, table } from "./measure.ts";

/** What one part of the run gave. */
export interface PartReport {
  /** The part. */
  name: string;
  /** The command that measures it by itself. */
  command: string;
  /** How long it took. */
  seconds: number;
  /** Its rows; of a part that was stopped, those of the cases that had ended. */
  results: Result[];
  /** Why it has not come to its end. */
  failure?: string;
  /** The end of what its processes said, if one failed. */
  log?: string;
}

/** A goal: a figure and what it must be at least. */
interface Goal {
  name: string;
  least: number;
  unit: string;
  /** The figure, if it was measured. */
  measure(rows: (part: string) => Result[]): number | undefined;
}

/** Value of ours over that of a peer in the same part. */
function ratio(rows: Result[], peer: string): number | undefined {
  const [ours, theirs] = ["webgpu", peer].map((name) =>
    rows.find(({ contender }) => contender === name)
  );
  // PyTorch without CUDA is no peer for a GPU.
  if (!ours?.value || !theirs?.value || theirs.note.includes("cpu")) return undefined;
  return ours.value / theirs.value;
}

const GOALS: Goal[] = [
  {
    name: "training beside TensorFlow.js on WebGPU",
    least: 10,
    unit: "times as fast",
    measure: (rows) => ratio(rows("train-tfjs"), "tfjs webgpu"),
  },
  {
    name: "training beside PyTorch in f32",
    least: 0.8,
    unit: "times as fast",
    measure: (rows) => ratio(rows("train-pytorch"), "pytorch"),
  },
  {
    name: "training, share of the measured f32 rate",
    least: 50,
    unit: "%",
    measure: (rows) =>
      rows("profile").find(({ contender }) => contender === "model FLOPs utilisation")?.value,
  },
  {
    name: "decoding 64 streams",
    least: 50_000,
    unit: "tokens/s",
    measure: (rows) => {
      const rates = rows("decode").flatMap(({ contender, figures, value }) =>
        figures?.streams === 64 && contender.startsWith("webgpu") && value ? [value] : []
      );
      return rates.length > 0 ? Math.max(...rates) : undefined;
    },
  },
];

/** A row for each goal: what was measured, and whether the goal is reached. */
export function goals(reports: PartReport[]): Result[] {
  const rows = (part: string) => reports.find(({ name }) => name === part)?.results ?? [];
  return GOALS.map(({ name, least, unit, measure }) => {
    const value = measure(rows);
    const input = `at least ${least.toLocaleString("en")}`;
    const note = value === undefined ? "not measured" : value >= least ? "reached" : "NOT reached";
    return { bench: "goal", contender: name, input, value, unit, note };
  });
}

/** The page: the machine, the goals, and each part with its command and table. */
export function figures(machine: string, reports: PartReport[]): string {
  const sections = reports.map(({ name, command, seconds, results, failure }) => {
    const end = failure === undefined ? "" : ` **Not finished: ${failure}.**`;
    const lines = [`## ${name}`, `\`${command}\`, ${seconds.toFixed(0)} s.${end}`];
    if (results.length > 0) lines.push(table(results));
    return lines.join("\n\n");
  });
  return [`# Figures`, `${machine}.`, table(goals(reports)), ...sections].join("\n\n") + "\n";
}
