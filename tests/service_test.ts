import { assert, assertEquals, assertMatch } from "@std/assert";
import { Validator } from "npm:@seriousme/openapi-schema-validator@2.11.0";
import { ApiKeys } from "../src/server/guard.ts";
import { askUntil, errorOf, eventsOf, post, slotsOf, withService } from "./service.ts";
import { config, tokenizer } from "./random_model.ts";

const PROMPT = "Print the date";

/** What each endpoint takes, if it takes anything. */
const ENDPOINTS: [method: string, path: string, body?: unknown][] = [
  ["GET", "/"],
  ["GET", "/page.js"],
  ["GET", "/page.css"],
  ["GET", "/health"],
  ["GET", "/ready"],
  ["GET", "/metrics"],
  ["GET", "/slots"],
  ["GET", "/openapi.json"],
  ["GET", "/v1/models"],
  ["GET", "/v1/models/bashling"],
  ["POST", "/v1/completions", { prompt: PROMPT, max_tokens: 3 }],
  ["POST", "/v1/chat/completions", {
    messages: [{ role: "user", content: PROMPT }],
    max_tokens: 3,
  }],
  ["POST", "/tokenize", { prompt: PROMPT }],
  ["POST", "/detokenize", { tokens: [1, 2] }],
];

Deno.test("every endpoint answers its method, HEAD beside GET, and no other", () =>
  withService({}, async ({ base }) => {
    for (const [method, path, body] of ENDPOINTS) {
      const ask = (method: string) => fetch(`${base}${path}`, { method });
      const answer = method === "GET" ? await ask("GET") : await post(`${base}${path}`, body);
      assertEquals(answer.status, 200, `${path}: ${await answer.text()}`);
      assertMatch(answer.headers.get("x-request-id")!, /^[\w-]{36}$/);
      assertEquals(answer.headers.get("x-content-type-options"), "nosniff");
      for (const other of ["PUT", "DELETE", method === "GET" ? "POST" : "GET"]) {
        const wrong = await ask(other);
        assertEquals([wrong.status, (await errorOf(wrong)).code], [405, "method_not_allowed"]);
        const allowed = method === "GET" ? "GET, HEAD, OPTIONS" : "POST, OPTIONS";
        assertEquals(wrong.headers.get("allow"), allowed);
      }
      if (method === "POST") continue;
      const head = await ask("HEAD");
      assertEquals([head.status, await head.text()], [200, ""]);
      assertEquals(head.headers.get("content-type"), answer.headers.get("content-type"));
      assert(Number(head.headers.get("content-length")) > 0, `${path}: HEAD tells no length`);
    }
    for (const path of ["/nothing", "/v1", "/v1/completions/", "/__proto__", "/constructor"]) {
      const missing = await fetch(base + path);
      assertEquals([missing.status, (await errorOf(missing)).code], [404, "unknown_url"]);
    }
  }));

