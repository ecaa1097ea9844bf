import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Bashling } from "../mod.ts";
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

/** Serves a bundle, opens the page in it in Chromium, and returns what it reports. */
async function visit(folder: string, isolated: boolean): Promise<Report> {
  const { promise, resolve, reject } = Promise.withResolvers<Report>();
  await using server = Deno.serve({ port: 0, onListen() {} }, async (request) => {
    if (!request.url.endsWith("/result")) return await serveFile(folder, request, isolated);
    resolve(await request.json());
    return new Response();
  });
  const profile = await Deno.makeTempDir();
  const browser = new Deno.Command(CHROMIUM, {
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-dev-shm-usage",
      "--no-first-run",
      `--user-data-dir=${profile}`,
      `http://127.0.0.1:${server.addr.port}/test.html`,
    ],
    env: { TMPDIR: profile },
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  let said = "";
  const listening = (async () => {
    for await (const text of browser.stderr.pipeThrough(new TextDecoderStream())) said += text;
  })();
  const fail = (why: string) => reject(new Error(`${why}. Chromium says: ${said}`));
  const timer = setTimeout(() => fail("The page did not report in time"), 30_000);
  browser.status.then(({ code }) => fail(`Chromium ended with ${code}`));
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    await browser[Symbol.asyncDispose]();
    await listening;
    // One of its processes may still be writing there; then the folder stays.
    await Deno.remove(profile, { recursive: true }).catch(() => {});
  }
}

/** The command of a Chromium that is installed. */
async function findChromium(): Promise<string | undefined> {
  for (const command of ["chromium", "chromium-browser", "google-chrome"]) {
    try {
      const { success } = await new Deno.Command(command, { args: ["--version"] }).output();
      if (success) return command;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return undefined;
}

const CHROMIUM = await findChromium() ?? "";

if (!CHROMIUM && !Deno.env.has("CI")) {
  console.error("There is no Chromium here, so what pages do is not tested: install chromium.");
}

Deno.test({
  name: "the bundle generates in a page what Deno does, with threads where the page is isolated",
  ignore: !CHROMIUM && !Deno.env.has("CI"),
  fn: async () => {
    if (!CHROMIUM) throw new Error("Chromium is missing: install it, as .ci/run does.");
    using model = await Bashling.load({ backend: "wasm" });
    const expected = await model.complete(PROMPT, OPTIONS);
    const { bitsPerByte } = await model.score(SCORED);
    const folder = await Deno.makeTempDir();
    try {
      await bundle(folder);
      await Deno.writeTextFile(`${folder}/test.html`, PAGE);
      for (const isolated of [true, false]) {
        const report = await visit(folder, isolated);
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
