import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { createHash } from "node:crypto";
import { download, type DownloadProgress, findStories } from "../src/corpus/download.ts";
import { Random } from "../src/random.ts";

const random = new Random(3);
const CONTENT = Uint8Array.from({ length: 300_000 }, () => random.below(256));
const HASH = createHash("sha256").update(CONTENT).digest("hex");
const NAME = "TinyStoriesV2-GPT4-train.txt";

/** What a server does other than the hub would. */
interface Faults {
  /** Bytes of each answer after which the connection breaks; the last stays. */
  breakAfter?: number[];
  /** Answers 200 with everything to requests for a range. */
  ignoreRange?: boolean;
  /** Announces this hash; `null` for none. */
  hash?: string | null;
  /** Tells neither size nor hash in advance. */
  silent?: boolean;
  /** Bytes that are sent instead. */
  content?: Uint8Array<ArrayBuffer>;
  /** Answers of this status to everything. */
  status?: number;
}

/** Runs `body` against a hub that redirects to its storage, in a folder of its own. */
async function withHub(
  faults: Faults,
  body: (hub: { url: string; path: string; folder: string; log: string[] }) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  const log: string[] = [];
  let answers = 0;
  const server = Deno.serve({ port: 0, onListen: () => {}, onError: () => new Response() }, (r) => {
    const { pathname } = new URL(r.url);
    const range = r.headers.get("range");
    log.push(`${r.method} ${pathname.split("/")[1]}${range ? ` ${range}` : ""}`);
    if (faults.status) return new Response("", { status: faults.status });
    if (!pathname.endsWith(NAME)) return new Response("", { status: 404 });
    if (!pathname.startsWith("/storage")) {
      const headers = new Headers({ location: `/storage/${NAME}` });
      if (!faults.silent) {
        if (faults.hash !== null) headers.set("x-linked-etag", `"${faults.hash ?? HASH}"`);
        headers.set("x-linked-size", String(CONTENT.length));
      }
      return new Response(null, { status: 302, headers });
    }
    const content = faults.content ?? CONTENT;
    const from = range && !faults.ignoreRange ? Number(/\d+/.exec(range)![0]) : 0;
    if (from >= content.length) return new Response("", { status: 416 });
    const rest = content.subarray(from);
    const headers = new Headers();
    if (!faults.silent) headers.set("etag", '"v1"');
    if (from > 0) {
      headers.set("content-range", `bytes ${from}-${content.length - 1}/${content.length}`);
    }
    const cut = faults.breakAfter?.[Math.min(answers++, faults.breakAfter.length - 1)] ?? Infinity;
    const stream = new ReadableStream<Uint8Array>({
      async start(controller) {
        for (let at = 0; at < Math.min(cut, rest.length); at += 20_000) {
          controller.enqueue(rest.subarray(at, Math.min(at + 20_000, cut, rest.length)));
        }
        // What was written so far leaves before the connection breaks.
        if (cut < rest.length) await new Promise((resolve) => setTimeout(resolve, 30));
        if (cut < rest.length) controller.error(new Error("broken on purpose"));
        else controller.close();
      },
    });
    return new Response(stream, { status: from > 0 ? 206 : 200, headers });
  });
  try {
    const url = `http://localhost:${server.addr.port}`;
    await body({ url: `${url}/hub/${NAME}`, path: `${folder}/${NAME}`, folder, log });
  } finally {
    await server.shutdown();
    await Deno.remove(folder, { recursive: true });
  }
}

const QUIET = { onProgress: () => {}, retryDelay: 0 };

const names = async (folder: string): Promise<string[]> =>
  (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name).sort();

Deno.test("download() fetches, checks and records a file", async () => {
  await withHub({}, async ({ url, path, folder, log }) => {
    const progress: DownloadProgress[] = [];
    await download(url, path, { onProgress: (step) => progress.push(step) });
    assertEquals(await Deno.readFile(path), CONTENT);
    assertEquals(await Deno.readTextFile(`${path}.sha256`), `${HASH}  ${NAME}\n`);
    assertEquals(await names(folder), [NAME, `${NAME}.sha256`]);
    assertEquals(log, ["HEAD hub", "GET hub", "GET storage"]);
    assertEquals(progress.at(-1), { file: NAME, bytes: CONTENT.length, total: CONTENT.length });
  });
});

Deno.test("download() takes up broken connections where they broke", async () => {
  await withHub({ breakAfter: [100_000, 60_000, Infinity] }, async ({ url, path, log }) => {
    await download(url, path, QUIET);
    assertEquals(await Deno.readFile(path), CONTENT);
    const ranges = log.filter((line) => line.startsWith("GET storage"));
    assertEquals(ranges, [
      "GET storage",
      "GET storage bytes=100000-",
      "GET storage bytes=160000-",
    ]);
  });
});