Deno.test("/openapi.json is valid, and describes every endpoint but the page's", () =>
  withService({ name: "mine" }, async ({ base }) => {
    const document = await (await fetch(`${base}/openapi.json`)).json();
    const { valid, errors } = await new Validator().validate(document);
    assert(valid, JSON.stringify(errors));
    const described = Object.entries(document.paths as Record<string, object>)
      .flatMap(([path, operations]) =>
        Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`)
      );
    const there = ENDPOINTS.map(([method, path]) => `${method} ${path}`)
      .filter((name) => !/ \/(page.*|v1\/models\/.*)?$/.test(name));
    assertEquals(described.sort(), there.sort());
    const { properties } =
      document.paths["/v1/completions"].post.requestBody.content["application/json"].schema;
    assert("truncate_prompt_tokens" in properties && "verdict" in properties);
  }));

/** The parts of a JSON Schema that the service's have, checked without the service's own code. */
function fits(value: unknown, schema: Record<string, unknown>): boolean {
  const { type, anyOf, minimum, maximum, properties, required, additionalProperties } = schema;
  if (Array.isArray(anyOf)) return anyOf.some((one) => fits(value, one));
  const kind = value === null ? "null" : typeof value;
  const isInteger = type === "integer" && Number.isInteger(value);
  if (type !== undefined && ![type].flat().includes(kind) && !isInteger) return false;
  if (minimum !== undefined && (value as number) < (minimum as number)) return false;
  if (maximum !== undefined && (value as number) > (maximum as number)) return false;
  if (kind !== "object") return true;
  const members = Object.entries(value as object);
  const known = (properties ?? {}) as Record<string, Record<string, unknown>>;
  return ((required ?? []) as string[]).every((name) => Object.hasOwn(value as object, name)) &&
    members.length <= (schema.maxProperties as number ?? Infinity) &&
    members.every(([name, member]) =>
      Object.hasOwn(known, name) ? fits(member, known[name]) : additionalProperties !== false &&
        fits(member, (additionalProperties ?? {}) as Record<string, unknown>)
    );
}

Deno.test("/openapi.json tells what the service takes, its limits, and the form of its errors", () =>
  withService({ maxChoices: 3, maxTokens: 40 }, async ({ base }) => {
    const document = await (await fetch(`${base}/openapi.json`)).json();
    const cases: [path: string, fields: Record<string, unknown>, isTaken: boolean][] = [
      ["/v1/completions", {}, true],
      ["/v1/completions", { other: 1 }, false],
      ["/v1/completions", { n: 3 }, true],
      ["/v1/completions", { n: 4 }, false],
      ["/v1/completions", { best_of: 4 }, false],
      ["/v1/completions", { max_tokens: 40 }, true],
      ["/v1/completions", { max_tokens: 41 }, false],
      ["/v1/completions", { truncate_prompt_tokens: -1 }, true],
      ["/v1/completions", { truncate_prompt_tokens: 7 }, false],
      ["/v1/completions", { truncate_prompt_tokens: 8 }, true],
      ["/v1/completions", { stream: true, stream_options: { other: 1 } }, false],
      ["/v1/completions", {
        logit_bias: Object.fromEntries(Array.from({ length: 301 }, (_, id) => [id, 1])),
      }, false],
      ["/v1/chat/completions", { max_completion_tokens: 41 }, false],
      ["/tokenize", { other: 1 }, false],
    ];
    for (const [path, fields, isTaken] of cases) {
      const { requestBody, responses } = document.paths[path].post;
      const body = {
        ...(path.includes("chat") ? { messages: [{ role: "user", content: PROMPT }] } : {
          prompt: PROMPT,
        }),
        ...(path.includes("v1") ? { max_tokens: 2 } : {}),
        ...fields,
      };
      const answer = await post(base + path, body);
      const told = JSON.stringify([path, fields]);
      assertEquals(answer.status, isTaken ? 200 : 400, told);
      assert(String(answer.status) in responses, told);
      assertEquals(fits(body, requestBody.content["application/json"].schema), isTaken, told);
      const given = await answer.text();
      if (!isTaken) assert(fits(JSON.parse(given), document.components.schemas.Error), given);
    }
    const error = await (await post(`${base}/tokenize`, [])).json();
    assert(fits(error, document.components.schemas.Error), JSON.stringify(error));
    assertEquals("404" in document.paths["/tokenize"].post.responses, false);
    assert("503" in document.paths["/v1/models"].get.responses);
  }));

Deno.test("a wrong field is named as the request has it", () =>
  withService({}, async ({ base }) => {
    const chat = (content: string) => ({ messages: [{ role: "user", content }] });
    const cases: [path: string, body: unknown, param: string | null, message: RegExp][] = [
      ["completions", [], null, /^The body is an array/],
      ["completions", { prompt: PROMPT, logit_bias: { x: 1 } }, "logit_bias", /^logit_bias has x/],
      ["completions", { prompt: PROMPT, logit_bias: { 999999: 1 } }, "logit_bias", /token 999999/],
      ["completions", { prompt: PROMPT, stop: "\ud800" }, "stop", /^stop has .*half a character/],
      ["completions", { prompt: PROMPT, truncate_prompt_tokens: 1 }, "truncate_prompt_tokens", /8/],
      ["completions", { prompt: "x\0" }, "prompt", /no beginning of a bash script/],
      ["chat/completions", chat(""), "messages", /no words/],
      ["chat/completions", chat("x\0"), "messages", /no beginning of a bash script/],
      ["chat/completions", chat("long words ".repeat(99)), "messages", /shorten it/],
    ];
    for (const [path, body, param, message] of cases) {
      const answer = await post(`${base}/v1/${path}`, body);
      const error = await errorOf(answer);
      assertEquals([answer.status, error.param], [400, param], error.message);
      assertMatch(error.message, message);
      assertMatch(error.code!, /^(invalid_value|context_length_exceeded)$/);
    }
  }));

Deno.test("/metrics is Prometheus' text, with buckets that add up", () =>
  withService({}, async ({ base }) => {
    await (await post(`${base}/v1/completions`, { prompt: PROMPT, max_tokens: 9 })).body!.cancel();
    const answer = await fetch(`${base}/metrics`);
    assertMatch(answer.headers.get("content-type")!, /^text\/plain; version=0\.0\.4/);
    const lines = (await answer.text()).trimEnd().split("\n");
    const types = new Map<string, string>(), values = new Map<string, number>();
    for (const line of lines) {
      const [, name, type] = line.match(/^# TYPE (\w+) (counter|gauge|histogram)$/) ?? [];
      if (name) types.set(name, type);
      else if (!/^# HELP \w+ \S.*\.$/.test(line)) {
        assertMatch(line, /^[a-z_\d]+(\{([a-z_]+="[^"]*",?)+\})? [\d.e+-]+$/);
        const at = line.lastIndexOf(" ");
        assert(!values.has(line.slice(0, at)), `${line} stands twice`);
        values.set(line.slice(0, at), Number(line.slice(at + 1)));
      }
    }
    for (const [name, type] of types) {
      const own = [...values].filter(([key]) =>
        key.replace(/\{.*/, "").replace(/_(bucket|sum|count)$/, "") === name.replace(/_count$/, "")
      );
      assert(own.length > 0, `${name} has no value`);
      if (type !== "histogram") continue;
      const buckets = own.filter(([key]) => key.includes("_bucket")).map(([, value]) => value);
      assert(buckets.every((value, i) => i === 0 || value >= buckets[i - 1]), name);
      assertEquals(buckets.at(-1), values.get(`${name}_count`));
    }
    assertEquals(values.get("bashling_time_to_first_token_seconds_count"), 1);
    assert(values.get("bashling_generation_tokens_total")! > 0);
    assert(values.get("process_resident_memory_bytes")! > 1e7);
  }));

Deno.test("/tokenize and /detokenize give what the tokenizer gives", () =>
  withService({}, async ({ base }) => {
    const prompt = "#!/bin/bash\n# 東京 🙂\n";
    const answer = await (await post(`${base}/tokenize`, { prompt, with_pieces: true })).json();
    const ids = [...tokenizer.encode(prompt)];
    assertEquals([answer.tokens, answer.count], [ids, ids.length]);
    assertEquals(answer.max_model_len, config.contextLength);
    assertEquals(answer.pieces, ids.map((id) => tokenizer.decode([id])));
    const back = await (await post(`${base}/detokenize`, { tokens: ids })).json();
    assertEquals(back, { prompt });
    const wrong = await post(`${base}/detokenize`, { tokens: [1, 999_999] });
    assertEquals(wrong.status, 400);
    const { message, param } = await errorOf(wrong);
    assertEquals(param, "tokens");
    assertMatch(message, /^There is no token 999999/);
  }));

Deno.test("/v1/models describes the model", () =>
  withService({ name: "org/mine" }, async ({ base }) => {
    const { data } = await (await fetch(`${base}/v1/models`)).json();
    assertEquals(data.length, 1);
    assertEquals([data[0].id, data[0].object], ["org/mine", "model"]);
    assertEquals(data[0].meta.n_ctx_train, config.contextLength);
    assertEquals(data[0].meta.n_vocab, config.vocabSize);
    assertEquals(await (await fetch(`${base}/v1/models/org/mine`)).json(), data[0]);
  }));

Deno.test("keys are needed where something is computed or told, and not for what is public", async () => {
  const keys = await ApiKeys.parse("one:0123456789abcdef\ntwo:fedcba9876543210");
  await withService({ keys }, async ({ base, log }) => {
    for (const [method, path, body] of ENDPOINTS) {
      const ask = (authorization: string) =>
        fetch(base + path, {
          method,
          headers: { authorization, "content-type": "application/json" },
          body: body === undefined ? undefined : JSON.stringify(body),
        });
      const isPublic = /^\/(page.*|health|ready|openapi.json)?$/.test(path);
      const without = await ask("Bearer 0123456789abcdeX");
      assertEquals(without.status, isPublic ? 200 : 401, path);
      if (!isPublic) assertMatch(without.headers.get("www-authenticate")!, /^Bearer/);
      await without.body?.cancel();
      const withKey = await ask("Bearer fedcba9876543210");
      assertEquals(withKey.status, 200, path);
      await withKey.body?.cancel();
    }
    const text = JSON.stringify(log);
    assert(text.includes('"client":"two"') && !text.includes("fedcba"));
    assert(!text.includes(PROMPT), "the log has a prompt");
  });
});

Deno.test("prompts stand in the log only when that is asked for", () =>
  withService({ logPrompts: true }, async ({ base, log }) => {
    await (await post(`${base}/v1/completions`, { prompt: PROMPT, max_tokens: 2 })).body!.cancel();
    assert(JSON.stringify(log).includes(PROMPT));
  }));

Deno.test("a page of an allowed origin can ask, and another cannot read", () =>
  withService({ origins: ["https://a.example"] }, async ({ base }) => {
    const url = `${base}/v1/completions`;
    const ask = (origin: string, method: string) =>
      fetch(url, {
        method,
        headers: { origin, "access-control-request-method": "POST" },
      });
    const allowed = await ask("https://a.example", "OPTIONS");
    assertEquals(allowed.status, 204);
    assertEquals(allowed.headers.get("access-control-allow-origin"), "https://a.example");
    assertEquals(allowed.headers.get("access-control-allow-methods"), "POST");
    const other = await ask("https://b.example", "OPTIONS");
    assertEquals(other.headers.get("access-control-allow-origin"), null);
    // Errors can be read too.
    const wrong = await ask("https://a.example", "POST");
    assertEquals(wrong.status, 415);
    assertEquals(wrong.headers.get("access-control-allow-origin"), "https://a.example");
    await wrong.body!.cancel();
  }));

/** The first line of the answer to a request whose Host a client of HTTP would not send. */
async function statusOf(base: string, host: string): Promise<string> {
  const { hostname, port } = new URL(base);
  using connection = await Deno.connect({ hostname, port: Number(port) });
  await connection.write(
    new TextEncoder().encode(`GET /health HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`),
  );
  return (await new Response(connection.readable).text()).split("\r\n")[0];
}

Deno.test("a name that is not this machine's is refused unless it is allowed", () =>
  withService({ allowedHosts: ["mine.example"] }, async ({ base }) => {
    assertMatch(await statusOf(base, "evil.example"), / 403 /);
    assertMatch(await statusOf(base, "mine.example:80"), / 200 /);
    assertMatch(await statusOf(base, "localhost"), / 200 /);
    assertMatch(await statusOf(base, "a b"), / 40\d /);
  }));

Deno.test("a service that was told by another name to listen for its own machine checks it too", () =>
  withService({ host: "127.1" }, async ({ base }) => {
    assertMatch(await statusOf(base, "evil.example"), / 403 /);
    assertMatch(await statusOf(base, "localhost"), / 200 /);
  }));

Deno.test("bodies that are too large, of another type or too slow are refused", () =>
  withService({ maxBody: 2000, bodyTimeout: 100 }, async ({ base }) => {
    const url = `${base}/v1/completions`;
    const large = await post(url, { prompt: "x".repeat(3000) });
    assertEquals([large.status, (await errorOf(large)).code], [413, "body_too_large"]);
    const text = await fetch(url, { method: "POST", body: "{}" });
    assertEquals([text.status, (await errorOf(text)).code], [415, "unsupported_media_type"]);
    const { hostname, port } = new URL(base);
    using connection = await Deno.connect({ hostname, port: Number(port) });
    await connection.write(new TextEncoder().encode(
      "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" +
        'Content-Length: 100\r\n\r\n{"prompt"',
    ));
    const reader = connection.readable.pipeThrough(new TextDecoderStream()).getReader();
    let answer = "";
    while (!answer.includes("body_timeout")) answer += (await reader.read()).value!;
    assertMatch(answer, /^HTTP\/1\.1 408 /);
    await reader.cancel();
  }));

Deno.test("/ready and requests for scripts answer 503 until the model is loaded, and /health 200", async () => {
  const gate = Promise.withResolvers<void>();
  const spawn = () => {
    const worker = new Worker(new URL("../src/server/worker.ts", import.meta.url), {
      type: "module",
    });
    const { postMessage } = worker;
    worker.postMessage = (message: unknown) =>
      void gate.promise.then(() => postMessage.call(worker, message));
    return worker;
  };
  const { startService } = await import("./service.ts");
  await using running = await startService({}, { spawn });
  const { base } = running;
  const ready = await fetch(`${base}/ready`);
  assertEquals([ready.status, await ready.json()], [503, { status: "loading" }]);
  const early = await post(`${base}/v1/completions`, { prompt: PROMPT });
  assertEquals([early.status, (await errorOf(early)).code], [503, "unavailable"]);
  const health = await fetch(`${base}/health`);
  assertEquals([health.status, await health.json()], [200, { status: "ok" }]);
  gate.resolve();
  await running.service.ready;
  assertEquals(await (await fetch(`${base}/ready`)).json(), { status: "ready" });
});

Deno.test("a client with many requests does not make another wait for all of them", () =>
  withService({ model: { streams: 2 }, queue: 200 }, async ({ base }) => {
    const url = `${base}/v1/completions`;
    const order: string[] = [];
    const ask = async (user: string, seed: number) => {
      const body = { prompt: PROMPT, max_tokens: 60, syntax: "off", temperature: 2, seed, user };
      const answer = await post(url, { ...body, top_k: 0, top_p: 1 });
      assertEquals(answer.status, 200, await answer.text());
      order.push(user);
    };
    const greedy = Array.from({ length: 60 }, (_, i) => ask("greedy", i));
    await askUntil(() => slotsOf(base), ({ waiting }) => waiting > 50);
    const modest = ask("modest", 1);
    await Promise.all([...greedy, modest]);
    // Those at work when it came, and those that end beside it.
    assert(order.indexOf("modest") <= 12, `${order.indexOf("modest")} were served before it`);
  }));

Deno.test("a full queue answers 429 with the time to wait, and takes all scripts of a request or none", () =>
  withService({ model: { streams: 1 }, queue: 4 }, async ({ base, service }) => {
    const url = `${base}/v1/completions`;
    const long = { prompt: PROMPT, max_tokens: 100, syntax: "off", temperature: 2, top_k: 0 };
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_, i) => post(url, { ...long, seed: i, user: `u${i % 4}` })),
    );
    const refused = answers.filter(({ status }) => status === 429);
    assert(refused.length > 0 && refused.length < 12);
    for (const answer of refused) {
      assert(Number(answer.headers.get("retry-after")) >= 1);
      assertEquals((await errorOf(answer)).code, "queue_full");
    }
    for (const answer of answers) if (answer.status === 200) await answer.json();
    const many = await post(url, { ...long, n: 6 });
    assertEquals(many.status, 429);
    await many.body!.cancel();
    assertEquals(service.kept, 0);
  }));

Deno.test("a request that takes too long ends with 503, or with an error in its stream", () =>
  withService(
    { deadline: 150, model: { backend: "reference", threads: undefined } },
    async ({ base }) => {
      const body = {
        prompt: PROMPT,
        max_tokens: 110,
        syntax: "off",
        temperature: 2,
        top_k: 0,
        top_p: 1,
      };
      const url = `${base}/v1/completions`;
      const requests = Array.from({ length: 12 }, (_, seed) => post(url, { ...body, seed }));
      const stream = await post(url, { ...body, seed: 1, stream: true });
      const late = (await Promise.all(requests)).filter(({ status }) => status !== 200);
      assert(late.length > 0);
      for (const answer of late) {
        assertEquals([answer.status, (await errorOf(answer)).code], [503, "deadline_exceeded"]);
        assert(Number(answer.headers.get("retry-after")) >= 1);
      }
      for (const request of requests) {
        const answer = await request;
        if (answer.status === 200) await answer.body!.cancel();
      }
      await stream.body!.cancel();
      const { running, waiting } = await askUntil(
        () => slotsOf(base),
        (slots) => slots.running.length + slots.waiting === 0,
      );
      assertEquals([running.length, waiting], [0, 0]);
    },
  ));

Deno.test("the page has a policy that lets in nothing foreign, and is sent anew only when it changed", () =>
  withService({}, async ({ base }) => {
    const page = await fetch(base);
    assertMatch(page.headers.get("content-security-policy")!, /default-src 'none'/);
    const html = await page.text();
    for (const [, file] of html.matchAll(/(?:href|src)="([^":]+)"/g)) {
      const answer = await fetch(new URL(file, page.url));
      assertEquals(answer.status, 200, file);
      await answer.body!.cancel();
    }
    assert(
      !/ style=|<style|<script>| on\w+=/.test(html),
      "the policy forbids what stands in the page",
    );
    const etag = page.headers.get("etag")!;
    const again = await fetch(base, { headers: { "if-none-match": `W/${etag}` } });
    assertEquals([again.status, await again.text()], [304, ""]);
  }));

Deno.test("best_of gives the surest scripts, logprobs those of the text, echo the beginning", () =>
  withService({}, async ({ base }) => {
    const url = `${base}/v1/completions`;
    const body = { prompt: PROMPT, max_tokens: 20, seed: 5, syntax: "off", verdict: false };
    const ask = async (more: object) => (await (await post(url, { ...body, ...more })).json());
    const each = await ask({ n: 4, logprobs: 2 });
    const mean = ({ logprobs }: { logprobs: { token_logprobs: number[] } }) =>
      logprobs.token_logprobs.reduce((a, b) => a + b, 0) / logprobs.token_logprobs.length;
    const best = await ask({ n: 1, best_of: 4, logprobs: 0 });
    const means = each.choices.map(mean);
    // The mean over a script's tokens counts the one that ends it, which is no text.
    assert(mean(best.choices[0]) >= Math.min(...means));
    assert(each.choices.some((one: { seed: number }) => one.seed === best.choices[0].seed));
    for (const { text, logprobs } of each.choices) {
      const { tokens, top_logprobs, text_offset } = logprobs;
      if (!tokens.join("").includes("\uFFFD")) {
        assertEquals(tokens.join("").slice(0, text.length), text);
      }
      assert(top_logprobs.every((one: object) => Object.keys(one).length <= 3));
      assertEquals(text_offset[0], 0);
    }
    const echoed = await ask({ echo: true });
    assertEquals(echoed.choices[0].text.slice(-each.choices[0].text.length), each.choices[0].text);
    assertMatch(echoed.choices[0].text, /^#!\/bin\/bash\n# Print the date\n/);
    const chunks = await Array.fromAsync(eventsOf(await post(url, { ...body, stream: true })));
    assertEquals(chunks.map(({ choices }) => choices[0].text).join(""), each.choices[0].text);
  }));
