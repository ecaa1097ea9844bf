import { assertEquals } from "@std/assert";

/** What a process with these permissions finds, in a cache folder of its own. */
async function granted(...permissions: string[]): Promise<string> {
  const module = new URL("../src/cache_folder.ts", import.meta.url).href;
  const program = `import { grantedCacheFolder } from "${module}";
    console.log(String(await grantedCacheFolder()));`;
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-lock",
      "--quiet",
      "--no-prompt",
      ...permissions,
      `data:application/typescript,${encodeURIComponent(program)}`,
    ],
    env: { XDG_CACHE_HOME: "/caches" },
  }).output();
  return new TextDecoder().decode(stdout).trim();
}

Deno.test({
  name: "grantedCacheFolder() finds the folder only where it may be read and written",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    const env = "--allow-env=XDG_CACHE_HOME,HOME", folder = "/caches/bashling";
    const all = [env, `--allow-read=${folder}`, `--allow-write=${folder}`];
    assertEquals(await granted(...all), folder);
    for (const missing of all) {
      const rest = all.filter((permission) => permission !== missing);
      assertEquals(await granted(...rest), "undefined", missing);
    }
  },
});
