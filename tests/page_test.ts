import { assertEquals, assertMatch } from "@std/assert";

/** What the page's script uses of an element. */
interface Element {
  value: string;
  textContent: string;
  hidden: boolean;
  disabled: boolean;
  listeners: Record<string, (event: { preventDefault(): void }) => void>;
  addEventListener(type: string, listener: Element["listeners"][string]): void;
}

const elements: Record<string, Element> = {};

/** The element of an id, made when it is first asked for. */
const getElementById = (id: string): Element =>
  elements[id] ??= {
    value: "",
    textContent: "",
    hidden: true,
    disabled: false,
    listeners: {},
    addEventListener(type, listener) {
      this.listeners[type] = listener;
    },
  };

const event = (value: unknown): string => `data: ${JSON.stringify(value)}\n\n`;

const piece = (text: string, more: object = {}): string =>
  event({ choices: [{ index: 0, text, finish_reason: null, ...more }] });

Deno.test("the page tells how a script ended, and what kept it from ending", async () => {
  const globals = globalThis as unknown as {
    document?: unknown;
    fetch: () => Promise<Response>;
  };
  const { fetch } = globals;
  let answer = new Response();
  globals.document = { getElementById };
  globals.fetch = () => Promise.resolve(answer);
  try {
    await import("../src/server/page/page.js");
    const ended = piece("", { finish_reason: "stop", seed: 7 }) +
      event({ choices: [], usage: { completion_tokens: 3 } }) + "data: [DONE]\n\n";
    const failed = event({ error: { message: "No end within 1 s: ask for less." } });
    const refused = { error: { message: "The queue is full: try again later." } };
    const cases: [Response, string, RegExp][] = [
      [new Response(`:\n\n${piece("ls\n")}${ended}`), "ls\n", /^finished, 3 tokens .* seed 7$/],
      [new Response(`${piece("ls")}${failed}`), "ls", /^No end within 1 s: ask for less\.$/],
      [new Response(piece("ls")), "ls", /^The answer broke off: ask again\.$/],
      [Response.json(refused, { status: 429 }), "", /^The queue is full: try again later\.$/],
    ];
    for (const [response, script, status] of cases) {
      answer = response;
      elements.ask.listeners.submit({ preventDefault() {} });
      while (elements.write.disabled) await new Promise((resolve) => setTimeout(resolve, 1));
      assertEquals(elements.script.textContent, script);
      assertMatch(elements.status.textContent, status);
    }
  } finally {
    globals.fetch = fetch;
    delete globals.document;
  }
});
