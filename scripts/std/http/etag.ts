/**
 * Local stand-in for the part of `jsr:@std/http/etag` that this project uses. The published package
 * resolves the real one.
 *
 * @module
 */

/** Characters of the hash that a tag has. */
const HASH_LENGTH = 27;

/** The strong tag of a text: its length in bytes and the beginning of its SHA-256. */
export async function eTag(entity: string): Promise<string> {
  const bytes = new TextEncoder().encode(entity);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return `"${bytes.length.toString(16)}-${digest.toBase64().slice(0, HASH_LENGTH)}"`;
}

/**
 * Whether an answer is to be sent in full: whether no tag of `If-None-Match` is the entity's.
 * Tags count as equal whether or not they are weak.
 */
export function ifNoneMatch(value: string | null, etag: string | undefined): boolean {
  if (!value || !etag) return true;
  if (value.trim() === "*") return false;
  const strong = (tag: string): string => tag.trim().replace(/^W\//, "");
  return !value.split(",").map(strong).includes(strong(etag));
}
