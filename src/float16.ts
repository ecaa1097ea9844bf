/**
 * 16-bit floats, which not every JavaScript runtime has.
 *
 * @module
 */

/** Whether this runtime has `Float16Array`. */
export const hasFloat16: boolean = typeof Float16Array !== "undefined";

/**
 * `Float16Array`.
 * @throws {Error} if this runtime has none.
 */
export function halves(): Float16ArrayConstructor {
  if (hasFloat16) return Float16Array;
  throw new Error(
    "F16 can be neither read nor written here: use weights in 8 bits or F32, or a newer runtime, such as Node 24.",
  );
}
