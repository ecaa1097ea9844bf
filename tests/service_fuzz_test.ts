/**
 * Five thousand malformed requests over raw sockets, against the service in a process of its own with
 * the permissions of `deno task serve`.
 *
 * Whatever HTTP can frame is answered by 4xx. What it cannot frame is hyper's, the HTTP server within
 * Deno: it answers most of that by 400 or 431 and closes without a word on some kinds, which are those
 * that say `mayBeSilent`.
 */

import { assert, assertEquals } from "@std/assert";
import { Random } from "../src/random.ts";
import { askUntil, metricsOf, post, ServingProcess, slotsOf } from "./service.ts";

const REQUESTS = 5000, AT_ONCE = 48, MOST_BODY = 20_000;

/** Bytes to send, and how. */
interface Malformed {
  parts: (string | Uint8Array)[];
  /** Close the sending half after it. */
  halfClose?: boolean;
  /** Leave without reading. */
  leave?: boolean;
}

interface Kind {
  make(random: Random): Malformed;
  /** Whether the framing itself is broken, so that hyper may close without an answer. */
  mayBeSilent?: boolean;
}

const POSTS = ["/v1/completions", "/v1/chat/completions", "/tokenize", "/detokenize"];
const encoder = new TextEncoder();

const pick = <Item>(random: Random, items: readonly Item[]): Item =>
  items[random.below(items.length)];

const bytes = (random: Random, length: number): Uint8Array<ArrayBuffer> =>
  Uint8Array.from({ length }, () => random.below(256));

const sizeOf = (body: string | Uint8Array): number =>
  typeof body === "string" ? encoder.encode(body).length : body.length;

