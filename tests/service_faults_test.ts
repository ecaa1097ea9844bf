import { assert, assertEquals, assertMatch } from "@std/assert";
import { startDeno } from "./process.ts";
import { writeRandomModel } from "./random_model.ts";
import { ask, assertUnavailable, PROMPT, readEvents, Tried } from "./tried_service.ts";

Deno.test("Service starts the Worker again when it crashes, and answers with 503 what it held", async () => {
  await using tried = new Tried(undefined);
  await tried.service.ready;
  const held = [1, 2].map((seed) => tried.ask({ prompt: PROMPT, max_tokens: 400, seed }));
  await assertUnavailable(await tried.ask({ prompt: "crash" }));
  for (const response of await Promise.all(held)) await assertUnavailable(response);
  await tried.check();
  assertEquals(tried.workers.length, 2);
  assertMatch(tried.log, /the Worker failed: a fault that was asked for/);
  assertMatch(tried.service.metrics.text(), /^bashling_engine_restarts_total 1$/m);
});

Deno.test("Service starts the Worker again when it hangs", async () => {
  await using tried = new Tried(undefined);
  await tried.service.ready;
  await assertUnavailable(await tried.ask({ prompt: "hang" }));
  await tried.check();
  assertMatch(tried.log, /has not answered for/);
});

Deno.test("Service tells the readers of streams when the Worker was killed, and lets others wait on", async () => {
  await using tried = new Tried(undefined);
  await tried.service.ready;
  const body = {
    prompt: PROMPT,
    max_tokens: 450,
    stream: true,
    temperature: 2,
    top_k: 0,
    top_p: 1,
  };
  const streams = await Promise.all(
    [1, 2, 3, 4].map((seed) => tried.ask({ ...body, seed })),
  );
  const waiting = tried.ask({ prompt: PROMPT, max_tokens: 5 });
  tried.workers[0].terminate();
  for (const response of streams) {
    assertEquals(response.status, 200);
    const last = (await readEvents(response)).at(-1)!;
    // One that had ended before may have all of it.
    if (last !== "[DONE]") assertEquals(JSON.parse(last).error.code, "unavailable");
  }
  const response = await waiting;
  assertEquals(response.status, 200, await response.text());
  await tried.check();
});

Deno.test("Service works on without its weights' files, and takes those that are there when it must load again", async () => {
  const [folder, other] = [await writeRandomModel(1), await writeRandomModel(2)];
  await using tried = new Tried(folder);
  await tried.service.ready;
  const fingerprint = async () => {
    const response = await tried.ask({ prompt: PROMPT, max_tokens: 5 });
    return (await response.json()).system_fingerprint;
  };
  const first = await fingerprint();
  await Deno.remove(folder, { recursive: true });
  assertEquals(await fingerprint(), first);

  tried.workers.at(-1)!.terminate();
  await tried.until(false);
  await assertUnavailable(await tried.ask({ prompt: PROMPT }));
  assertEquals((await (await fetch(`${tried.url}/health`)).json()).status, "ok");
  while (!/loading failed: Cannot load weights: there is no config.json/.test(tried.log)) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }

  await Deno.rename(other, folder);
  await tried.check();
  assert(await fingerprint() !== first);
  await Deno.remove(folder, { recursive: true });
});

Deno.test("Service does not notice when the clock jumps", async () => {
  await using tried = new Tried(undefined, { rate: 100 });
  await tried.service.ready;
  const { now } = Date;
  try {
    for (const hours of [-48, 48, 0]) {
      Date.now = () => now() + hours * 3_600_000;
      const body = { prompt: PROMPT, max_tokens: 20, seed: 1 };
      const [whole, stream] = await Promise.all([
        tried.ask(body).then((response) => response.json()),
        tried.ask({ ...body, stream: true }).then(readEvents),
      ]);
      const pieces = stream.slice(0, -1).map((event) => JSON.parse(event).choices[0].text);
      assertEquals(pieces.join(""), whole.choices[0].text);
      assertEquals(stream.at(-1), "[DONE]");
    }
  } finally {
    Date.now = now;
  }
  assertMatch(tried.service.metrics.text(), /^bashling_engine_restarts_total 0$/m);
  await tried.check();
});

