/**
 * Where the weights are that come with this module.
 *
 * @module
 */

/** Folder of the weights that come with this module. */
export const SHIPPED_WEIGHTS: URL = new URL("../../weights/", import.meta.url);
