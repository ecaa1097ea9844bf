/**
 * Local stand-in for the part of `jsr:@std/cli` that this project uses. Never published.
 *
 * @module
 */
export * from "./parse_args.ts";
