import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { ApiError } from "../src/server/api_error.ts";
import { readJson } from "../src/server/body.ts";
import { Completions } from "../src/server/completions.ts";
import { EventStream } from "../src/server/event_stream.ts";
import { FairQueue } from "../src/server/fair_queue.ts";
import { ApiKeys, checkHost, Cors, RateLimiter } from "../src/server/guard.ts";
import { Log } from "../src/server/log.ts";
import { Counter, Histogram, Metrics } from "../src/server/metrics.ts";
import type { EngineRoom, JobContext, JobRequest, LoadedModel } from "../src/server/room.ts";
import { checkObject, type Schema } from "../src/server/schema.ts";
import { config, tokenizer } from "./random_model.ts";

Deno.test("FairQueue serves the client with the fewest items at work, each in its order", () => {
  const queue = new FairQueue<string>(100);
  for (let i = 0; i < 5; i++) queue.push("a", `a${i}`);
  queue.push("b", "b0");
  queue.push("b", "b1");
  queue.push("c", "c0");
  const taken = () => queue.take()!.item;
  assertEquals([taken(), taken(), taken(), taken(), taken()], ["a0", "b0", "c0", "a1", "b1"]);
  queue.done("b");
  queue.done("b");
  queue.push("b", "b2");
  assertEquals([taken(), taken()], ["b2", "a2"]);
  assertEquals(queue.size, 2);
  assert(queue.remove("a", "a3") && !queue.remove("a", "a3") && !queue.remove("d", "a4"));
  assertEquals(queue.clear(), ["a4"]);
  assertEquals([queue.take(), queue.size], [undefined, 0]);
  for (const client of ["a", "a", "a", "b", "c"]) queue.done(client);
  assertEquals(queue.clients, 0);
});

Deno.test("FairQueue is bounded, and gives no client more than half of the places", () => {
  const queue = new FairQueue<number>(10);
  for (let i = 0; i < 5; i++) {
    assert(queue.hasRoom("greedy", 1));
    queue.push("greedy", i);
  }
  assert(!queue.hasRoom("greedy", 1));
  assert(queue.hasRoom("other", 5) && !queue.hasRoom("other", 6));
  for (let i = 0; i < 5; i++) queue.push("other", i);
  assert(!queue.hasRoom("third", 1));
  // One request may ask for more than half when nothing else waits.
  assert(new FairQueue<number>(10).hasRoom("greedy", 8));
});

/** A stream, and whether its reader was found to be gone or slow. */
function stream(writeTimeout: number) {
  const gone = Promise.withResolvers<boolean>();
  const events = new EventStream({ id: "mine", writeTimeout, onGone: gone.resolve });
  return { gone: gone.promise, events };
}

Deno.test("EventStream sends events with a space after the colon, and ends when all was read", async () => {
  const { events } = stream(10_000);
  events.send({ a: "\n" });
  events.send("東京");
  events.done();
  events.send("too late");
  const text = await new Response(events.body).text();
  assertEquals(text, 'data: {"a":"\\n"}\n\ndata: "東京"\n\ndata: [DONE]\n\n');
});

Deno.test("EventStream cuts off a reader that reads nothing, before its end and after", async () => {
  for (const isClosed of [false, true]) {
    const { events, gone } = stream(20);
    const reader = events.body.getReader();
    const first = reader.read();
    events.send(1);
    await first;
    events.send(2);
    if (isClosed) events.done();
    assertEquals(await gone, true);
    let cut: unknown;
    try {
      while (!(await reader.read()).done);
    } catch (error) {
      cut = error;
    }
    const { event, id } = JSON.parse(cut as string); // which Deno prints where the log is
    assertEquals([event, id], ["connection cut", "mine"]);
  }
});

Deno.test("EventStream waits for a reader that is slower than events come, but reads", async () => {
  const { events } = stream(300);
  for (let i = 0; i < 8; i++) events.send(i);
  events.done();
  const reader = events.body.getReader();
  let count = 0;
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    count++;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assertEquals(count, 9);
});

Deno.test("EventStream tells when its reader has left", async () => {
  const { events, gone } = stream(10_000);
  events.send(1);
  await events.body.cancel();
  assertEquals(await gone, false);
  events.send(2); // which nobody reads, and nothing throws
  events.done();
});

