/**
 * The folder of what can be had again: downloads, and what was measured on this machine.
 *
 * @module
 */

const isWindows = (): boolean => Deno.build.os === "windows";

/** `$XDG_CACHE_HOME/bashling`, or `~/.cache/bashling`; on Windows in `%LOCALAPPDATA%`. */
export function cacheFolder(): string {
  const base = Deno.env.get("XDG_CACHE_HOME") || (isWindows() ? Deno.env.get("LOCALAPPDATA") : "");
  if (base) return `${base}/bashling`;
  return `${Deno.env.get(isWindows() ? "USERPROFILE" : "HOME") || "."}/.cache/bashling`;
}

/** The same, if this is Deno and it may be read and written without asking; else undefined. */
export async function grantedCacheFolder(): Promise<string | undefined> {
  if (!globalThis.Deno?.permissions) return;
  const isGranted = async (descriptor: Deno.PermissionDescriptor) =>
    (await Deno.permissions.query(descriptor)).state === "granted";
  const variables = isWindows()
    ? ["XDG_CACHE_HOME", "LOCALAPPDATA", "USERPROFILE"]
    : ["XDG_CACHE_HOME", "HOME"];
  for (const variable of variables) if (!await isGranted({ name: "env", variable })) return;
  const path = cacheFolder();
  for (const name of ["read", "write"] as const) if (!await isGranted({ name, path })) return;
  return path;
}
