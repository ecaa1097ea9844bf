import { assertEquals } from "@std/assert";

// Deno fetches every npm package of the lock file as soon as one of them is needed. Packages of tests
// and benchmarks, half a gigabyte of them, must not be in it, or the first script would wait for them.
Deno.test("deno.lock has the npm packages that generating needs, and no others", async () => {
  const lock = JSON.parse(await Deno.readTextFile(new URL("../deno.lock", import.meta.url)));
  assertEquals(Object.keys(lock.npm).map((name) => name.replace(/@[^@]*$/, "")), [
    "node-addon-api",
    "node-gyp-build",
    "tree-sitter-bash",
    "web-tree-sitter",
  ]);
});