const lines = (bytes: Uint8Array): { event: string; lines?: number }[] =>
  new TextDecoder().decode(bytes).trimEnd().split("\n").map((line) => JSON.parse(line));

Deno.test("Log loses and counts lines that cannot be written, and goes on", async () => {
  let lost = 0, isFull = true;
  const written: { event: string; lines?: number }[] = [];
  const log = new Log({
    write(bytes) {
      if (isFull) return Promise.reject(new Error("no space left"));
      written.push(...lines(bytes));
      return Promise.resolve();
    },
  }, () => lost++);
  log.info("one");
  log.error("two");
  await log.flush();
  log.info("three");
  await log.flush();
  assertEquals(lost, 3);
  isFull = false;
  log.info("four", { text: "a\nb" });
  await log.flush();
  assertEquals(written.map(({ event, lines }) => [event, lines]), [
    ["log lines were lost", 3],
    ["four", undefined],
  ]);
});

Deno.test("Log makes nobody wait for whoever does not read, and keeps a thousand lines at most", async () => {
  let lost = 0;
  const reading = Promise.withResolvers<void>(), written: unknown[] = [];
  const log = new Log({
    write(bytes) {
      written.push(...lines(bytes));
      return reading.promise;
    },
  }, () => lost++);
  log.info("first");
  await Promise.resolve().then(() => {}); // the first is being written
  for (let i = 0; i < 1500; i++) log.info("more");
  assertEquals(lost, 500);
  reading.resolve();
  await log.flush();
  assertEquals(written.length, 1 + 1 + 1000); // among them one that tells of the loss
});

const SCHEMA: Schema = {
  type: "object",
  required: ["text"],
  properties: {
    text: { type: "string", minLength: 1, maxLength: 5 },
    count: { type: "integer", minimum: 1, maximum: 9 },
    ratio: { type: "number", minimum: 0 },
    flag: { type: "boolean" },
    mode: { type: "string", enum: ["a", "b"] },
    many: {
      anyOf: [{ type: "string" }, { type: "array", maxItems: 2, items: { type: "integer" } }],
    },
    inner: { type: "object", required: ["x"], properties: { x: { type: "number" } } },
    map: { type: "object", additionalProperties: { type: "number", maximum: 1 } },
  },
};

Deno.test("checkObject() takes what fits, and null for what is left out", () => {
  const value = { text: "abc", count: 9, ratio: 0.5, flag: null, many: [1, 2], map: { k: -1 } };
  const { flag: _, ...rest } = value;
  assertEquals(checkObject(value, SCHEMA), rest);
  assertEquals(checkObject({ text: "a", many: "b", inner: { x: 1 } }, SCHEMA).many, "b");
});

Deno.test("checkObject() names the first member that does not fit", () => {
  const cases: [unknown, string][] = [
    [7, "The body is 7, expected a JSON object"],
    [[], "The body is an array"],
    [null, "The body is null"],
    [{}, "text is missing"],
    [{ text: null }, "text is missing"],
    [{ text: "" }, "text is empty"],
    [{ text: "abcdef" }, "text has 6 characters, expected at most 5"],
    [{ text: 1 }, "text is 1, expected a string"],
    [{ text: "a", count: 1.5 }, "count is 1.5, expected a whole number"],
    [{ text: "a", count: 10 }, "count is 10, expected a number from 1 to 9"],
    [{ text: "a", count: 1e300 }, "count is 1e+300, expected a whole number"],
    [{ text: "a", ratio: -1 }, "ratio is -1, expected 0 or more"],
    [{ text: "a", flag: "true" }, "flag is a string, expected a boolean"],
    [{ text: "a", mode: "c" }, 'mode is "c", expected "a" or "b"'],
    [{ text: "a", many: [1, "2"] }, "many[1] is a string"],
    [{ text: "a", many: [1, 2, 3] }, "many has 3 items, expected 0 to 2"],
    [{ text: "a", many: true }, "many is a boolean, expected a string or an array"],
    [{ text: "a", inner: {} }, "inner.x is missing"],
    [{ text: "a", inner: { x: 1, y: 2 } }, "inner has no field y"],
    [{ text: "a", map: { k: 2 } }, "map.k is 2"],
    [{ text: "a", other: 1 }, "There is no field other"],
    [{ text: "a", ["__proto__x"]: 1 }, "There is no field __proto__x"],
    [JSON.parse('{"text": "a", "__proto__": 1}'), "There is no field __proto__"],
    [{ text: "a", old: 1 }, "old is not supported: leave it out."],
  ];
  for (const [value, message] of cases) {
    const error = assertThrows(
      () => checkObject(value, SCHEMA, { old: "leave it out." }),
      ApiError,
      message,
    );
    assertEquals(error.status, 400);
  }
});

