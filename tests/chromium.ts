/** Pages in headless Chromium, which tell what they found by POST. */

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

/** Whether tests of pages cannot run here; where CI is set they fail instead. */
export const noChromium: boolean = !CHROMIUM && !Deno.env.has("CI");

if (noChromium) {
  console.error("There is no Chromium here, so what pages do is not tested: install chromium.");
}

/** How a page is visited. */
export interface Visit {
  /** Answers requests for files; the page is `test.html`. */
  serve: (request: Request) => Response | Promise<Response>;
  /** Options of Chromium besides the usual. */
  options?: string[];
  /** Milliseconds in which the page must report. Default 30 s. */
  limit?: number;
}

/** Opens a page, and returns what it posts to `result` as JSON. */
export async function visit<Report>(
  { serve, options = ["--disable-gpu"], limit = 30_000 }: Visit,
): Promise<Report> {
  if (!CHROMIUM) throw new Error("Chromium is missing: install it, as .ci/run does.");
  const { promise, resolve, reject } = Promise.withResolvers<Report>();
  await using server = Deno.serve({ port: 0, onListen() {} }, async (request) => {
    if (!request.url.endsWith("/result")) return await serve(request);
    resolve(await request.json());
    return new Response();
  });
  const profile = await Deno.makeTempDir();
  const browser = new Deno.Command(CHROMIUM, {
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-dev-shm-usage",
      "--no-first-run",
      `--user-data-dir=${profile}`,
      ...options,
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
  const timer = setTimeout(() => fail("The page did not report in time"), limit);
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
