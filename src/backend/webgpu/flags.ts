/**
 * Flags of the WebGPU specification. They are globals at run time, but not every TypeScript library
 * declares them.
 *
 * @module
 */

/** What a buffer may be used for. */
export const BUFFER_USAGE = {
  MAP_READ: 0x1,
  COPY_SRC: 0x4,
  COPY_DST: 0x8,
  UNIFORM: 0x40,
  STORAGE: 0x80,
  QUERY_RESOLVE: 0x200,
} as const;

/** How a buffer is mapped: for reading. */
export const MAP_READ = 0x1;
