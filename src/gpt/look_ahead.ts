/**
 * Several steps of many streams without the host in between: the backend itself draws the tokens
 * that the host will probably draw, and one readback brings the logits of all steps.
 *
 * The host draws again from what it reads, with its own rules, and decides: where it draws another
 * token, the later steps of that stream are worth nothing, and what they left in the cache stands at
 * positions that are written anew before they are read.
 *
 * @module
 */

import { type Program, type Tensor, viewAlignment } from "../backend/backend.ts";
import type { StepPass, StreamLogits } from "./decode.ts";
import type { Passes, Row } from "./passes.ts";
import type { TopSlices } from "./top_logits.ts";

/** Most steps of a look-ahead. */
export const MOST_STEPS = 32;

/** How tokens are drawn from the largest logits; the numbers mean what they mean to a sampler. */
export interface DrawRule {
  temperature: number;
  /** 0 draws from all that there are. */
  topK: number;
  topP: number;
  minP: number;
}

/** A stream and how far it goes on. */
export interface AheadStream extends Row {
  /** How its tokens are drawn. */
  rule: DrawRule;
  /**
   * What decides its draws, in order, as `drawTokens` says: the stream makes one step more than there
   * are. All its steps must fit the context.
   */
  chances: ArrayLike<number>;
  /** Whether all logits after its first step will be asked for: they are then read with the largest. */
  wantsAll?: boolean;
}

/** The steps that a stream has made. */
export interface AheadSteps {
  /** How many there are, at least one. */
  readonly count: number;
  /** Token that a step read; the first is the one that was given. */
  token(step: number): number;
  /**
   * Logits after a step. All of them are kept for the first step alone; for another the stream makes
   * the step again when all are asked for, which it can until it goes on from that step.
   */
  logits(step: number): StreamLogits;
}

/** What a look-ahead is made of. */
export interface LookAheadParts {
  readonly passes: Passes;
  /** Records the first step, which keeps all logits. */
  readonly stepPass: (rows: number) => StepPass;
  /** Reads a row of such logits. */
  readonly reader: (logits: Tensor) => (row: number) => Promise<Float32Array<ArrayBuffer>>;
  /** {@linkcode MOST_STEPS} slices. */
  readonly slices: TopSlices;
}

/** Programs of the steps after the first, for a number of rows. */
interface AheadPasses {
  /** By step: draws the token that the step before chose; undefined for the first step. */
  readonly draws: (Program | undefined)[];
  /** By step: logits and the largest of them, from what the blocks left. */
  readonly heads: (Program | undefined)[];
}

/** Looks ahead on a backend where the host's part of a step takes longer than the step. */
export class LookAhead {
  /** Most steps that {@linkcode LookAhead.run} makes. */
  readonly mostSteps: number = MOST_STEPS;
  readonly #parts: LookAheadParts;
  /** (rows, V) of every step but the first. */
  readonly #logits: Tensor;
  /** u32 (rows) where each row ends, (rows, 4) rules, and for each draw chances (rows). */
  readonly #ends: Tensor;
  readonly #rules: Tensor;
  readonly #chances: Tensor;
  /** What the host writes into these. */
  readonly #written: { ends: Uint32Array; rules: Float32Array; chances: Float32Array };
  /** Elements from one draw's chances to the next. */
  readonly #stride: number;
  /** By number of rows. */
  readonly #passes = new Map<number, AheadPasses>();
  /** All logits of one row, without the largest. */
  #again?: { program: Program; logits: Tensor };

