/**
 * Whether a short program runs faster on all threads or on one.
 *
 * On an idle machine it is all. Beside other work it can be one, by a factor of five: at each of a
 * program's barriers all threads wait for whichever has just lost its core to another process, and
 * that takes milliseconds. Results have the same bits either way.
 *
 * @module
 */

/**
 * Programs that take longer on all threads, in milliseconds, are not worth the question. Steps of 32
 * streams, which take 2 to 10 when nothing else runs and several times that beside other work, are.
 */
const LONGEST = 100;
/** Runs from one look at the way that is not in use to the next, at first and at most. */
const PERIOD = { first: 32, most: 3072 };
/** Runs of a look; the first does not count, since workers may have to wake up. */
const LOOK = 4;
/** Weight of a new time in the mean of the way in use: rare long ones must tell, so it is a mean. */
const WEIGHT = 0.05;
/** Weight of a look's mean in that of the other way. */
const LOOK_WEIGHT = 0.4;

/** Chooses for one program, by the mean times of both ways so far. */
export class Pace {
  /** Mean milliseconds on one thread, and on all. */
  readonly #means: [alone: number, together: number] = [NaN, NaN];
  /** The way in use: an index of `#means`. */
  #best: 0 | 1;
  /** Runs until the next look, and what they start from again; a look that changes nothing doubles it. */
  #left = PERIOD.first;
  #period = PERIOD.first;
  /** Times of the look under way. */
  #look: number[] = [];

  /** @param alone Begin on one thread: for programs that were recorded when others are better there. */
  constructor(alone: boolean = false) {
    this.#best = alone ? 0 : 1;
  }

  /** Whether the next run is to be on one thread. */
  get alone(): boolean {
    return (this.#left > 0) === (this.#best === 0);
  }

  /** Takes note of how long the last run took, and chooses for the next. */
  took(milliseconds: number): void {
    const means = this.#means, best = this.#best;
    if (this.#left > 0) {
      means[best] = blend(means[best], milliseconds, WEIGHT);
      // A look at one thread would last too long, and could not pay.
      if (best === 0 || means[1] <= LONGEST) this.#left--;
      return;
    }
    if (this.#look.push(milliseconds) < LOOK) return;
    const counted = this.#look.slice(1), other = best === 0 ? 1 : 0;
    means[other] = blend(
      means[other],
      counted.reduce((a, b) => a + b) / counted.length,
      LOOK_WEIGHT,
    );
    this.#look = [];
    const isChanged = means[other] < means[best];
    if (isChanged) this.#best = other;
    this.#period = isChanged ? PERIOD.first : Math.min(2 * this.#period, PERIOD.most);
    this.#left = this.#period;
  }
}

function blend(mean: number, value: number, weight: number): number {
  return Number.isNaN(mean) ? value : mean + weight * (value - mean);
}
