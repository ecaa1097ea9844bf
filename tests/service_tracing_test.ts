import { assert, assertEquals } from "@std/assert";
import { ask } from "./tried_service.ts";

Deno.test({
  name: "bashling serve exports spans that cover generations, below those of requests",
  ignore: Deno.build.os === "windows", // which has no SIGTERM
  fn: async () => {
    await using stack = new AsyncDisposableStack();
    const received: unknown[] = [];
    const collector = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen() {} },
      async (request) => {
        const body = await request.json();
        if (new URL(request.url).pathname === "/v1/traces") received.push(body);
        return Response.json({});
      },
    );
    stack.defer(() => collector.shutdown());
    const child = new Deno.Command(Deno.execPath(), {
      args: [
        ...["run", "--no-lock", "--quiet", "--no-prompt", "--allow-read", "--allow-net=127.0.0.1"],
        ...["src/cli/main.ts", "serve", "--port=0", "--threads=1"],
      ],
      env: {
        OTEL_DENO: "true",
        OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
        OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${collector.addr.port}`,
        OTEL_BSP_SCHEDULE_DELAY: "100",
      },
      stdout: "piped",
      stderr: "null",
    }).spawn();
    stack.defer(async () => {
      child.kill("SIGKILL");
      await child.status;
    });
    const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    const url = (await reader.read()).value!.match(/http:\S+/)![0];
    await reader.cancel();
    const answer = await ask(url, {
      prompt: "Print the date",
      max_tokens: 9,
      seed: 1,
      stream: true,
    });
    assert((await answer.text()).endsWith("data: [DONE]\n\n"));

    type Span = {
      name: string;
      spanId: string;
      parentSpanId?: string;
      attributes: { key: string; value: Record<string, unknown> }[];
      events?: { name: string }[];
    };
    type Traces = { resourceSpans: { scopeSpans: { spans: Span[] }[] }[] };
    const find = (name: string): Span | undefined =>
      (received as Traces[]).flatMap(({ resourceSpans }) => resourceSpans)
        .flatMap(({ scopeSpans }) => scopeSpans).flatMap(({ spans }) => spans)
        .find((span) => span.name === name);
    const request = "POST /v1/completions", generation = "text_completion bashling";
    while (!find(request) || !find(generation)) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    const { parentSpanId, attributes, events } = find(generation)!;
    assertEquals(parentSpanId, find(request)!.spanId);
    const value = (key: string) => attributes.find((one) => one.key === key)?.value;
    assertEquals(value("gen_ai.request.model"), { stringValue: "bashling" });
    assert(Object.values(value("gen_ai.usage.output_tokens")!).some((n) => Number(n) > 0));
    assertEquals(events?.map(({ name }) => name), ["first token"]);
  },
});
