import { assert, assertEquals, assertMatch, assertStringIncludes, fail } from "@std/assert";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { ENTRY } from "../scripts/compile/app.ts";
import { finish, type Outcome, startDeno } from "./process.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const MAIN = fileURLToPath(new URL("../src/cli/main.ts", import.meta.url));

/** Windows has no self-extracting executable. */
const ignore = Deno.build.os === "windows";

const folder = await Deno.makeTempDir({ prefix: "bashling-compile-test-" });
globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));

/** The executable, in a path that shells have to quote. */
const FILE = `${folder}/it's a "test"/bashling`;

interface How {
  args?: string[];
  env?: Record<string, string>;
  input?: string;
  cwd?: string;
}

/** Starts a program with nothing in its environment but `env`. */
function start(file: string, { args = [], env = {}, cwd = "/" }: How): Deno.ChildProcess {
  return new Deno.Command(file, {
    args,
    env,
    cwd,
    clearEnv: true,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

const run = (file: string, how: How): Promise<Outcome> => finish(start(file, how), how.input);

/** A folder of the name, made anew. */
async function emptyFolder(name: string): Promise<string> {
  await Deno.mkdir(`${folder}/${name}`);
  return `${folder}/${name}`;
}

/** Names of what is in a folder, sorted; of a folder that is not there too. */
function names(path: string): string[] {
  try {
    return [...Deno.readDirSync(path)].map(({ name }) => name).sort();
  } catch {
    return [];
  }
}

/** Runs the task where nothing can be downloaded and no denort lies in Deno's cache. */
async function compile(args: string[], env: Record<string, string> = {}): Promise<Outcome> {
  const command = new Deno.Command(Deno.execPath(), { args: ["info", "--json", "--no-lock"] });
  const { denoDir } = JSON.parse(new TextDecoder().decode((await command.output()).stdout));
  const cache = await Deno.makeTempDir({ dir: folder });
  for (const name of names(denoDir)) {
    if (name !== "dl") await Deno.symlink(`${denoDir}/${name}`, `${cache}/${name}`);
  }
  const child = new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", "compile", ...args],
    cwd: ROOT,
    env: { NO_COLOR: "1", DENO_DIR: cache, HTTPS_PROXY: "http://127.0.0.1:9", ...env },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  return await finish(child);
}

Deno.test({
  name: "deno task compile builds a self-extracting executable when denort cannot be downloaded",
  ignore,
  async fn() {
    await Deno.mkdir(dirname(FILE));
    await Deno.writeTextFile(FILE, "an older one");
    const { code, stdout, stderr } = await compile(["--output", FILE]);
    assertEquals([code, stdout], [0, `${FILE}\n`], stderr);
    assertMatch(stderr, /denort.* cannot be downloaded .*: building a self-extracting executable/);
    assertMatch(stderr, /Tried with an empty environment.*: first start [\d,]+ ms, later \d+ ms/);
    assertEquals(names(dirname(FILE)), ["bashling"]);
    const { size, mode } = await Deno.stat(FILE);
    assert(size < 80e6 && (mode! & 0o111) === 0o111, `${size} bytes, mode ${mode!.toString(8)}`);
  },
});

Deno.test({
  name: "the executable does what the sources do, however it is called",
  ignore,
  async fn() {
    const home = await emptyFolder("home");
    const env = { HOME: home, PATH: "/nowhere" };
    await Deno.symlink(FILE, `${folder}/link`);
    const odd = [
      "tokenize",
      "--json",
      "--",
      'two  words "',
      "$x `y` \\",
      "new\nline",
      "",
      "*",
      "-h",
    ];
    const options = ["generate", "--max-tokens=30", "--seed=1", "--threads=2"];
    const cases: [string[], string?][] = [
      [[...options, "list files"]],
      [odd],
      [["tokenize", "--json", "-"], "from\nstdin"],
      [["generate", "--temprature", "1", "x"]],
      [["inspect", "no/such/folder"]],
    ];
    const first = await run(FILE, { env, args: ["--version"] });
    assertMatch(
      first.stdout,
      /^bashling \d+\.\d+\.\d+ \(model [^;]+, [\d.]+ M parameters, [0-9a-f]{12}; build ([0-9a-f]{12}( with changes)? of )?\d{4}-\d\d-\d\d; deno [^;]+; [^;]+\)\n$/,
    );
    const unread = await finish(startDeno([MAIN, "--version"]));
    assertEquals([unread.code, unread.stderr], [0, ""]);
    assertMatch(
      unread.stdout,
      /^bashling [\d.]+ \(model unknown without --allow-read; build source;/,
    );
    for (const [args, input] of cases) {
      const [source, link, piped] = await Promise.all([
        finish(startDeno(["--allow-read", MAIN, ...args]), input),
        run(`${folder}/link`, { env, args, input }),
        run("/bin/sh", { env, args: ["bashling", ...args], input, cwd: dirname(FILE) }),
      ]);
      assertEquals(link, source, args.join(" "));
      assertEquals(piped, source, args.join(" "));
    }
    assertEquals(names(home), [".cache"]);
    assertMatch(names(`${home}/.cache/bashling`).join(), /^app\.[0-9a-f]{16}$/);
    // These come from the weights in 8 bits, the only ones that are packed.
    const f32 = await run(FILE, { env, args: [...options, "--precision=f32", "list files"] });
    assertEquals(f32.code, 0, f32.stderr);
    assertMatch(f32.stdout, /^#!\/bin\/bash\n# List files\n/);
    const tfjs = await run(FILE, { env, args: ["generate", "--backend=tfjs", "x"] });
    assertEquals([tfjs.code, tfjs.stdout], [1, ""]);
    assertMatch(tfjs.stderr, /^error: The tfjs backend is not part of this executable: [^\n]+\n$/);
  },
});

Deno.test({
  name: "the executable serves, and ends when it is told to",
  ignore,
  async fn() {
    // Whatever would be asked of the network comes here.
    using proxy = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = proxy.addr as Deno.NetAddr;
    let asked = false;
    proxy.accept().then((connection) => {
      asked = true;
      connection.close();
    }, () => {}); // closed
    const env = { HOME: `${folder}/home`, HTTPS_PROXY: `http://127.0.0.1:${port}` };
    const child = start(FILE, { env, args: ["serve", "--port", "0"] });
    const log = new Response(child.stderr).text();
    const late = setTimeout(() => child.kill(), 20_000);
    const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    const { value = "nothing" } = await reader.read();
    const [, address] = value.match(/ (http:\/\/127\.0\.0\.1:\d+)\n/) ?? fail(await log);
    for (const path of ["/health", "/"]) {
      const response = await fetch(address + path);
      assertEquals(response.status, 200, path);
      await response.body?.cancel();
    }
    const answer = await fetch(`${address}/v1/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ prompt: "List files", max_tokens: 9 }),
    });
    assertEquals((await answer.json()).object, "text_completion");
    // The process that was started is the one that serves: there is no shell in between.
    child.kill("SIGTERM");
    assertEquals((await child.status).code, 0, await log);
    clearTimeout(late);
    await reader.cancel();
    await child.stdin.close().catch(() => {});
    assertEquals(asked, false);
  },
});

Deno.test({
  name: "the executable is interrupted as a program is",
  ignore,
  async fn() {
    const env = { HOME: `${folder}/home` };
    const child = start(FILE, { env, args: ["generate", "--interactive", "--max-tokens=5"] });
    const reader = child.stdout.getReader();
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode("list files\n"));
    await reader.read(); // it runs, and listens to signals
    child.kill("SIGINT");
    await new Promise((resolve) => setTimeout(resolve, 300));
    try {
      child.kill("SIGINT"); // the first may have ended the generation only
    } catch {
      // It has ended.
    }
    assertEquals((await child.status).code, 130);
    await reader.cancel();
    await writer.close().catch(() => {});
    await child.stderr.cancel();
  },
});

Deno.test({
  name: "the executable unpacks once, whole, whatever runs beside it or was there before",
  ignore,
  async fn() {
    const caches = await emptyFolder("caches");
    const cache = `${caches}/bashling`;
    const old = new Date(Date.now() - 200 * 86400e3);
    await Deno.mkdir(`${cache}/part.killed`, { recursive: true });
    await Deno.mkdir(`${cache}/part.younger`);
    await Deno.mkdir(`${cache}/app.0123456789abcdef`);
    await Deno.writeTextFile(`${cache}/app.0123456789abcdef/used`, "");
    for (const name of ["part.killed", "app.0123456789abcdef/used"]) {
      await Deno.utime(`${cache}/${name}`, old, old);
    }
    const how = { env: { XDG_CACHE_HOME: caches }, args: ["--version"] };
    const both = await Promise.all([run(FILE, how), run(FILE, how), run(FILE, how)]);
    for (const { code, stderr } of both) assertEquals([code, stderr], [0, ""]);
    const [app, younger] = names(cache);
    assertEquals([names(cache).length, younger], [2, "part.younger"]);
    assertMatch(app, /^app\.(?!0123456789abcdef)[0-9a-f]{16}$/);

    // A cleaner of old files took some, and a fall of the system emptied one.
    await Deno.remove(`${cache}/${app}/weights`, { recursive: true });
    await Deno.remove(`${cache}/${app}/bashling`);
    await Deno.truncate(`${cache}/${app}/${ENTRY}`);
    const again = await run(FILE, { ...how, args: ["generate", "--max-tokens=5", "list files"] });
    assertEquals(again.code, 0, again.stderr);
    assertEquals(names(cache), [app, "part.younger"]);
    assertEquals(names(`${cache}/${app}`).filter((name) => name.startsWith("part")), []);
  },
});

Deno.test({
  name: "the executable finds a place of its own when there is no home",
  ignore,
  async fn() {
    const places = await emptyFolder("places");
    const odd = await emptyFolder("odd");
    await Deno.writeTextFile(`${odd}/.npmrc`, "registry=none\n");
    await Deno.writeTextFile(`${odd}/.cache`, "no folder");
    await Deno.writeTextFile(`${odd}/deno.json`, "not JSON");
    const version = (env: Record<string, string>) =>
      run(FILE, { env: { TMPDIR: places, ...env }, args: ["--version"], cwd: odd });
    const homes = ["", `${folder}/missing`, "/dev/null", odd, "relative"];
    for (const HOME of homes) {
      const { code, stderr } = await version({ HOME });
      assertEquals([code, stderr], [0, ""], HOME);
    }
    assertEquals((await version({})).code, 0);
    const [own] = names(places);
    assertEquals(names(places).length, 1);
    assertEquals((await Deno.stat(`${places}/${own}`)).mode! & 0o777, 0o700);
    assertEquals(names(`${folder}/missing`), []);

    // What others may have put there is not trusted.
    const shared = await emptyFolder("shared");
    await Deno.symlink(`${places}/${own}`, `${shared}/${own}`);
    assertSentence(await version({ TMPDIR: shared }), /cannot be unpacked into a folder in /);
    await Deno.remove(`${shared}/${own}`);
    await Deno.mkdir(`${shared}/${own}`);
    await Deno.chmod(`${shared}/${own}`, 0o777);
    assertSentence(await version({ TMPDIR: shared }), /cannot be unpacked into .*: make room for/);
    assertEquals(names(`${shared}/${own}`), []);
  },
});

Deno.test({
  name: "the executable says in one sentence what keeps it from unpacking",
  ignore,
  async fn() {
    const caches = await emptyFolder("small");
    const env = { XDG_CACHE_HOME: caches, TMPDIR: caches };
    // No file may grow beyond 5 MB, as on a disk that is full.
    const args = ["-c", 'ulimit -f 10000; exec "$0" --version', FILE];
    assertSentence(
      await run("/bin/sh", { env, args }),
      /: make room for \d+ MB there, or set XDG_/,
    );
    const bytes = await Deno.readFile(FILE);
    await Deno.writeFile(`${folder}/cut`, bytes.subarray(0, bytes.length >> 1), { mode: 0o755 });
    bytes[bytes.length >> 1] ^= 1;
    await Deno.writeFile(`${folder}/changed`, bytes, { mode: 0o755 });
    const head = new TextDecoder("latin1").decode(bytes.subarray(0, 30_000));
    const other = head.replace(/system='.+'/, "system='Plan 9'");
    await Deno.writeTextFile(`${folder}/other`, other, { mode: 0o755 });
    for (const name of ["cut", "changed"]) {
      assertSentence(await run(`${folder}/${name}`, { env }), /is damaged: download or build it/);
    }
    assertSentence(await run(`${folder}/other`, { env }), /is for Plan 9, and this machine is /);
    for (const name of names(caches)) assertEquals(names(`${caches}/${name}`), [], name);
  },
});

/** Asserts that a run failed with one line on stderr that matches. */
function assertSentence({ code, stdout, stderr }: Outcome, expected: RegExp): void {
  assertEquals([code, stdout], [1, ""], stderr);
  assertMatch(stderr, /^error: [^\n]+\n$/);
  assertMatch(stderr, expected);
}

Deno.test({
  name: "deno task compile leaves the older executable when the new one does not work",
  ignore,
  async fn() {
    const target = Deno.build.target.startsWith("x86_64")
      ? "aarch64-apple-darwin"
      : "x86_64-unknown-linux-gnu";
    const older = `${folder}/older`;
    await Deno.writeTextFile(older, "older");
    const before = names(folder);
    const [bad, other, ...wrong] = await Promise.all([
      // The whole of Deno links as denort does, but runs as Deno.
      compile(["--output", older], { DENORT_BIN: Deno.execPath() }),
      compile(["--output", `${folder}/new/other`, "--target", target]),
      compile(["--target", "linux"]),
      compile(["--outptu", "x"]),
      compile(["--output", folder]),
      compile(["x"]),
    ]);
    assertEquals([bad.code, bad.stdout], [1, ""]);
    assertMatch(bad.stderr, /\nerror: The executable does not work[^]*: /);
    assertEquals(await Deno.readTextFile(older), "older");
    assertEquals([other.code, other.stdout], [1, ""]);
    assertMatch(
      other.stderr,
      /\nerror: denort.* cannot be downloaded .*, and without it only .*: allow access to /,
    );
    assertEquals(names(`${folder}/new`), []);
    const sentences = ["There is no target linux", "--output?", "is a folder", "no argument x"];
    for (const [i, { code, stderr }] of wrong.entries()) {
      assertEquals(code, 2, stderr);
      assertMatch(stderr, /^error: [^\n]+\n$/);
      assertStringIncludes(stderr, sentences[i]);
    }
    const left = names(folder).filter((name) => !before.includes(name) && name.startsWith("."));
    assertEquals(left, []);
  },
});
