/**
 * The service as OpenAI's own client for JavaScript sees it, unchanged.
 *
 * The service runs in a process of its own, as `deno task serve` starts it.
 */

import { assert, assertEquals, assertInstanceOf, assertMatch, assertRejects } from "@std/assert";
import OpenAI from "npm:openai@7.57.0";
import { askUntil, metricsOf, ServingProcess, slotsOf, startService } from "./service.ts";

type Params = OpenAI.CompletionCreateParamsNonStreaming;

const MODEL = "bashling", PROMPT = "Delete log files older than 30 days";

/** Token 0 ends a script: without it each has as many tokens as are asked for. */
const ENDLESS = { logit_bias: { "0": -100 } };

const clientOf = (base: string, apiKey = "none"): OpenAI =>
  new OpenAI({ baseURL: `${base}/v1`, apiKey, maxRetries: 0 });

/** The error with which a request fails. */
async function errorOf(
  request: PromiseLike<unknown>,
): Promise<InstanceType<typeof OpenAI.APIError>> {
  const error = await assertRejects(() => request);
  assertInstanceOf(error, OpenAI.APIError);
  return error;
}

/** Runs `test` with a client of a service in a process of its own. */
async function withClient(
  args: string[],
  test: (client: OpenAI, base: string) => Promise<void>,
): Promise<void> {
  await using serving = await ServingProcess.start(args);
  await test(clientOf(serving.base), serving.base);
  assertEquals(await serving.stop(), 0);
}

