/** What docs/SERVING.md and docs/DEPLOYMENT.md say, and the files in deploy/. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { flagsOf } from "../src/cli/flags.ts";
import { SERVE_HELP } from "../src/cli/serve.ts";
import { Metrics } from "../src/server/metrics.ts";
import { openapi } from "../src/server/openapi.ts";

const read = (path: string): string =>
  Deno.readTextFileSync(new URL(`../${path}`, import.meta.url));

const SERVING = read("docs/SERVING.md"), DEPLOYMENT = read("docs/DEPLOYMENT.md");
const UNIT = read("deploy/bashling.service");

/** A text with its continued lines joined. */
const joined = (text: string): string => text.replace(/\\\n\s*/g, "");

const sorted = (values: Iterable<string>): string[] => [...new Set(values)].sort();

/** All first groups of a pattern in a text. */
const found = (text: string, pattern: RegExp): string[] =>
  [...text.matchAll(pattern)].map(([, group]) => group);

/** Names of `deno`'s own flags in the documents. */
const DENOS = /^(allow-(read|write|net|env)|no-lock|quiet|frozen|cached-only)$/;

const flags = flagsOf(SERVE_HELP).map(({ name }) => name);

Deno.test("docs/SERVING.md tells of the flags of bashling serve, all of them and no others", () => {
  const table = found(SERVING, /^\| `--([\w-]+)`/gm);
  assertEquals(sorted(table), sorted(flags));
  const named = found(SERVING, /(?<![\w-])--([a-z][\w-]*)/g).filter((name) => !DENOS.test(name));
  assertEquals(sorted(named), sorted(flags));
});

Deno.test("docs/DEPLOYMENT.md and the files in deploy/ give bashling serve no flag that it has not", () => {
  const commands = joined(DEPLOYMENT).split("\n")
    .flatMap((line) =>
      found(line, /(?:main\.ts serve|task serve|"serve"|--rm .*? bashling)\b(.*)/g)
    );
  assert(commands.length > 0);
  for (const command of commands) {
    for (const flag of found(command, /--([a-z][\w-]*)/g)) assert(flags.includes(flag), command);
  }
  const inText = found(DEPLOYMENT, /`--([a-z][\w-]*)[^`]*`/g);
  // Those of other commands that the text names.
  const others = ["stop-timeout", "format", "precision", "allow-read"];
  for (const flag of inText) assert(flags.includes(flag) || others.includes(flag), flag);
  for (const flag of found(joined(UNIT), / serve (.*)/g)[0].matchAll(/--([a-z][\w-]*)/g)) {
    assert(flags.includes(flag[1]), flag[1]);
  }
});

Deno.test("The documents name the endpoints that there are", () => {
  const paths = Object.keys(
    openapi("bashling", { maxChoices: 16, maxTokens: 512 }).paths as Record<string, unknown>,
  );
  const table = found(SERVING, /^\| `(\/[\w./]*)`/gm);
  assertEquals(sorted(table), sorted([...paths, "/"]));
  const asked = found(SERVING, /http:\/\/127\.0\.0\.1:8080(\/[\w./]*)/g);
  assertEquals(sorted(asked), sorted(paths));
  const inText = found(SERVING + DEPLOYMENT, /`(\/(?:v1\/[\w/]+|[a-z]+(?:\.json)?))`/g)
    // Folders, and what the edge module and llama.cpp have.
    .filter((path) => !/^\/(tmp|proc|src)$/.test(path));
  for (const path of inText) assert(paths.includes(path), path);
});

Deno.test("docs/SERVING.md names the metrics that there are", () => {
  const metrics = new Metrics({ waiting: () => 0, running: () => 0, ready: () => true }).text();
  const families = found(metrics, /^# TYPE (\S+) /gm);
  assertEquals(sorted(found(SERVING, /^\| `((?:bashling|process)_\w+)`/gm)), sorted(families));
  for (const name of found(SERVING + DEPLOYMENT, /\b((?:bashling|process)_[a-z_]+)\b/g)) {
    assert(families.includes(name), name);
  }
});

Deno.test("docs/SERVING.md names the error codes that there are", () => {
  const folder = new URL("../src/server/", import.meta.url);
  const sources = [...Deno.readDirSync(folder)].filter(({ name }) => name.endsWith(".ts"))
    .map(({ name }) => Deno.readTextFileSync(new URL(name, folder))).join("\n");
  const codes = found(sources, /\bcode: "(\w+)"/g);
  const table = found(SERVING, /^\| \d{3} +\| `\w+` +\| `(\w+)`/gm);
  assertEquals(sorted(table), sorted(codes));
});

/** Whether a program is here. */
async function has(program: string): Promise<boolean> {
  try {
    return (await new Deno.Command(program, { args: ["--version"], stdout: "null" }).output())
      .success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

Deno.test({
  name: "deploy/bashling.service is a unit that systemd takes, with the exposure that is told",
  ignore: Deno.build.os !== "linux" || !await has("systemd-analyze"),
  fn: async () => {
    const folder = await Deno.makeTempDir();
    try {
      const path = `${folder}/bashling.service`;
      // The program that it starts must exist.
      await Deno.writeTextFile(path, UNIT.replace("/usr/local/bin/deno", Deno.execPath()));
      const analyze = async (...args: string[]) => {
        const { success, stdout, stderr } = await new Deno.Command("systemd-analyze", {
          args: [...args, path],
        }).output();
        const text = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
        return { success, text };
      };
      const { success, text } = await analyze("verify");
      assertEquals([success, text.replace(/^(?!bashling\.service|.*:\d+:).*\n/gm, "")], [true, ""]);
      const security = await analyze("security", "--offline=true", "--threshold=15");
      assert(security.success, security.text);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});

Deno.test("deploy/bashling.service gives scripts under way longer than the service does", () => {
  const grace = Number(UNIT.match(/--grace=(\d+)/)![1]);
  const stop = Number(UNIT.match(/^TimeoutStopSec=(\d+)$/m)![1]);
  assert(stop > grace);
});

/** Folder of the modules that Deno keeps. */
async function denoDir(): Promise<string> {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--no-lock", "--json"],
    stderr: "null",
  }).output();
  return JSON.parse(new TextDecoder().decode(stdout)).denoDir;
}

/** Runs Deno with nothing but an empty home, until a line on stdout or stderr tells its address. */
async function start(
  args: string[],
): Promise<{ child: Deno.ChildProcess; url: string; home: string }> {
  const home = await Deno.makeTempDir(), DENO_DIR = await denoDir();
  const child = new Deno.Command(Deno.execPath(), {
    args,
    clearEnv: true,
    env: { HOME: home, DENO_DIR, NO_COLOR: "1" },
    cwd: new URL("..", import.meta.url),
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let told = "";
  const listen = async (stream: ReadableStream<Uint8Array>) => {
    for await (const bytes of stream) {
      told += new TextDecoder().decode(bytes);
      const url = told.match(/(?:serving bashling at|Listening on) (http:\/\/[\w.:]+)/)?.[1];
      if (url) resolve(url.replace("0.0.0.0", "127.0.0.1"));
    }
  };
  Promise.all([listen(child.stdout), listen(child.stderr)]).then(() => reject(new Error(told)));
  return { child, url: await promise, home };
}

async function end({ child, home }: Awaited<ReturnType<typeof start>>): Promise<number> {
  child.kill("SIGTERM");
  const { code } = await child.status;
  assertEquals([...Deno.readDirSync(home)], []);
  await Deno.remove(home);
  return code;
}

const ask = (url: string, body: Record<string, unknown>, signal?: AbortSignal): Promise<Response> =>
  fetch(`${url}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    signal,
  });

