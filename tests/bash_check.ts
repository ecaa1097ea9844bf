/** Asks bash itself about many scripts at once. */

const text = new TextDecoder();

/** What `bash -n` says: nothing if it accepts a script without a warning. */
export type Complaint = string | undefined;

/** Lets `bash -n` judge many scripts in one go. */
export async function bashComplaints(scripts: readonly Uint8Array[]): Promise<Complaint[]> {
  const folder = await Deno.makeTempDir({ dir: await scratchFolder(), prefix: "syntax_" });
  try {
    const complaints: Complaint[] = [];
    scripts.forEach((script, i) => Deno.writeFileSync(`${folder}/${i}`, script));
    const loop = `cd "$1" || exit; for ((i = 0; i < $2; i++)); do
      bash -n "$i" 2>&1; printf '\\n@@%d\\n' "$?"; done`;
    const args = ["-c", loop, "bash", folder, `${scripts.length}`];
    const { stdout } = await new Deno.Command("bash", { args }).output();
    const verdicts = text.decode(stdout).matchAll(/([^]*?)\n@@(\d+)\n/g);
    for (const [, message, status] of verdicts) {
      complaints.push(message === "" && status === "0" ? undefined : message || `exit ${status}`);
    }
    if (complaints.length !== scripts.length) throw new Error("bash did not judge all scripts");
    return complaints;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function scratchFolder(): Promise<string | undefined> {
  return await Deno.stat("/dev/shm").then(() => "/dev/shm", () => undefined);
}

/** Throws unless bash accepts all scripts without a word, showing those that it does not. */
export async function assertAllValid(scripts: string[]): Promise<void> {
  const complaints = await bashComplaints(
    scripts.map((script) => new TextEncoder().encode(script)),
  );
  const bad = complaints.flatMap((complaint, i) =>
    complaint === undefined ? [] : [`${complaint}\n${scripts[i]}\n`]
  );
  if (bad.length === 0) return;
  throw new Error(`${bad.length} of ${scripts.length} are not valid bash:\n${bad.join("\n")}`);
}
