/**
 * Writing to the terminal: data to stdout, everything else to stderr.
 *
 * @module
 */

const encoder = new TextEncoder();

function writeAll(stream: { writeSync(bytes: Uint8Array): number }, text: string): void {
  const bytes = encoder.encode(text);
  for (let at = 0; at < bytes.length;) at += stream.writeSync(bytes.subarray(at));
}

/** Writes data to stdout. */
export function writeOut(text: string): void {
  writeAll(Deno.stdout, text);
}

/** Writes a note to stderr. */
export function writeNote(text: string): void {
  writeAll(Deno.stderr, text);
}

/** Writes an error to stderr, its label in red on a terminal unless `NO_COLOR` is set. */
export function writeError(message: string): void {
  const color = Deno.stderr.isTerminal() && !Deno.noColor;
  writeNote(`${color ? "\x1b[31merror\x1b[0m" : "error"}: ${message}\n`);
}

/** All of stdin as text. */
export async function readStdin(): Promise<string> {
  return await new Response(Deno.stdin.readable).text();
}

/** Numbers with a separator for thousands. */
export function grouped(value: number): string {
  return value.toLocaleString("en-US");
}

/** A size in bytes, for people. */
export function bytesText(bytes: number): string {
  if (bytes < 1e3) return `${bytes} B`;
  if (bytes < 1e6) return `${(bytes / 1e3).toFixed(1)} kB`;
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
}

/** Rows as columns, padded; numbers to the right. */
export function table(rows: (string | number)[][]): string {
  const widths: number[] = [];
  const texts = rows.map((row) =>
    row.map((cell) => typeof cell === "number" ? grouped(cell) : cell)
  );
  for (const row of texts) {
    row.forEach((cell, i) => widths[i] = Math.max(widths[i] ?? 0, cell.length));
  }
  return texts.map((row, r) =>
    row.map((cell, i) =>
      typeof rows[r][i] === "number" ? cell.padStart(widths[i]) : cell.padEnd(widths[i])
    ).join("  ").trimEnd() + "\n"
  ).join("");
}
