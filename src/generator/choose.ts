/**
 * Several scripts for one prompt, and the best of them.
 *
 * @module
 */

import type { VerdictLevel } from "../safety/verdict.ts";
import type { GenerationResult, Piece } from "./generation.ts";
import type { CompleteOptions, GenerateOptions } from "./options.ts";

/** A whole script and how its generation ended. */
export interface Script extends GenerationResult {
  /** The script, shebang and comment included. */
  text: string;
}

/** Starts a generation of a prompt that is known. */
type Generate = (options: GenerateOptions) => AsyncGenerator<Piece, GenerationResult, undefined>;

/** Scripts that may be refused, for each that is wanted, before the choice is given up. */
const MOST_REFUSED = 8;

const SEVERITY: Record<VerdictLevel, number> = { safe: 0, caution: 1, destructive: 2 };

/** Joins the pieces of a generation. */
export async function collect(
  generation: AsyncGenerator<Piece, GenerationResult, undefined>,
): Promise<Script> {
  let text = "";
  let next = await generation.next();
  for (; !next.done; next = await generation.next()) text += next.value.text;
  return { text, ...next.value };
}

/**
 * Generates scripts with rising seeds until `bestOf` of them are neither refused nor aborted, and
 * returns the best of them.
 *
 * @throws {Error} if too many scripts were refused.
 */
export async function chooseScript(
  generate: Generate,
  { bestOf = 1, refuse = "none", ...options }: CompleteOptions,
): Promise<Script> {
  const seed = options.seed ?? crypto.getRandomValues(new Uint32Array(1))[0];
  const chosen: Script[] = [];
  for (let made = 0; chosen.length < bestOf;) {
    const wanted = bestOf - chosen.length;
    const scripts = await Promise.all(
      Array.from(
        { length: wanted },
        (_, i) => collect(generate({ ...options, seed: seed + made + i })),
      ),
    );
    made += wanted;
    const aborted = scripts.find(({ reason }) => reason === "abort");
    if (aborted) return aborted;
    const refused = scripts.filter(({ verdict }) =>
      refuse !== "none" && SEVERITY[verdict!.level] >= SEVERITY[refuse]
    );
    chosen.push(...scripts.filter((script) => !refused.includes(script)));
    if (refused.length > 0 && made >= bestOf * MOST_REFUSED) {
      const [{ line, reason }] = refused[0].verdict!.findings;
      throw new Error(
        `${
          made - chosen.length
        } of ${made} scripts were refused (line ${line} of the last: ${reason}): reword the prompt, or refuse less.`,
      );
    }
  }
  return bestFirst(chosen)[0];
}

/**
 * Sorts scripts: valid ones before others, then those whose tokens have the higher mean
 * log-probability.
 */
export function bestFirst<Result extends GenerationResult>(scripts: readonly Result[]): Result[] {
  const mean = ({ logprob, completionTokens }: Result) => logprob / Math.max(1, completionTokens);
  const rank = (script: Result) => script.syntax?.valid === false ? 1 : 0;
  return scripts.toSorted((a, b) => rank(a) - rank(b) || mean(b) - mean(a));
}
