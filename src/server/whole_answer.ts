/**
 * Whole answers that take long.
 *
 * A client that leaves is noticed when something is written to it: Deno's server does not look at a
 * connection whose request came in two parts, head and body, until then. So an answer that takes long
 * begins with spaces, which JSON allows.
 *
 * @module
 */

/** Milliseconds that an answer may take without a sign. */
export const PATIENCE = 1000;

/** Milliseconds between signs. */
export const BEAT = 500;

const encoder = new TextEncoder();

/**
 * A value as JSON. One that fails within a second rejects; what fails later cuts the connection, as the
 * status is sent by then.
 *
 * @param onBegun Called if the answer begins before the value is there.
 * @param onGone Called when the client has left after that.
 */
export async function wholeAnswer(
  value: Promise<unknown>,
  { onBegun, onGone }: { onBegun: () => void; onGone: () => void },
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
      }).catch((error) => {
        clearInterval(beat);
        controller.error(error);
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