/** Starts the service in a process of its own and waits for its address. */
async function startService(args: string[] = [], shell = "") {
  const command = ["--no-lock", "--allow-read", "--allow-net=127.0.0.1", "src/cli/main.ts"];
  const serve = ["serve", "--port=0", "--threads=1", "--streams=8", ...args];
  const child = shell === "" ? startDeno([...command, ...serve]) : new Deno.Command("sh", {
    args: [
      "-c",
      `exec "$0" "$@" ${shell}`,
      Deno.execPath(),
      "run",
      "--quiet",
      ...command,
      ...serve,
    ],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  child.stdin.close();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let line = "";
  while (!line.includes("\n")) line += (await reader.read()).value ?? "\n";
  reader.cancel();
  const url = line.match(/http:\S+/)?.[0];
  if (!url) throw new Error(await new Response(child.stderr).text());
  return { child, url };
}

/** Everything that a process says on stderr, and how it ends. */
async function ending(child: Deno.ChildProcess): Promise<{ code: number; stderr: string }> {
  const [stderr, { code }] = await Promise.all([new Response(child.stderr).text(), child.status]);
  return { code, stderr };
}

Deno.test({
  name: "bashling serve works on when the disk of its log is full",
  ignore: Deno.build.os !== "linux", // where /dev/full is
  fn: async () => {
    const { child, url } = await startService([], "2>/dev/full");
    for (let i = 0; i < 3; i++) {
      const response = await ask(url, { prompt: PROMPT, max_tokens: 5 });
      assertEquals(response.status, 200, await response.text());
    }
    const metrics = await (await fetch(`${url}/metrics`)).text();
    assert(Number(metrics.match(/^bashling_log_lines_lost_total (\d+)$/m)![1]) >= 4);
    child.kill("SIGTERM");
    assertEquals((await ending(child)).code, 0);
  },
});

/** Asks for long scripts, as many as are made at once and as many more. */
const load = (url: string): Promise<Response>[] =>
  Array.from({ length: 16 }, (_, seed) =>
    ask(url, {
      prompt: PROMPT,
      seed,
      max_tokens: 400,
      temperature: 2,
      top_k: 0,
      top_p: 1,
      stream: seed % 2 === 0,
    }));

/** Waits until scripts are being made. */
async function underWay(url: string): Promise<void> {
  while ((await (await fetch(`${url}/slots`)).json()).waiting === 0);
}

const notOnWindows = { ignore: Deno.build.os === "windows" };

Deno.test(
  "bashling serve finishes what is under way when it is told to end",
  notOnWindows,
  async () => {
    const { child, url } = await startService();
    const requests = load(url);
    await underWay(url);
    child.kill("SIGTERM");
    while ((await (await fetch(`${url}/ready`)).json()).status !== "draining");
    await assertUnavailable(await ask(url, { prompt: PROMPT }));
    for (const response of await Promise.all(requests)) {
      const text = await response.text();
      assertEquals(response.status, 200, text);
      assert(/^ *\{/.test(text) || text.endsWith("data: [DONE]\n\n"), text.slice(-200));
    }
    const { code, stderr } = await ending(child);
    assertEquals(code, 0, stderr);
    assertMatch(stderr, /"down","aborted":0/);
  },
);

Deno.test(
  "bashling serve ends what is left when its time is over, and tells",
  notOnWindows,
  async () => {
    const { child, url } = await startService(["--grace=0.05"]);
    const requests = load(url);
    await underWay(url);
    child.kill("SIGINT");
    let aborted = 0;
    for (const response of await Promise.all(requests)) {
      if (response.status === 503) {
        await assertUnavailable(response);
        aborted++;
        continue;
      }
      const text = await response.text();
      if (text.startsWith("{") || text.endsWith("data: [DONE]\n\n")) continue;
      assertMatch(text, /data: \{"error":\{"message":"The service is going down[^\n]*\n\n$/);
      aborted++;
    }
    assert(aborted > 0);
    const { code, stderr } = await ending(child);
    assertEquals(code, 0, stderr);
  },
);

Deno.test("bashling serve ends at once at a second signal", notOnWindows, async () => {
  const { child, url } = await startService(["--grace=3600"]);
  const requests = load(url).map((request) => request.then((r) => r.text()).catch(() => "cut off"));
  await underWay(url);
  child.kill("SIGTERM");
  while ((await (await fetch(`${url}/ready`)).json()).status !== "draining");
  child.kill("SIGTERM");
  const { code } = await ending(child);
  assertEquals(code, 143);
  assert((await Promise.all(requests)).includes("cut off"));
});

Deno.test("bashling serve ends with 0 at a signal while it loads", notOnWindows, async () => {
  const command = ["--no-lock", "--allow-read", "--allow-net=127.0.0.1", "src/cli/main.ts"];
  const child = startDeno([...command, "serve", "--port=0"]);
  child.stdin.close();
  let log = "";
  for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) {
    if (log === "") child.kill("SIGTERM");
    log += text;
  }
  assertMatch(log, /^[^\n]*"event":"listening"/);
  assertMatch(log, /"event":"down"[^\n]*\n$/);
  assertEquals(await new Response(child.stdout).text(), "");
  assertEquals((await child.status).code, 0);
});

Deno.test(
  "bashling serve logs an answer that is cut as it logs all else",
  notOnWindows,
  async () => {
    const { child, url } = await startService(["--deadline=1.2"]);
    const fields = { prompt: PROMPT, max_tokens: 500, n: 16, logit_bias: { 0: -100 } };
    const answers = await Promise.allSettled(
      Array.from({ length: 6 }, () => ask(url, fields).then((answer) => answer.text())),
    );
    assert(answers.some(({ status }) => status === "rejected"), "no answer was cut");
    child.kill("SIGTERM");
    const { code, stderr } = await ending(child);
    const events = stderr.trimEnd().split("\n").map((line) => JSON.parse(line).event);
    assert(events.includes("answer broke off") && events.includes("connection cut"), stderr);
    assertEquals(code, 0);
  },
);

Deno.test("bashling serve serves though nobody reads its address", notOnWindows, async () => {
  const command = ["--no-lock", "--allow-read", "--allow-net=127.0.0.1", "src/cli/main.ts"];
  const child = startDeno([...command, "serve", "--port=0", "--backend=wasm", "--threads=1"]);
  child.stdin.close();
  await child.stdout.cancel();
  let log = "", asked: Promise<void> | undefined;
  const askAndEnd = async (url: string) => {
    await new Promise((resolve) => setTimeout(resolve, 100)); // it has told its address by then
    const answer = await ask(url, { prompt: PROMPT, max_tokens: 5 });
    assertEquals(answer.status, 200, await answer.text());
    child.kill("SIGTERM");
  };
  for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) {
    log += text;
    const port = log.match(/"port":(\d+)/)?.[1];
    if (log.includes('"model loaded"')) asked ??= askAndEnd(`http://127.0.0.1:${port}`);
  }
  await asked;
  assertEquals((await child.status).code, 0);
});
