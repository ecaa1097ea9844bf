/**
 * What a bash script may do to the machine that runs it. The verdict rests on parsed words: the
 * script is walked through, quotes, variables, substitutions and wrappers are resolved as far as the
 * script itself says them, and rules look at the commands that come out. Nothing is ever run.
 *
 * @module
 */

/**
 * `safe`: nothing found. `caution`: changes the system, needs root, is hard to take back, or runs
 * code that cannot be seen. `destructive`: may lose data or hand the machine over without asking.
 */
export type VerdictLevel = "safe" | "caution" | "destructive";

/** One thing that a script does. */
export interface Finding {
  /** How bad it is. */
  level: "caution" | "destructive";
  /** Line of the script, from 1. */
  line: number;
  /** One short clause: "removes everything under /". */
  reason: string;
  /** The command as it stands, shortened to 120 characters. */
  text: string;
}

/** What a script may do, the worst of its findings first named. */
export interface Verdict {
  /** The worst level of its findings; `safe` if there are none. */
  level: VerdictLevel;
  /** In the order of their lines. */
  findings: Finding[];
}

/**
 * Classifies a script. The parser is loaded on the first call, which reads two files of npm
 * packages: Deno must allow reading.
 *
 * @throws {Error} if the parser cannot be loaded.
 *
 * @example
 * ```ts
 * import { classify } from "@bashling/bashling";
 * import { assertEquals } from "@std/assert";
 *
 * const { level, findings } = await classify('dir=/\nrm -rf "$dir"\n');
 * assertEquals(level, "destructive");
 * assertEquals(findings[0].line, 2);
 * ```
 */
export async function classify(script: string): Promise<Verdict> {
  const [{ loadParser }, { Walk }] = await Promise.all([
    import("./parser.ts"),
    import("./walk.ts"),
  ]);
  const parser = await loadParser();
  const walk = new Walk((text) => parser.parse(text));
  try {
    walk.script(script);
  } finally {
    walk.close();
  }
  const findings = walk.found.sort((a, b) => a.line - b.line);
  const destructive = findings.some((finding) => finding.level === "destructive");
  return {
    level: destructive ? "destructive" : findings.length > 0 ? "caution" : "safe",
    findings,
  };
}
