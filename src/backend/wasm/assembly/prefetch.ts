// Loads that are there for the cache alone; WebAssembly has no instruction for that.

/** Bytes of a cache line. */
const LINE: usize = 64;

/**
 * Brings `bytes` from `from` on near the processor. Loads that nothing waits for are under way by the
 * dozen, those between products by a few, so that what comes from far comes much sooner; what is near
 * already costs a twentieth of its products.
 *
 * @returns Something of every line. It must be stored, or the loads are left out.
 */
export function touch(from: usize, bytes: usize): i32 {
  let all: i32 = 0;
  const end = from + bytes;
  for (; from + 3 * LINE < end; from += 4 * LINE) {
    all ^= load<i32>(from) ^ load<i32>(from, LINE) ^ load<i32>(from, 2 * LINE) ^
      load<i32>(from, 3 * LINE);
  }
  for (; from < end; from += LINE) all ^= load<i32>(from);
  return all;
}
