/**
 * Builds a self-extracting executable around the Deno that runs this, for machines like this one: a
 * shell script, and behind it a compressed archive of the app and that Deno.
 */
import { gzipSync } from "node:zlib";
import type { Build } from "../../src/cli/version.ts";
import { type App, CLOSED, ENTRY, RUN_FLAGS } from "./app.ts";
import { launcher } from "./launcher.ts";
import { tar, type TarFile } from "./tar.ts";

/** Name of Deno in the archive, which is also what lists of processes show. */
const RUNTIME = "bashling";

/** zlib's level. Deno takes 1.2 s for it, and for the lowest, which gives a quarter more, 0.4 s. */
const LEVEL = 6;

/** What `uname -sm` prints on this machine; none on Windows, which has no such script. */
export function systemName(): string | undefined {
  const { os, arch } = Deno.build;
  if (os === "linux") return `Linux ${arch}`;
  if (os === "darwin") return `Darwin ${arch === "aarch64" ? "arm64" : arch}`;
  return undefined;
}

/**
 * Writes the executable.
 * @param output Path of a file that does not exist.
 */
export async function writeSelfExtracting(app: App, build: Build, output: string): Promise<void> {
  const system = systemName();
  if (!system) throw new Error(`No self-extracting executable runs on ${Deno.build.os}.`);
  const files: TarFile[] = [...app].map(([name, bytes]) => ({ name, bytes }));
  files.push({ name: RUNTIME, bytes: await Deno.readFile(Deno.execPath()), executable: true });
  const archive = gzipSync(tar(files, Date.parse(build.date) / 1000), { level: LEVEL });
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new Uint8Array(archive)));
  const head = launcher({
    key: digest.toHex().slice(0, 16),
    system,
    bytes: files.reduce((sum, { bytes }) => sum + bytes.length, 0),
    files: files.filter(({ bytes }) => bytes.length > 0).map(({ name }) => name),
    runtime: RUNTIME,
    args: [
      ...["run", "--quiet", "--no-lock", ...CLOSED, "--config", "$app/deno.json"],
      ...RUN_FLAGS,
      `$app/${ENTRY}`,
    ],
  });
  using file = await Deno.open(output, { write: true, createNew: true, mode: 0o755 });
  const writer = file.writable.getWriter();
  await writer.write(new TextEncoder().encode(head));
  await writer.write(archive);
  await writer.close();
}
