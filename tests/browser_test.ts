import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Bashling } from "../mod.ts";
import { noChromium, visit } from "./chromium.ts";
import { bundle, serveFile } from "../scripts/bundle.ts";

const PROMPT = "List the ten largest files";
const SCORED = "#!/bin/bash\nls -l\n";
const OPTIONS = { seed: 7, maxTokens: 60 };

/** What the page below found out, or why it could not. */
interface Report {
  error?: string;
  isolated: boolean;
  description: string;
  pieces: string[];
  text: string;
  level: string;
  destructive: string;
  bitsPerByte: number;
  ids: number[];
  refused: string;
}

const PAGE = `<!DOCTYPE html><title>Test</title><script type="module">
  async function run() {
    const { Bashling, classify } = await import("./bashling.js");
    const model = await Bashling.load();
    const generation = model.generate(${JSON.stringify(PROMPT)}, ${JSON.stringify(OPTIONS)});
    const pieces = [];
    let next = await generation.next();
    for (; !next.done; next = await generation.next()) pieces.push(next.value.text);
    return {
      isolated: globalThis.crossOriginIsolated,
      description: model.backend.description,
      pieces,
      text: await model.complete(${JSON.stringify(PROMPT)}, ${JSON.stringify(OPTIONS)}),
      level: next.value.verdict.level,
      destructive: (await classify("rm -rf /")).level,
      bitsPerByte: (await model.score(${JSON.stringify(SCORED)})).bitsPerByte,
      ids: [...model.tokenizer.encode("for i in")],
      refused: await Bashling.load({ backend: "tfjs" }).then(() => "", (error) => error.message),
    };
  }
  const report = await run().catch((error) => ({ error: String(error.stack) }));
  await fetch("result", { method: "POST", body: JSON.stringify(report) });
</script>`;

Deno.test({
  name: "the bundle generates in a page what Deno does, with threads where the page is isolated",
  ignore: noChromium,
  fn: async () => {
    using model = await Bashling.load({ backend: "wasm" });
    const expected = await model.complete(PROMPT, OPTIONS);
    const { bitsPerByte } = await model.score(SCORED);
    const folder = await Deno.makeTempDir();
    try {
      await bundle(folder);
      await Deno.writeTextFile(`${folder}/test.html`, PAGE);
      for (const isolated of [true, false]) {
        const report = await visit<Report>({
          serve: (request) => serveFile(folder, request, isolated),
        });
        assertEquals(report.error, undefined);
        assertEquals(report.isolated, isolated);
        const threads = Math.min(8, navigator.hardwareConcurrency);
        assertMatch(
          report.description,
          isolated
            ? new RegExp(`^WebAssembly relaxed SIMD, ${threads} threads?, 8-bit`)
            : /^WebAssembly relaxed SIMD, 1 thread \(the page is not cross-origin isolated\), 8-bit/,
        );
        assertEquals(report.text, expected);
        assertEquals(report.pieces.join(""), expected);
        assertEquals([report.level, report.destructive], ["safe", "destructive"]);
        assertEquals(report.bitsPerByte, bitsPerByte);
        assertEquals(report.ids, [...model.tokenizer.encode("for i in")]);
        assertStringIncludes(report.refused, "TensorFlow.js is not part of the bundle");
      }
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});
