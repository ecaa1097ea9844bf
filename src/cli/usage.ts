/**
 * The error of a command line that cannot be obeyed.
 *
 * @module
 */

/** Wrong arguments: the message is one sentence and a remedy, and the exit code is 2. */
export class UsageError extends Error {
  override name = "UsageError";
}
