/**
 * A request under way.
 *
 * @module
 */

import type { LogFields } from "./log.ts";

/** A request under way, and what is known of it. */
export interface Exchange {
  request: Request;
  /** Under which it is logged and answered. */
  id: string;
  /** Who asks: the name of a key, or an address. */
  client: string;
  /** When it came, in milliseconds of `performance.now()`. */
  arrived: number;
  /** What the log tells of it beside the usual. */
  fields: LogFields;
}
