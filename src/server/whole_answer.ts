/**
 * Whole answers that take long.
 *
 * A client that leaves is noticed when something is written to it: Deno's server does not look at a
 * connection whose request came in two parts, head and body, until then. So an answer that takes long
 * begins with spaces, which JSON allows.
 *
 * @module
 */

import { logLine } from "./log.ts";

/** Milliseconds that an answer may take without a sign. */
export const PATIENCE = 1000;

/** Milliseconds between signs. */
export const BEAT = 500;

const encoder = new TextEncoder();

/**
 * What the body of an answer fails with to cut its connection. Deno prints it on stderr, where the log
 * is, so it is a line of the log.
 * @param id Of the request.
 */
export const cutOff = (id: string): string => logLine("info", "connection cut", { id });

/**
 * A value as JSON. One that fails within a second rejects; what fails later cuts the connection, as the
 * status is sent by then.
 *
 * @param id Of the request.
 * @param onBegun Called if the answer begins before the value is there.
 * @param onGone Called when the client has left after that.
 */
export async function wholeAnswer(
  value: Promise<unknown>,
  { id, onBegun, onGone }: { id: string; onBegun: () => void; onGone: () => void },
): Promise<Response> {
  const late = Promise.withResolvers<"late">();
  const timer = setTimeout(() => late.resolve("late"), PATIENCE);
  try {
    const first = await Promise.race([value, late.promise]);
    if (first !== "late") return Response.json(first);
  } finally {
    clearTimeout(timer);
  }
  onBegun();
  let beat: ReturnType<typeof setInterval>;
  const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
    start(controller) {
      const sign = () => controller.enqueue(encoder.encode(" "));
      sign();
      beat = setInterval(sign, BEAT);
      value.then((value) => {
        clearInterval(beat);
        controller.enqueue(encoder.encode(JSON.stringify(value)));
        controller.close();
      }).catch(() => {
        clearInterval(beat);
        controller.error(cutOff(id)); // whoever gave the value knows why
      });
    },
    cancel() {
      clearInterval(beat);
      onGone();
    },
  });
  return new Response(body, {
    headers: { "content-type": "application/json", "cache-control": "no-store, no-transform" },
  });
}