Deno.test("ApiKeys takes keys with and without names, and refuses what is none of them", async () => {
  const keys = await ApiKeys.parse("# ours\n team:0123456789abcdef\nfedcba9876543210,\n");
  assertEquals(keys.size, 2);
  const check = (headers: HeadersInit) => keys.check(new Headers(headers));
  assertEquals(await check({ authorization: "Bearer 0123456789abcdef" }), "team");
  assertEquals(await check({ authorization: "bearer  fedcba9876543210" }), "key-2");
  assertEquals(await check({ "x-api-key": "fedcba9876543210" }), "key-2");
  for (
    const authorization of ["", "Bearer ", "Bearer 0123456789abcde", "Basic 0123456789abcdef", "x"]
  ) await assertRejects(() => check({ authorization }), ApiError);
  assertEquals(await (await ApiKeys.parse("")).check(new Headers()), undefined);
  const revoked = "# a:0123456789abcdef,b:fedcba9876543210\n";
  assertEquals((await ApiKeys.parse(revoked)).size, 0);
  const one = await ApiKeys.parse(`${revoked}c:#0123#456789abcde # ours, of today's list\n`);
  assertEquals(one.size, 1);
  assertEquals(await one.check(new Headers({ "x-api-key": "#0123#456789abcde" })), "c");
  await assertRejects(() => ApiKeys.parse("short"), RangeError, "16 or more");
  await assertRejects(() => ApiKeys.parse("has a space in it, yes"), RangeError);
});

Deno.test("RateLimiter gives a minute's worth at once, then one as time goes by", () => {
  const limiter = new RateLimiter(6);
  for (let i = 0; i < 6; i++) limiter.take("a", 0);
  assertThrows(() => limiter.take("a", 0), ApiError, "More than 6 requests a minute");
  limiter.take("b", 5_000);
  assertThrows(() => limiter.take("a", 9_000), ApiError);
  limiter.take("a", 10_001);
  assertThrows(() => limiter.take("a", 10_002), ApiError);
  assertEquals(limiter.clients, 2);
  limiter.take("c", 200_000);
  assertEquals(limiter.clients, 1); // the others are at rest, and forgotten
});

Deno.test("Cors lets the pages read that may, and nothing else", () => {
  const ask = (origin?: string) =>
    new Request("http://localhost/", origin ? { headers: { origin } } : {});
  const allowed = (cors: Cors, origin?: string) =>
    cors.headers(ask(origin))["access-control-allow-origin"];
  const some = new Cors(["https://a.example", "http://b.example:8000"]);
  assertEquals(allowed(some, "https://a.example"), "https://a.example");
  assertEquals(allowed(some, "http://b.example:8000"), "http://b.example:8000");
  for (const other of ["http://a.example", "https://a.example:444", "null", undefined]) {
    assertEquals(allowed(some, other), undefined);
  }
  assertEquals(allowed(new Cors(["*"]), "https://any.example"), "*");
  assertEquals(new Cors([]).headers(ask("https://a.example")), {});
  const preflight = some.preflight(ask("https://a.example"), ["POST"]);
  assertEquals(preflight.headers.get("access-control-allow-methods"), "POST");
  assertMatch(preflight.headers.get("access-control-allow-headers")!, /authorization/);
  const refused = some.preflight(ask("https://c.example"), ["POST"]);
  assertEquals(refused.headers.get("access-control-allow-methods"), null);
  assertThrows(() => new Cors(["a.example"]), RangeError, "is no origin");
  assertThrows(() => new Cors(["https://a.example/path"]), RangeError);
});