Deno.test("download() goes on where an earlier call gave up", async () => {
  const faults: Faults = { breakAfter: [40_000] };
  await withHub(faults, async ({ url, path, folder, log }) => {
    const error = await assertRejects(() => download(url, path, { ...QUIET, retries: 1 }), Error);
    assertStringIncludes(error.message, "broke off at 80000 of 300000 bytes; run the same command");
    assertEquals(await names(folder), [`${NAME}.${HASH.slice(0, 16)}.part`]);
    faults.breakAfter = [Infinity];
    log.length = 0;
    await download(url, path, QUIET);
    assertEquals(await Deno.readFile(path), CONTENT);
    assertEquals(log.at(-1), "GET storage bytes=80000-");
  });
});

Deno.test("download() starts over when the server ignores ranges", async () => {
  await withHub({ breakAfter: [100_000, Infinity], ignoreRange: true }, async ({ url, path }) => {
    await download(url, path, QUIET);
    assertEquals(await Deno.readFile(path), CONTENT);
  });
});

Deno.test("download() removes a file whose hash or size is not the one announced", async () => {
  await withHub({ hash: "0".repeat(64) }, async ({ url, path, folder }) => {
    await assertRejects(() => download(url, path, QUIET), RangeError, "expected 300000 and 0000");
    assertEquals(await names(folder), []);
  });
  const content = new Uint8Array(CONTENT.length + 5);
  await withHub({ content, hash: null }, async ({ url, path, folder }) => {
    await assertRejects(() => download(url, path, QUIET), RangeError, "arrived with 300005 bytes");
    assertEquals(await names(folder), []);
  });
});

Deno.test("download() records the hash that it finds when none is announced", async () => {
  await withHub({ silent: true }, async ({ url, path }) => {
    await download(url, path, QUIET);
    assertEquals(await Deno.readFile(path), CONTENT);
    assertEquals(await Deno.readTextFile(`${path}.sha256`), `${HASH}  ${NAME}\n`);
  });
});

Deno.test("findStories() downloads once and then reads the cache", async () => {
  await withHub({}, async ({ url, folder, log }) => {
    await withEnvironment(
      { HF_ENDPOINT: new URL(url).origin, XDG_CACHE_HOME: folder },
      async () => {
        const path = await findStories(QUIET);
        assertEquals(path, `${folder}/bashling/stories/${NAME}`);
        assertEquals(await Deno.readFile(path), CONTENT);
        assert(log[0] === "HEAD datasets");
        log.length = 0;
        assertEquals(await findStories({ download: false }), path);
        assertEquals(log, []);
      },
    );
  });
});

Deno.test("findStories() names the three ways to give stories when there are none", async () => {
  const ways = (folder: string): RegExp =>
    new RegExp(
      `^There are no stories.*: give a text file with --data FILE, make http.* reachable or name a mirror of it in HF_ENDPOINT, or put ${NAME} into ${folder}/bashling/stories\\.$`,
    );
  for (const status of [404, 401]) {
    await withHub({ status }, async ({ url, folder }) => {
      const { origin } = new URL(url);
      await withEnvironment({ HF_ENDPOINT: origin, XDG_CACHE_HOME: folder }, async () => {
        for (const download of [true, false]) {
          const error = await assertRejects(
            () => findStories({ ...QUIET, download }),
            Deno.errors.NotFound,
          );
          assert(ways(folder).test(error.message), error.message);
          assertEquals(error.message.includes(`answers ${status}`), download);
        }
      });
    });
  }
  const folder = await Deno.makeTempDir();
  const closed = Deno.listen({ port: 0 });
  const { port } = closed.addr as Deno.NetAddr;
  closed.close();
  await withEnvironment(
    { HF_ENDPOINT: `http://localhost:${port}/`, XDG_CACHE_HOME: folder },
    async () => {
      const error = await assertRejects(() => findStories(QUIET), Deno.errors.NotFound);
      assert(ways(folder).test(error.message), error.message);
      assertStringIncludes(error.message, `localhost:${port} cannot be reached`);
    },
  );
  await Deno.remove(folder, { recursive: true });
});

async function withEnvironment(
  variables: Record<string, string>,
  body: () => Promise<void>,
): Promise<void> {
  const before = Object.keys(variables).map((name) => [name, Deno.env.get(name)] as const);
  try {
    for (const [name, value] of Object.entries(variables)) Deno.env.set(name, value);
    await body();
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) Deno.env.delete(name);
      else Deno.env.set(name, value);
    }
  }
}
