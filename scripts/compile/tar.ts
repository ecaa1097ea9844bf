/**
 * Writes tar archives: files only, in POSIX's `ustar` form that every `tar` reads. Equal input gives
 * equal bytes.
 */

/** A file of an archive. */
export interface TarFile {
  /** Relative path with slashes, at most 100 bytes. */
  name: string;
  bytes: Uint8Array;
  /** Whether it may be executed. */
  executable?: boolean;
}

/** Bytes of a block: headers are one, data are filled up to whole ones. */
const BLOCK = 512;

/**
 * An archive of these files.
 * @param modified When all of them changed last, in seconds since 1970.
 * @throws {RangeError} if a name is too long, or a file has 8 GiB or more.
 */
export function tar(files: TarFile[], modified: number): Uint8Array<ArrayBuffer> {
  const whole = (bytes: number) => Math.ceil(bytes / BLOCK) * BLOCK;
  const size = files.reduce((sum, { bytes }) => sum + BLOCK + whole(bytes.length), 0);
  const archive = new Uint8Array(size + 2 * BLOCK); // two empty blocks end it
  let at = 0;
  for (const file of files) {
    writeHeader(archive.subarray(at, at + BLOCK), file, modified);
    archive.set(file.bytes, at + BLOCK);
    at += BLOCK + whole(file.bytes.length);
  }
  return archive;
}

function writeHeader(
  header: Uint8Array,
  { name, bytes, executable }: TarFile,
  modified: number,
): void {
  const encoder = new TextEncoder();
  const text = (at: number, most: number, value: string) => {
    const encoded = encoder.encode(value);
    if (encoded.length > most) {
      throw new RangeError(`${name} does not fit into a tar header: shorten its path.`);
    }
    header.set(encoded, at);
  };
  const octal = (at: number, digits: number, value: number) =>
    text(at, digits, value.toString(8).padStart(digits, "0"));
  text(0, 100, name);
  octal(100, 7, executable ? 0o755 : 0o644);
  octal(108, 7, 0); // owner and group: root, which nobody's tar obeys but root's
  octal(116, 7, 0);
  octal(124, 11, bytes.length);
  octal(136, 11, modified);
  text(148, 8, " ".repeat(8)); // what the checksum counts in its own place
  text(156, 1, "0");
  text(257, 8, "ustar\x0000");
  octal(148, 6, header.reduce((sum, byte) => sum + byte, 0));
  text(154, 2, "\0 ");
}