Deno.test("checkHost() refuses foreign names where the service is for its own machine", () => {
  const check = (url: string, bound: string, allowed: string[] = []) =>
    checkHost(new Request(url), bound, allowed);
  for (const host of ["localhost", "127.0.0.1", "127.8.9.1", "[::1]"]) {
    check(`http://${host}:8080/`, "127.0.0.1");
  }
  check("http://evil.example/", "0.0.0.0");
  check("http://mine.example/", "127.0.0.1", ["mine.example"]);
  for (const bound of ["127.0.0.1", "localhost", "::1"]) {
    for (const host of ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example"]) {
      assertThrows(() => check(`http://${host}/`, bound), ApiError, "call it localhost");
    }
  }
});

Deno.test("readJson() takes JSON within its limits", async () => {
  const limits = { maxBody: 20, bodyTimeout: 30 };
  const read = (body: BodyInit, headers: HeadersInit = { "content-type": "application/json" }) =>
    readJson(new Request("http://localhost/", { method: "POST", body, headers }), limits);
  assertEquals(await read('{"a": 1}'), { a: 1 });
  assertEquals(await read("[]", { "content-type": "Application/JSON; charset=utf-8" }), []);
  const never = () => new ReadableStream({ pull: () => new Promise(() => {}) });
  const cases: [BodyInit, HeadersInit | undefined, number, string][] = [
    ["{}", { "content-type": "text/plain" }, 415, "of type text/plain"],
    ["{}", { "content-type": "application/json", "content-encoding": "gzip" }, 415, "compressed"],
    ["{", undefined, 400, "no JSON"],
    ["", undefined, 400, "no JSON"],
    [Uint8Array.of(0x22, 0xff, 0x22), undefined, 400, "not UTF-8"],
    ["1".repeat(21), undefined, 413, "more than 20 bytes"],
    [never(), undefined, 408, "within 0.03 s"],
  ];
  for (const [body, headers, status, message] of cases) {
    const error = await assertRejects(() => read(body, headers), ApiError, message);
    assertEquals((error as ApiError).status, status);
  }
});

Deno.test("Counter and Histogram write Prometheus' text", () => {
  const counter = new Counter("c_total", "Things.", []);
  counter.add(2, { kind: 'a"b\\\n' });
  counter.add(1, { kind: 'a"b\\\n' });
  assertEquals(
    counter.text(),
    '# HELP c_total Things.\n# TYPE c_total counter\nc_total{kind="a\\"b\\\\\\n"} 3\n',
  );
  const histogram = new Histogram("h_seconds", "Times.", [0.1, 1]);
  for (const value of [0.05, 0.1, 0.5, 7]) histogram.observe(value);
  assertEquals(
    histogram.text(),
    '# HELP h_seconds Times.\n# TYPE h_seconds histogram\nh_seconds_bucket{le="0.1"} 2\n' +
      'h_seconds_bucket{le="1"} 3\nh_seconds_bucket{le="+Inf"} 4\nh_seconds_sum 7.65\n' +
      "h_seconds_count 4\n",
  );
});

Deno.test("Completions begins nothing for a client that left while its body was read", async () => {
  const begun: boolean[] = [];
  const room = {
    retryAfter: 1,
    submit(jobs: JobRequest[], { signal }: JobContext) {
      begun.push(!signal.aborted);
      return jobs.map(() => Promise.reject(signal.reason ?? new Error("It was begun.")));
    },
  } as unknown as EngineRoom;
  const completions = new Completions({
    name: "bashling",
    deadline: 1000,
    writeTimeout: 1000,
    logPrompts: false,
    maxChoices: 1,
    maxTokens: 9,
    maxBody: 1000,
    bodyTimeout: 1000,
    room,
    metrics: new Metrics({ waiting: () => 0, running: () => 0, ready: () => true }),
    log: new Log({ write: () => Promise.resolve() }),
  });
  const model: LoadedModel = {
    tokenizer,
    config,
    generation: { maxTokens: 9, temperature: 1, topK: 0, topP: 1 },
    fingerprint: "",
    backend: { name: "wasm", description: "", reason: "" },
  };
  for (const stream of [false, true]) {
    const request = new Request("http://localhost/v1/completions", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ prompt: "Print the date", stream }),
      signal: AbortSignal.abort(),
    });
    const exchange = { request, id: "mine", client: "me", arrived: performance.now(), fields: {} };
    assertEquals((await completions.answer(exchange, model, "completion")).status, 499);
  }
  assertEquals([begun, completions.underWay], [[false, false], 0]);
});
