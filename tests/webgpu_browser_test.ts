import { assertEquals, assertMatch } from "@std/assert";
import { noChromium, visit } from "./chromium.ts";
import { OP_CASES, reduces } from "./op_cases.ts";
import type { PageReport } from "./webgpu_page.ts";

/** WebGPU by Chromium's own software adapter, which is not the one that Deno finds. */
const OPTIONS = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"];

const PAGE = '<!DOCTYPE html><title>Test</title><script type="module" src="page.js"></script>';

Deno.test({
  name: "webgpu ops agree with the reference in Chromium too, with subgroups and without",
  ignore: noChromium,
  fn: async () => {
    const folder = await Deno.makeTempDir();
    try {
      const { success, stderr } = await new Deno.Command(Deno.execPath(), {
        args: [
          ...["bundle", "--no-lock", "--quiet", "--platform=browser"],
          ...[`--output=${folder}/page.js`, "tests/webgpu_page.ts"],
        ],
      }).output();
      assertEquals(success, true, new TextDecoder().decode(stderr));
      const script = await Deno.readTextFile(`${folder}/page.js`);
      const serve = ({ url }: Request) =>
        url.endsWith("/page.js")
          ? new Response(script, { headers: { "content-type": "text/javascript" } })
          : new Response(PAGE, { headers: { "content-type": "text/html" } });
      const { error, runs } = await visit<PageReport>({ serve, options: OPTIONS, limit: 120_000 });
      assertEquals(error, undefined);
      assertEquals(runs.map(({ subgroups }) => subgroups), [true, false]);
      const cases = [OP_CASES.length, OP_CASES.filter(reduces).length];
      runs.forEach(({ description, passed, failures }, i) => {
        assertMatch(description, /swiftshader/i);
        assertEquals(failures, []);
        assertEquals(passed, cases[i]);
      });
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});