/** A request's head; `undefined` leaves a header out. */
function head(
  line: string,
  headers: Record<string, string | number | undefined> = {},
): string {
  const all = { host: "127.0.0.1", connection: "close", ...headers };
  const lines = Object.entries(all).filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}: ${value}\r\n`);
  return `${line}\r\n${lines.join("")}\r\n`;
}

/** A POST that is well framed, whatever its body. */
function framed(
  random: Random,
  body: string | Uint8Array,
  headers: Record<string, string | number | undefined> = {},
  path = pick(random, POSTS),
): Malformed {
  const all = { "content-type": "application/json", "content-length": sizeOf(body), ...headers };
  return { parts: [head(`POST ${path} HTTP/1.1`, all), body] };
}

const json = (value: unknown, random: Random): Malformed =>
  framed(random, JSON.stringify(value), {}, "/v1/completions");

/** A value of any type but one. */
function other(random: Random, type: string): unknown {
  const values = [{ a: 1 }, [[[1]]], "text", 7.5, true, [null], { "": {} }];
  // deno-lint-ignore valid-typeof -- `type` is one of its values
  return pick(random, values.filter((value) => typeof value !== type));
}

const GOOD = { model: "bashling", prompt: "List all files", max_tokens: 4 };
const GOOD_TEXT = JSON.stringify(GOOD);
const NUMBERS = ["temperature", "top_p", "min_p", "seed", "n", "best_of", "logprobs", "max_tokens"];

const KINDS: Record<string, Kind> = {
  "JSON that is cut": {
    make: (random) => framed(random, GOOD_TEXT.slice(0, random.below(GOOD_TEXT.length))),
  },
  "JSON with a character too many": {
    make: (random) => {
      const at = 1 + random.below(GOOD_TEXT.length - 1);
      return framed(random, `${GOOD_TEXT.slice(0, at)}\u0001${GOOD_TEXT.slice(at)}`);
    },
  },
  "random bytes": { make: (random) => framed(random, bytes(random, random.below(3000))) },
  "broken UTF-8": {
    make: (random) => {
      const body = encoder.encode(GOOD_TEXT);
      const at = GOOD_TEXT.indexOf("List") + random.below(10);
      body.set(pick(random, [[0xff], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xe2, 0x28]]), at);
      return framed(random, body);
    },
  },
  "arrays nested deeply": {
    make: (random) => {
      const depth = 1000 + random.below(8000);
      return framed(random, `{"prompt":${"[".repeat(depth)}${"]".repeat(depth)}}`);
    },
  },
  "objects nested deeply": {
    make: (random) => {
      const depth = 500 + random.below(2000);
      return framed(random, `${'{"stop":'.repeat(depth)}1${"}".repeat(depth)}`);
    },
  },
  "a field of a wrong type": {
    make: (random) => {
      const [field, type] = pick(random, [
        ["temperature", "number"],
        ["seed", "number"],
        ["stream", "boolean"],
        ["echo", "boolean"],
        ["model", "string"],
        ["user", "string"],
        ["syntax", "string"],
        ["n", "number"],
      ]);
      return json({ ...GOOD, [field]: other(random, type) }, random);
    },
  },
  "a prompt of a wrong type": {
    make: (random) => json({ ...GOOD, prompt: pick(random, [1, true, {}, [], [1, "a"]]) }, random),
  },
  "a huge number": {
    make: (random) => {
      const number = pick(random, ["1e999", "-1e308", "1e308", "9".repeat(400), "-0.5e300"]);
      return framed(random, `{"prompt":"a b","${pick(random, NUMBERS)}":${number}}`);
    },
  },
  "an unknown field": {
    make: (random) => {
      const name = pick(random, ["__proto__", "constructor", "toString", "", "x".repeat(5000)]);
      return framed(random, `{"prompt":"a b","messages":[],${JSON.stringify(name)}:1}`);
    },
  },
  "no object": {
    make: (random) => framed(random, pick(random, ["[]", "null", "1", '"text"', "true", "{}"])),
  },
  "too many scripts": {
    make: (random) => json({ ...GOOD, n: 17 + random.below(1e6) }, random),
  },
  "half a character in a stop string": {
    make: (random) => framed(random, `{"prompt":"a b","stop":"\\ud83d"}`, {}, POSTS[0]),
  },
  "tokens that do not exist": {
    make: (random) => framed(random, `{"tokens":[${8000 + random.below(1e9)}]}`, {}, "/detokenize"),
  },
  "a prompt that is too long": {
    make: (random) => json({ ...GOOD, prompt: "delete ".repeat(1000 + random.below(500)) }, random),
  },
  "no prompt in the prompt": {
    make: (random) => json({ ...GOOD, prompt: pick(random, ["", "   ", "\n", "\t \n"]) }, random),
  },
  "another model": { make: (random) => json({ ...GOOD, model: `m${random.below(100)}` }, random) },
  "another type": {
    make: (random) => {
      const types = ["text/plain", undefined, "application/x-www-form-urlencoded", "json", ";;;"];
      return framed(random, GOOD_TEXT, { "content-type": pick(random, types) });
    },
  },
  "a body said to be compressed": {
    make: (random) =>
      framed(random, GOOD_TEXT, { "content-encoding": pick(random, ["gzip", "x"]) }),
  },
  "a body that is too large": {
    make: (random) => framed(random, " ".repeat(MOST_BODY + 1 + random.below(100_000))),
  },
  "a body in chunks that is too large": {
    make: (random) => {
      const { parts } = framed(random, "", {
        "content-length": undefined,
        "transfer-encoding": "chunked",
      });
      const chunk = `1000\r\n${"x".repeat(4096)}\r\n`;
      return { parts: [...parts, chunk.repeat(6 + random.below(20)), "0\r\n\r\n"] };
    },
  },
  "no length": {
    make: (random) => framed(random, GOOD_TEXT, { "content-length": undefined }),
  },
  "an address where nothing is": {
    make: (random) => {
      const paths = [
        "/v1",
        "/..%2f..%2fetc/passwd",
        "//",
        "/v1/completions/",
        `/${"a".repeat(5000)}`,
      ];
      return { parts: [head(`GET ${pick(random, paths)} HTTP/1.1`)] };
    },
  },
  "a wrong method": {
    make: (random) => {
      const method = pick(random, ["DELETE", "PUT", "PATCH", "BREW", "GET"]);
      return { parts: [head(`${method} ${pick(random, POSTS)} HTTP/1.1`)] };
    },
  },
  "another host": {
    make: (random) => {
      const host = pick(random, [
        "evil.example",
        "127.0.0.1.evil.example",
        "[",
        "a b",
      ]);
      return framed(random, GOOD_TEXT, { host });
    },
  },
  "a target of another form": {
    make: (random) => {
      const targets = ["GET http://evil.example/v1/models", "CONNECT evil.example:80", "OPTIONS *"];
      return { parts: [head(`${pick(random, targets)} HTTP/1.1`)] };
    },
  },
  "no host": {
    make: (random) => framed(random, GOOD_TEXT.slice(1), { host: undefined }),
  },
  "one request after another": {
    make: (random) => {
      const first = framed(random, "{", { connection: "keep-alive" });
      return { parts: [...first.parts, ...first.parts, ...framed(random, "[").parts] };
    },
  },
  "a flood of headers": {
    make: (random) => {
      const count = 150 + random.below(300);
      const headers = Object.fromEntries(Array.from({ length: count }, (_, i) => [`x-${i}`, i]));
      return framed(random, GOOD_TEXT, headers);
    },
  },
  "a header that is too large": {
    mayBeSilent: true, // hyper may close while more of it is on its way, which resets the connection
    make: (random) =>
      framed(random, GOOD_TEXT, { "x-large": "x".repeat(1 << (19 + random.below(2))) }),
  },
  "a body that ends too early": {
    mayBeSilent: true, // to hyper a client that has closed its half has left
    make: (random) => ({
      ...framed(random, GOOD_TEXT, { "content-length": GOOD_TEXT.length + 1 + random.below(1000) }),
      halfClose: true,
    }),
  },
  "a head that ends too early": {
    mayBeSilent: true,
    make: (random) => {
      const [text] = framed(random, GOOD_TEXT).parts as [string];
      return { parts: [text.slice(0, random.below(text.length - 2))], halfClose: true };
    },
  },
  "a client that leaves at once": {
    mayBeSilent: true,
    make: (random) => ({ ...framed(random, GOOD_TEXT, { "content-length": 5000 }), leave: true }),
  },
  "a length that is none": {
    make: (random) => {
      const lengths = ["-1", "abc", "1e3", "0x10", "1".repeat(40), "", "5, 6", "+5"];
      return framed(random, GOOD_TEXT, { "content-length": pick(random, lengths) });
    },
  },
  "two lengths": {
    make: (random) => framed(random, GOOD_TEXT, { "content-length": "5", "Content-Length": "6" }),
  },
  "chunks of no size": {
    mayBeSilent: true, // the body's error ends the connection, often before the answer
    make: (random) => {
      const { parts } = framed(random, "", {
        "content-length": undefined,
        "transfer-encoding": "chunked",
      });
      const chunk = pick(random, [
        "zz\r\nabc\r\n",
        "-5\r\nabc\r\n",
        "f".repeat(20) + "\r\n",
        "\r\n",
      ]);
      return { parts: [...parts, chunk] };
    },
  },
  "no HTTP": {
    mayBeSilent: true,
    make: (random) => ({
      parts: [pick(random, [
        bytes(random, 1 + random.below(2000)),
        Uint8Array.of(0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3),
        "GET /\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        " \r\n \r\n",
        "\0\0\0\0\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\xff\xff\xff",
      ])],
      halfClose: true,
    }),
  },
  "headers that are none": {
    make: (random) => {
      const lines = ["no colon", "a b: c", ": empty", "x\0y: z", "x: \0", "\u00e4: 1"];
      return {
        parts: [`GET /v1/models HTTP/1.1\r\n${pick(random, lines)}\r\nhost: localhost\r\n\r\n`],
      };
    },
  },
};

/** Sends a request and reads the status of the answer; 0 if there is none. */
async function statusOf(port: number, { parts, halfClose, leave }: Malformed): Promise<number> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  const read = async () => {
    const decoder = new TextDecoder(), buffer = new Uint8Array(4096);
    let answer = "";
    // The end of the connection comes after what was answered, as an end or as a reset.
    try {
      for (let n = await connection.read(buffer); n !== null; n = await connection.read(buffer)) {
        if (answer.length < 100) answer += decoder.decode(buffer.subarray(0, n));
      }
    } catch {
      // It was reset.
    }
    return Number(answer.match(/^HTTP\/1\.[01] (\d{3}) /)?.[1] ?? 0);
  };
  const status = leave ? undefined : read();
  try {
    for (const part of parts) {
      let rest = typeof part === "string" ? encoder.encode(part) : part;
      while (rest.length > 0) rest = rest.subarray(await connection.write(rest));
    }
    if (halfClose) await connection.closeWrite();
  } catch {
    // It was closed at the other end, before all was sent.
  }
  return await status ?? 0;
}

Deno.test("deno task serve answers 5,000 malformed requests by 4xx and goes on", async () => {
  await using serving = await ServingProcess.start(["--max-body", String(MOST_BODY)]);
  const port = Number(new URL(serving.base).port);
  const good = async () => {
    const response = await post(`${serving.base}/v1/completions`, { ...GOOD, seed: 1 });
    assertEquals(response.status, 200);
    return (await response.json()).choices;
  };
  const expected = await good();
  const resident = async () =>
    (await metricsOf(serving.base)).get("process_resident_memory_bytes")! / 1e6;
  const before = await resident(), started = performance.now();

  const names = Object.keys(KINDS), random = new Random(1);
  const statuses = new Map<string, Map<number, number>>(names.map((name) => [name, new Map()]));
  let sent = 0;
  const client = async () => {
    while (sent < REQUESTS) {
      const name = names[sent++ % names.length];
      const status = await statusOf(port, KINDS[name].make(random));
      const counts = statuses.get(name)!;
      counts.set(status, (counts.get(status) ?? 0) + 1);
      if (sent % 500 === 0) assertEquals(await good(), expected);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, client));

  const seconds = (performance.now() - started) / 1000;
  let silent = 0;
  for (const [name, counts] of statuses) {
    for (const [status, count] of counts) {
      if (status === 0) silent += count;
      const isRight = status >= 400 && status < 500 || (status === 0 && KINDS[name].mayBeSilent);
      assert(isRight, `${name}: ${count} × ${status || "no answer"}`);
    }
  }
  assertEquals(await good(), expected);
  const metrics = await metricsOf(serving.base);
  const failed = [...metrics.keys()].filter((key) => /status="5/.test(key));
  assertEquals(failed, []);
  assertEquals(metrics.get("bashling_engine_restarts_total"), 0);
  // A client that has left is noticed in a moment.
  const slots = await askUntil(() => slotsOf(serving.base), ({ running }) => running.length === 0);
  assertEquals([slots.running.length, slots.waiting], [0, 0]);
  const after = await resident();
  console.log(
    `${REQUESTS} malformed requests of ${names.length} kinds in ${seconds.toFixed(1)} s, ` +
      `${silent} closed without an answer; resident ${before.toFixed(0)} MB before, ` +
      `${after.toFixed(0)} MB after`,
  );
  // V8 lets its heap grow to a working size before it collects; 5,000 bodies that were kept, of a few
  // kilobytes each and parsed, would be far more.
  assert(after - before < 150, `it grew by ${(after - before).toFixed(0)} MB`);
  assertEquals(await serving.stop(), 0);
});
