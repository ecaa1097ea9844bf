/**
 * Stop strings in a stream of text.
 *
 * @module
 */

/** What {@linkcode StopMatcher.push} has found out. */
export interface StopMatch {
  /** Text that is certain to stand before any stop string. */
  text: string;
  /** The stop string that ended the stream, if one did. */
  stop?: string;
}

/**
 * Finds stop strings in text that comes in pieces, wherever the pieces end. The first stop string to
 * be complete ends the stream; of several that are complete at once, the one that began first. Text
 * that may still turn out to begin a stop string is held back.
 */
export class StopMatcher {
  readonly #stops: readonly string[];
  #held = "";

  /** @param stops Stop strings, none of them empty. */
  constructor(stops: readonly string[]) {
    this.#stops = stops;
  }

  /** Takes more text; not to be called again after a match. */
  push(text: string): StopMatch {
    const held = this.#held + text;
    let found: { start: number; end: number; stop: string } | undefined;
    for (const stop of this.#stops) {
      const start = held.indexOf(stop);
      const end = start + stop.length;
      if (start < 0 || (found && (end > found.end || (end === found.end && start > found.start)))) {
        continue;
      }
      found = { start, end, stop };
    }
    if (found) {
      this.#held = "";
      return { text: held.slice(0, found.start), stop: found.stop };
    }
    const certain = held.length - this.#beginningAtEnd(held);
    this.#held = held.slice(certain);
    return { text: held.slice(0, certain) };
  }

  /** Ends the stream: returns the text still held back. */
  flush(): string {
    const text = this.#held;
    this.#held = "";
    return text;
  }

  /** Length of the longest end of `text` with which a stop string begins. */
  #beginningAtEnd(text: string): number {
    let longest = 0;
    for (const stop of this.#stops) {
      for (let n = Math.min(stop.length - 1, text.length); n > longest; n--) {
        if (text.endsWith(stop.slice(0, n))) longest = n;
      }
    }
    return longest;
  }
}
