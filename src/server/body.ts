/**
 * Reads what a request sends, within limits of size and time.
 *
 * @module
 */

import { ApiError } from "./api_error.ts";

/** Limits of a body. */
export interface BodyLimits {
  /** Most bytes. */
  maxBody: number;
  /** Milliseconds in which all of it must have come. */
  bodyTimeout: number;
}

/** Bytes and milliseconds for which a body that is too large is read on, so that its sender hears why. */
const LINGER = { bytes: 16 << 20, milliseconds: 2000 };

/**
 * The JSON value in a request's body.
 * @throws {ApiError} 400 if it is no JSON, 408 if it comes too slowly, 413 if it is too large, 415 if
 * it is of another type.
 */
export async function readJson(request: Request, limits: BodyLimits): Promise<unknown> {
  const type = request.headers.get("content-type")?.split(";")[0].trim().toLowerCase();
  if (type !== "application/json") {
    throw new ApiError(
      415,
      `The body is ${type ? `of type ${type.slice(0, 60)}` : "of no type"}: send application/json.`,
      { code: "unsupported_media_type" },
    );
  }
  const encoding = request.headers.get("content-encoding");
  if (encoding !== null && encoding.toLowerCase() !== "identity") {
    throw new ApiError(415, "The body is compressed: send it as it is.", {
      code: "unsupported_content_encoding",
    });
  }
  const bytes = await readBytes(request, limits);
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new ApiError(400, "The body is not UTF-8: encode it so.", { code: "invalid_encoding" });
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    const where = (error as Error).message.match(/position (\d+)/)?.[1];
    throw new ApiError(
      400,
      `The body is no JSON${where ? ` (at character ${where})` : ""}: send an object.`,
      { code: "invalid_json" },
    );
  }
}

async function readBytes(
  request: Request,
  { maxBody, bodyTimeout }: BodyLimits,
): Promise<Uint8Array<ArrayBuffer>> {
  if (!request.body) return new Uint8Array(0);
  const reader = request.body.getReader();
  const tooLarge = async (): Promise<ApiError> => {
    await drain(reader);
    return new ApiError(413, `The body has more than ${maxBody} bytes: send less.`, {
      code: "body_too_large",
      headers: { connection: "close" },
    });
  };
  if (Number(request.headers.get("content-length")) > maxBody) throw await tooLarge();
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let size = 0;
  const expired = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => expired.resolve(undefined), bodyTimeout);
  try {
    while (true) {
      const read = await Promise.race([reader.read(), expired.promise]);
      if (!read) {
        reader.cancel().catch(() => {});
        throw new ApiError(
          408,
          `The body did not come within ${bodyTimeout / 1000} s: send it faster.`,
          { code: "body_timeout", headers: { connection: "close" } },
        );
      }
      if (read.done) return new Uint8Array(await new Blob(parts).arrayBuffer());
      size += read.value.length;
      if (size > maxBody) throw await tooLarge();
      parts.push(read.value as Uint8Array<ArrayBuffer>);
    }
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw new ApiError(400, "The body ended before its end: send all of it.", {
      code: "incomplete_body",
      headers: { connection: "close" },
    });
  } finally {
    clearTimeout(timer);
  }
}

/** Reads on and throws away, for a while. */
async function drain(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
  const stop = setTimeout(() => reader.cancel().catch(() => {}), LINGER.milliseconds);
  try {
    for (let size = 0; size < LINGER.bytes;) {
      const { done, value } = await reader.read();
      if (done) return;
      size += value.length;
    }
    reader.cancel().catch(() => {});
  } catch {
    // The sender has left.
  } finally {
    clearTimeout(stop);
  }
}