  /** Allocates logits, and the numbers that draws need. */
  constructor(parts: LookAheadParts) {
    this.#parts = parts;
    const { passes } = parts, { stepRows: rows, config: { vocabSize: V } } = passes;
    this.#stride = Math.ceil(rows / viewAlignment("f32")) * viewAlignment("f32");
    const chances = (MOST_STEPS - 1) * this.#stride;
    this.#logits = passes.tensor([rows, V]);
    this.#ends = passes.tensor([rows], "u32");
    this.#rules = passes.tensor([rows, 4]);
    this.#chances = passes.tensor([chances]);
    this.#written = {
      ends: new Uint32Array(rows),
      rules: new Float32Array(4 * rows),
      chances: new Float32Array(chances),
    };
  }

  /**
   * Advances streams, each of another slot.
   * @returns The steps of each stream.
   * @throws {RangeError} if a stream has more chances than there can be draws.
   */
  async run(streams: readonly AheadStream[]): Promise<AheadSteps[]> {
    const { passes, slices, stepPass, reader } = this.#parts, { backend } = passes;
    const steps = 1 + Math.max(...streams.map(({ chances }) => chances.length));
    if (steps > MOST_STEPS) {
      throw new RangeError(`A look-ahead of ${steps} steps is too long: ${MOST_STEPS} are most.`);
    }
    const rows = passes.rowsFor(streams.length);
    passes.fill();
    passes.write(rows, streams);
    if (steps > 1) this.#writeDraws(streams, steps);
    const first = stepPass(rows), blocks = steps > 1 ? passes.blocks(rows) : undefined;
    backend.run(first.program);
    for (let step = 1; step < steps; step++) {
      const { draw, head } = this.#pass(rows, step);
      backend.run(draw, blocks!, head);
    }
    const allOf = reader(first.logits);
    // Both copies are under way before either is waited for: the waits take as long as one.
    const [read] = await Promise.all([
      slices.read(rows, steps),
      ...streams.flatMap(({ wantsAll }, row) => wantsAll ? [allOf(row)] : []),
    ]);
    return streams.map(({ slot, token, position, chances }, row): AheadSteps => {
      const tokenOf = (step: number) => step === 0 ? token : read.token(step, row);
      const all = (step: number) =>
        step === 0
          ? allOf(row)
          : this.#allOf({ slot, token: tokenOf(step), position: position + step });
      return {
        count: 1 + chances.length,
        token: tokenOf,
        logits: (step) => read.logits(step, row, () => all(step)),
      };
    });
  }

  /** Writes what `steps` − 1 draws of each stream need. */
  #writeDraws(streams: readonly AheadStream[], steps: number): void {
    const { backend } = this.#parts.passes, { ends, rules, chances } = this.#written;
    streams.forEach(({ position, rule, chances: given }, row) => {
      ends[row] = position + 1 + given.length;
      rules.set([rule.temperature, rule.topK, rule.topP, rule.minP], 4 * row);
      for (let draw = 0; draw < given.length; draw++) {
        chances[draw * this.#stride + row] = given[draw];
      }
    });
    backend.write(this.#ends, ends);
    backend.write(this.#rules, rules);
    backend.write(this.#chances, chances.subarray(0, (steps - 1) * this.#stride));
  }

  /** The programs of one step. */
  #pass(rows: number, step: number): { draw: Program; head: Program } {
    const { passes, slices } = this.#parts, { backend } = passes;
    let known = this.#passes.get(rows);
    if (!known) this.#passes.set(rows, known = { draws: [], heads: [] });
    const draw = known.draws[step] ??= backend.record((ops) =>
      ops.drawTokens({
        drawn: slices.tokens(rows, step),
        tokens: passes.input("token", rows),
        positions: passes.input("position", rows),
        ends: backend.view(this.#ends, 0, [rows]),
        top: slices.top(rows, step - 1),
        rules: backend.view(this.#rules, 0, [rows, 4]),
        chances: backend.view(this.#chances, (step - 1) * this.#stride, [rows]),
      })
    );
    const head = known.heads[step] ??= passes.record((ops) => {
      const logits = backend.view(this.#logits, 0, [rows, passes.config.vocabSize]);
      passes.recordHead(ops, logits);
      ops.topLogits({ out: slices.top(rows, step), logits });
    });
    return { draw, head };
  }

  /** All logits after a step that a stream has made: they were not kept, so it makes the step again. */
  #allOf(row: Row): Promise<Float32Array<ArrayBuffer>> {
    const { passes } = this.#parts, { backend, config: { vocabSize } } = passes;
    this.#again ??= (() => {
      const logits = backend.view(this.#logits, 0, [1, vocabSize]);
      const program = passes.record((ops) => {
        passes.recordBlocks(ops, 1);
        passes.recordHead(ops, logits);
      });
      return { program, logits };
    })();
    passes.fill();
    passes.write(1, [row]);
    backend.run(this.#again.program);
    return backend.read(this.#again.logits);
  }
}