Deno.test("the openai client lists models, completes, streams, and gets what it asks for", async (t) => {
  await using serving = await ServingProcess.start();
  const client = clientOf(serving.base);
  const completed = (params: Partial<Params> & Record<string, unknown>) =>
    client.completions.create({
      model: MODEL,
      prompt: PROMPT,
      seed: 1,
      max_tokens: 24,
      ...ENDLESS,
      ...params,
    });
  const textOf = async (params: Partial<Params> & Record<string, unknown>) =>
    (await completed(params)).choices[0].text;

  await t.step("models", async () => {
    const models = await Array.fromAsync(client.models.list());
    assertEquals(models.map(({ id, object }) => [id, object]), [[MODEL, "model"]]);
    assertEquals((await client.models.retrieve(MODEL)).id, MODEL);
    assertInstanceOf(await errorOf(client.models.retrieve("gpt-4o")), OpenAI.NotFoundError);
  });

  await t.step("a completion", async () => {
    const answer = await completed({});
    const { id, object, created, model, choices: [choice], usage } = answer;
    assertMatch(id, /^cmpl-/);
    assertEquals([object, model], ["text_completion", MODEL]);
    assert(Math.abs(created - Date.now() / 1000) < 60);
    assertEquals([choice.index, choice.finish_reason, choice.logprobs], [0, "length", null]);
    assertEquals(usage!.completion_tokens, 24);
    assertEquals(usage!.total_tokens, usage!.prompt_tokens + 24);
    assertEquals(answer._request_id, id.slice("cmpl-".length));
    const { syntax, verdict, seed } = choice as unknown as Record<string, Record<string, unknown>>;
    assertEquals([syntax.valid, typeof verdict.level, seed], [true, "string", 1]);
  });

  await t.step("a stream, with the numbers of tokens", async () => {
    const stream = await client.completions.create({
      model: MODEL,
      prompt: PROMPT,
      seed: 1,
      max_tokens: 24,
      ...ENDLESS,
      stream: true,
      stream_options: { include_usage: true },
    });
    const chunks = await Array.fromAsync(stream);
    const last = chunks.pop()!;
    assertEquals(last.choices, []);
    assertEquals(last.usage!.completion_tokens, 24);
    assert(chunks.length > 5 && chunks.every(({ usage }) => usage === null));
    assertEquals(new Set(chunks.map(({ id }) => id)).size, 1);
    assertEquals(chunks.map(({ choices: [{ text }] }) => text).join(""), await textOf({}));
    const reasons = chunks.map(({ choices: [{ finish_reason }] }) => finish_reason);
    assertEquals(reasons.pop(), "length");
    assert(reasons.every((reason) => reason === null));
  });

  await t.step("chats, whole and streamed", async () => {
    const params = {
      model: MODEL,
      messages: [{ role: "system", content: "Be brief." }, { role: "user", content: PROMPT }],
      seed: 1,
      max_completion_tokens: 24,
      ...ENDLESS,
    } satisfies OpenAI.ChatCompletionCreateParamsNonStreaming;
    const answer = await client.chat.completions.create(params);
    const { message, finish_reason } = answer.choices[0];
    assertEquals([answer.object, message.role, finish_reason], [
      "chat.completion",
      "assistant",
      "length",
    ]);
    assertEquals(message.content, await textOf({ echo: true }));
    const runner = client.chat.completions.stream(params);
    const deltas: string[] = [];
    runner.on("content", (delta) => deltas.push(delta));
    assertEquals(await runner.finalContent(), message.content);
    assert(deltas.length > 5);
  });

  await t.step("n, best_of, echo, logprobs and stop", async () => {
    const three = await completed({ n: 3 });
    assertEquals(three.choices.map(({ index }) => index), [0, 1, 2]);
    assertEquals(three.usage!.completion_tokens, 72);
    for (const [i, { text }] of three.choices.entries()) {
      assertEquals(text, await textOf({ seed: 1 + i }));
    }
    const [best] = (await completed({ best_of: 3 })).choices;
    assert(three.choices.some(({ text }) => text === best.text));
    assertMatch(await textOf({ echo: true }), /^#!\/bin\/bash\n# Delete log files .*\n/);

    const told = (await completed({ logprobs: 2, syntax: "off" })).choices[0];
    const { tokens, token_logprobs, top_logprobs, text_offset } = told.logprobs!;
    assertEquals(tokens!.join(""), told.text);
    assertEquals(
      text_offset!.map((at, i) => told.text.startsWith(tokens![i], at)).includes(false),
      false,
    );
    assert(token_logprobs!.every((logprob) => logprob <= 0));
    for (const [i, likeliest] of top_logprobs!.entries()) {
      const count = Object.keys(likeliest).length;
      assert(count === 2 || (count === 3 && tokens![i] in likeliest), JSON.stringify(likeliest));
      assertEquals(likeliest[tokens![i]], token_logprobs![i]);
    }

    const free = { syntax: "off", max_tokens: 60 };
    const text = await textOf(free), stop = text.slice(20, 24);
    const stopped = (await completed({ ...free, stop: ["never there", stop] })).choices[0];
    assertEquals([stopped.text, stopped.finish_reason], [
      text.slice(0, text.indexOf(stop)),
      "stop",
    ]);
    assertEquals(await textOf({ ...free, stop }), stopped.text);
  });

  await t.step("seed, user, and fields of our own", async () => {
    const base = await textOf({});
    assertEquals(await textOf({ user: "somebody" }), base);
    assert(await textOf({ seed: 2 }) !== base);
    const wild = { temperature: 2, top_p: 1, top_k: 0, syntax: "off" };
    const likeliest = { ...wild, temperature: 0.1, max_tokens: 60 };
    for (
      const [plain, field] of [
        [wild, { top_k: 2 }],
        [wild, { min_p: 0.9 }],
        [likeliest, { repetition_penalty: 10 }],
        [likeliest, { presence_penalty: 2 }],
      ]
    ) {
      const changed = await textOf({ ...plain, ...field });
      assert(changed !== await textOf(plain), `${JSON.stringify(field)} changes nothing`);
    }
    const { choices: [choice] } = await completed({ syntax: "off", verdict: false });
    assert(!("syntax" in choice) && !("verdict" in choice));
    const { choices: [checked] } = await completed({ syntax: "check" });
    assertEquals(
      typeof (checked as unknown as { syntax: { valid: boolean } }).syntax.valid,
      "boolean",
    );
  });

  await t.step("a prompt that is too long", async () => {
    const prompt = "delete every old log file ".repeat(200);
    const error = await errorOf(completed({ prompt }));
    assertInstanceOf(error, OpenAI.BadRequestError);
    assertEquals([error.code, error.param], ["context_length_exceeded", "prompt"]);
    const { n_prompt_tokens, n_ctx } = error.error as { n_prompt_tokens: number; n_ctx: number };
    assert(n_ctx === 512 && n_prompt_tokens > n_ctx);
    assertMatch(error.message, new RegExp(`${n_prompt_tokens} tokens .*${n_ctx}`));
    const cut = await completed({ prompt, truncate_prompt_tokens: 100 });
    assertEquals(cut.usage!.prompt_tokens, 100);
    const { truncated_prompt_tokens } = cut.choices[0] as unknown as Record<string, number>;
    assert(truncated_prompt_tokens >= n_prompt_tokens - 100);
    const most = await completed({ prompt, truncate_prompt_tokens: -1, max_tokens: 4 });
    assert(most.usage!.prompt_tokens < n_ctx);
  });

  await t.step("typed errors", async () => {
    const unknown = await errorOf(completed({ model: "gpt-4o" }));
    assertInstanceOf(unknown, OpenAI.NotFoundError);
    assertEquals([unknown.status, unknown.code, unknown.param], [404, "model_not_found", "model"]);
    const wrong: [Record<string, unknown>, string][] = [
      [{ temperature: 3 }, "temperature"],
      [{ n: 0 }, "n"],
      [{ suffix: "done" }, "suffix"],
      [{ temprature: 1 }, "temprature"],
      [{ stop: [""] }, "stop"],
      [{ best_of: 2, n: 3 }, "best_of"],
    ];
    for (const [params, param] of wrong) {
      const error = await errorOf(completed(params));
      assertInstanceOf(error, OpenAI.BadRequestError);
      assertEquals([error.status, error.type, error.param], [400, "invalid_request_error", param]);
      assertMatch(error.requestID!, /^[\w-]{36}$/);
    }
    const tools = [{ type: "function", function: { name: "ls" } }] as const;
    const refused = await errorOf(client.chat.completions.create({
      model: MODEL,
      messages: [{ role: "user", content: PROMPT }],
      tools: [...tools],
    }));
    assertEquals([refused.status, refused.param], [400, "tools"]);
  });

  assertEquals(await serving.stop(), 0);
});

Deno.test("the openai client gets typed errors for keys, rates and a full queue", async () => {
  const env = { BASHLING_API_KEYS: "first:0123456789abcdef,other:fedcba9876543210" };
  await using serving = await ServingProcess.start(["--rate", "3"], env);
  for (const key of ["none", "0123456789abcdeF"]) {
    const error = await errorOf(clientOf(serving.base, key).models.list());
    assertInstanceOf(error, OpenAI.AuthenticationError);
    assertEquals([error.status, error.type], [401, "authentication_error"]);
  }
  const client = clientOf(serving.base, "0123456789abcdef");
  const params = { model: MODEL, prompt: PROMPT, max_tokens: 4 };
  for (let i = 0; i < 3; i++) await client.completions.create(params);
  const error = await errorOf(client.completions.create(params));
  assertInstanceOf(error, OpenAI.RateLimitError);
  assertEquals([error.status, error.code], [429, "rate_limit_exceeded"]);
  const wait = Number(error.headers.get("retry-after"));
  assert(wait >= 1 && wait <= 20, `Retry-After is ${wait}`);
  await clientOf(serving.base, "fedcba9876543210").completions.create(params);
  assertEquals(await serving.stop(), 0);
});

Deno.test("the openai client gets 503 as InternalServerError while the model is loaded", async () => {
  const spawn = () => new Worker("data:text/javascript,", { type: "module" }); // never loads
  await using running = await startService({}, { spawn });
  const error = await errorOf(
    clientOf(running.base).completions.create({ model: MODEL, prompt: PROMPT }),
  );
  assertInstanceOf(error, OpenAI.InternalServerError);
  assertEquals([error.status, error.code], [503, "unavailable"]);
  assertEquals(error.headers.get("retry-after"), "2");
});

/** The `reference` backend takes some 20 ms for each token, so that each phase can be met. */
const SLOW = ["--backend", "reference", "--streams", "1"];

Deno.test("a request that the openai client cancels ends in the service, in each phase, whole or streamed", () =>
  withClient(SLOW, async (client, base) => {
    const long = { model: MODEL, prompt: PROMPT, seed: 1, max_tokens: 450, ...ENDLESS };
    const reading = { ...long, prompt: "delete every old log file ".repeat(45) };
    const working = (tokens: number) =>
      askUntil(() => slotsOf(base), ({ running }) => running.some((one) => one.tokens >= tokens));
    const idle = async () => {
      const started = performance.now();
      const { running, waiting } = await askUntil(
        () => slotsOf(base),
        (slots) => slots.running.length + slots.waiting === 0,
      );
      assertEquals([running.length, waiting], [0, 0]);
      return performance.now() - started;
    };
    const cancelled = async () => {
      const metrics = await metricsOf(base);
      return ["queue", "prefill", "decode"].map((phase) =>
        metrics.get(`bashling_cancellations_total{phase="${phase}"}`)
      );
    };
    // A prompt's chunk is a step that is not broken off: on this backend it takes up to half a second.
    // A whole answer notices within a second and a half that nobody waits for it (whole_answer.ts).
    const moment = 3000;

    let controller = new AbortController();
    const whole = errorOf(client.completions.create(long, { signal: controller.signal }));
    await working(3);
    controller.abort();
    assertInstanceOf(await whole, OpenAI.APIUserAbortError);
    assert(await idle() < moment);
    assertEquals(await cancelled(), [0, 0, 1]);

    let stream = await client.completions.create({ ...long, stream: true });
    for await (const _ of stream) break;
    assert(await idle() < moment);
    assertEquals((await cancelled()).map(Number).reduce((a, b) => a + b), 2);
    stream = await client.completions.create({ ...long, stream: true });
    const reader = stream[Symbol.asyncIterator]();
    for (let i = 0; i < 3; i++) await reader.next();
    stream.controller.abort();
    await reader.return?.();
    assert(await idle() < moment);
    const [queue, prefill, decode] = await cancelled();
    assertEquals([queue! + prefill! + decode!, queue], [3, 0]);
    assert(decode! >= 2);

    for (const isStream of [false, true]) {
      controller = new AbortController();
      const { signal } = controller;
      // A stream that is aborted ends for its reader as if it were whole.
      const request = client.completions.create({ ...reading, stream: isStream }, { signal })
        .then((answer) => Array.fromAsync(answer as AsyncIterable<unknown>)).catch(() => {});
      await askUntil(() => slotsOf(base), ({ running }) => running.length === 1);
      controller.abort();
      await request;
      assert(await idle() < moment);
    }
    // A whole answer may notice only when the prompt was read.
    const [none, inPrompt, drawing] = await cancelled();
    assertEquals([none, inPrompt! + drawing!], [0, prefill! + decode! + 2]);
    assert(inPrompt! > prefill!);

    controller = new AbortController();
    const first = errorOf(client.completions.create(long, { signal: controller.signal }));
    await working(1);
    const others = new AbortController();
    const waiting = [false, true].map((stream) =>
      errorOf(client.completions.create({ ...long, stream }, { signal: others.signal }))
    );
    await askUntil(() => slotsOf(base), (slots) => slots.waiting === 2);
    others.abort();
    await Promise.all(waiting);
    const slots = await askUntil(() => slotsOf(base), (slots) => slots.waiting === 0);
    assertEquals([slots.waiting, slots.running.length], [0, 1]);
    assertEquals((await cancelled())[0], 2);
    controller.abort();
    await first;
    await idle();
    assertEquals(
      (await metricsOf(base)).get('bashling_generations_total{finished_reason="length"}'),
      0,
    );
  }));
