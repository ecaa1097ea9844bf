/** Asks bash itself about many scripts at once. */

/** For each script, what `bash -n` has against it: empty if it passes without a word. */
export async function bashComplaints(scripts: string[]): Promise<string[]> {
  const folder = await Deno.makeTempDir({ prefix: "bashling-" });
  try {
    await Promise.all(scripts.map((script, i) => Deno.writeTextFile(`${folder}/${i}`, script)));
    const loop = 'for i in $(seq 0 "$1"); do m=$(bash -n "$i" 2>&1) || m="failed: $m"; ' +
      'printf "%s\\0" "$m"; done';
    const { stdout } = await new Deno.Command("bash", {
      args: ["-c", loop, "check", String(scripts.length - 1)],
      cwd: folder,
    }).output();
    return new TextDecoder().decode(stdout).split("\0").slice(0, scripts.length);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Throws unless all scripts pass, showing those that do not. */
export async function assertAllValid(scripts: string[]): Promise<void> {
  const complaints = await bashComplaints(scripts);
  const bad = complaints.flatMap((complaint, i) =>
    complaint ? [`${complaint}\n${scripts[i]}\n`] : []
  );
  if (bad.length === 0 && complaints.length === scripts.length) return;
  throw new Error(`${bad.length} of ${scripts.length} are not valid bash:\n${bad.join("\n")}`);
}
