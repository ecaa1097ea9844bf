/**
 * Local stand-in for the part of `jsr:@std/cli` that this project uses. The published package resolves the real one.
 *
 * @module
 */
export * from "./parse_args.ts";