Deno.test({
  name: "The command line of deploy/Containerfile has all permissions that a script needs",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    const entry = joined(read("deploy/Containerfile")).match(/^ENTRYPOINT (\[.*\])$/m)![1];
    const [program, ...args] = JSON.parse(entry) as string[];
    assertEquals(program, "/bin/deno");
    const modules = await denoDir();
    const service = await start(
      args.map((arg) =>
        arg.replace("--port=8080", "--port=0").replace("0.0.0.0:8080", "0.0.0.0")
          .replace("/deno/npm", `${modules}/npm`)
      ),
    );
    const response = await ask(service.url, { prompt: "List the files", seed: 1, max_tokens: 20 });
    const { choices: [choice], error } = await response.json();
    assertEquals([response.status, error], [200, undefined]);
    assert(choice.text.length > 0 && choice.syntax.valid && choice.verdict);
    const ready = await fetch(`${service.url}/ready`);
    assertEquals(await ready.json(), { status: "ready" });
    assertEquals(await end(service), 0);
  },
});

Deno.test({
  name: "deploy/edge/main.ts gives scripts whole, as streams, and one after a client that left",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    const folders = `src,weights,${await denoDir()}/npm`;
    const edge = await start([
      "serve",
      "--no-lock",
      "--no-prompt",
      "--cached-only",
      "--host=127.0.0.1",
      "--port=0",
      `--allow-read=${folders}`,
      "deploy/edge/main.ts",
    ]);
    const { url } = edge;
    try {
      const body = { prompt: "List the files", seed: 1, max_tokens: 20 };
      const { choices: [whole], usage } = await (await ask(url, body)).json();
      assert(whole.text.length > 0 && usage.completion_tokens > 0);

      const response = await ask(url, { ...body, stream: true });
      assertMatch(response.headers.get("content-type")!, /^text\/event-stream/);
      const events = (await response.text()).split("\n\n").filter((event) => event !== "")
        .map((event) => event.replace(/^data: /, ""));
      assertEquals(events.pop(), "[DONE]");
      const pieces = events.map((event) => JSON.parse(event).choices[0]);
      assertEquals(pieces.map(({ text }) => text).join(""), whole.text);
      const { finish_reason, verdict } = pieces.at(-1);
      assertEquals({ finish_reason, verdict }, {
        finish_reason: whole.finish_reason,
        verdict: whole.verdict,
      });

      // Of two requests for long scripts one is at work; both are given up.
      const long = { ...body, max_tokens: 500, temperature: 2, top_k: 0, top_p: 1 };
      const leaving = new AbortController();
      const left = [false, true].map((stream) =>
        ask(url, { ...long, stream }, leaving.signal).then((response) => response.text())
          .then(() => "answered", () => "left")
      );
      setTimeout(() => leaving.abort(), 20);
      assertEquals(await Promise.all(left), ["left", "left"]);
      assertEquals((await (await ask(url, body)).json()).choices[0].text, whole.text);

      const wrong = await ask(url, { prompt: "List the files", temperature: -1 });
      assertEquals(wrong.status, 400);
      assertMatch((await wrong.json()).error.message, /^temperature is -1/);
    } finally {
      await end(edge);
    }
  },
});
