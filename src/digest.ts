/**
 * Fingerprints of texts and arrays.
 *
 * @module
 */

/** SHA-256 of texts and arrays, end to end, as hexadecimal digits. */
export async function sha256(
  ...parts: (string | ArrayBufferView<ArrayBuffer>)[]
): Promise<string> {
  const [part] = parts;
  if (parts.length === 1) {
    const data = typeof part === "string" ? new TextEncoder().encode(part) : part;
    return hexadecimal(new Uint8Array(await crypto.subtle.digest("SHA-256", data)));
  }
  // Loaded where many parts are written, not where a model is read: it takes 15 ms.
  const { createHash } = await import("node:crypto");
  const hash = createHash("sha256");
  for (const part of parts) {
    hash.update(
      typeof part === "string"
        ? part
        : new Uint8Array(part.buffer, part.byteOffset, part.byteLength),
    );
  }
  return hash.digest("hex");
}

/** What `toHex()` gives, which not every Node and browser has yet. */
const hexadecimal = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
