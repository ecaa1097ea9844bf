import { assert, assertEquals, assertMatch } from "@std/assert";
import { fileURLToPath } from "node:url";
import { collectApp, ENTRY, includes, writeApp } from "../scripts/compile/app.ts";
import { compileNative, downloadFailure } from "../scripts/compile/native.ts";
import { tar } from "../scripts/compile/tar.ts";
import { checkTypes } from "../scripts/compile/types.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));

const folder = await Deno.makeTempDir({ prefix: "bashling-compile-test-" });
globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));

Deno.test("compileNative() packs all that the app loads, and hides no error behind the fallback", async () => {
  const app = await collectApp(ROOT, { date: "2026-01-31" });
  const output = `${folder}/native${Deno.build.os === "windows" ? ".exe" : ""}`;
  const place = `${folder}/app`;
  await writeApp(app, place);
  const build = { folder: place, output, target: Deno.build.target, includes: includes(app) };
  // Not a runtime, but whatever deno compile reads and writes is as with one.
  Deno.env.set("DENORT_BIN", Deno.execPath());
  try {
    assertEquals(await compileNative(build), undefined);
    const latin1 = new TextDecoder("latin1");
    // What is embedded lies near the end, behind Deno.
    const text = latin1.decode((await Deno.readFile(output)).subarray(-40e6));
    const wanted =
      /\.wasm$|^weights\/|^build\.json$|^src\/corpus\/bash\/s|^src\/(\w+\/)+worker\.ts$|^src\/server\/page\//;
    const data = [...app].filter(([name]) => wanted.test(name));
    assert(data.length > 10, `${data.length} files`);
    for (const [name, content] of data) assert(text.includes(latin1.decode(content)), name);
    await Deno.writeTextFile(`${place}/${ENTRY}`, 'import "./missing.ts";');
    await assertRejects(() => compileNative(build), /^deno compile failed[^]*Module not found/);
    Deno.env.set("DENORT_BIN", `${folder}/missing`);
    await writeApp(app, place);
    await assertRejects(
      () => compileNative(build),
      /^deno compile failed[^]*Could not find denort/,
    );
  } finally {
    Deno.env.delete("DENORT_BIN");
  }
});

Deno.test("checkTypes() tells what is wrong", async () => {
  const place = await Deno.makeTempDir({ dir: folder });
  await Deno.writeTextFile(`${place}/right.ts`, "export const x: number = 1;");
  await Deno.writeTextFile(`${place}/wrong.ts`, 'export const x: number = "";');
  if (!await checkTypes(place, ["right.ts"])) return; // TensorFlow.js is not here
  await assertRejects(() => checkTypes(place, ["wrong.ts"]), /^The types are wrong[^]*TS2322/);
});

/** Asserts that an error is thrown whose message matches. */
async function assertRejects(fn: () => Promise<unknown>, expected: RegExp): Promise<void> {
  const error = await fn().then(() => undefined, (error) => error);
  assert(error instanceof Error, "Nothing was thrown.");
  assertMatch(error.message, expected);
}

Deno.test("downloadFailure() tells a download that failed from everything else", () => {
  const url = "https://dl.deno.land/release/v2.9.6/denort-x86_64-unknown-linux-gnu.zip";
  const said = (...causes: string[]) =>
    `Compile a.ts to a\nDownload ${url}\nerror: Writing deno compile executable to temporary file ` +
    `'a.tmp-1'\n\nCaused by:\n${causes.map((cause, i) => `    ${i}: ${cause}\n`).join("")}`;
  assertEquals(
    downloadFailure(said(
      "Setting up base binary.",
      `error sending request for url (${url}): client error (Connect): dns error`,
      "client error (Connect)",
    )),
    `${url}: client error (Connect): dns error`,
  );
  assertEquals(
    downloadFailure(said("Setting up base binary.", `Bad response: 404`)),
    "Bad response: 404",
  );
  assertEquals(downloadFailure(said("No space left on device (os error 28)")), undefined);
  assertEquals(downloadFailure(said("Could not find denort at 'x'")), undefined);
  assertEquals(downloadFailure('error: Module not found "file:///a.ts".'), undefined);
});

Deno.test({
  name: "tar() writes what tar reads",
  ignore: Deno.build.os === "windows",
  async fn() {
    const place = await Deno.makeTempDir({ dir: folder });
    const files = [
      { name: "a/b c.txt", bytes: new TextEncoder().encode("ünïcödé\n".repeat(99)) },
      { name: "run", bytes: new Uint8Array(512), executable: true },
      { name: "empty", bytes: new Uint8Array() },
    ];
    await Deno.writeFile(`${place}/x.tar`, tar(files, 1_700_000_000));
    const command = new Deno.Command("tar", { args: ["-xf", "x.tar"], cwd: place });
    const { success, stderr } = await command.output();
    assert(success, new TextDecoder().decode(stderr));
    for (const { name, bytes, executable = false } of files) {
      assertEquals(await Deno.readFile(`${place}/${name}`), bytes);
      const { mode, mtime } = await Deno.stat(`${place}/${name}`);
      assertEquals([(mode! & 0o100) !== 0, mtime?.getTime()], [executable, 1_700_000_000_000]);
    }
  },
});
