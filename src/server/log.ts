/**
 * The service's log: JSON lines. A line that cannot be written, because the disk is full or whoever
 * reads them is too slow, is counted and dropped, so that logging never stops the service.
 *
 * @module
 */

/** What a line tells beside its time, level and message. */
export type LogFields = Record<string, unknown>;

/** Where lines go. */
export interface LogSink {
  /** Writes all bytes. */
  write(bytes: Uint8Array): Promise<unknown>;
}

/** Lines that may wait to be written. */
const MOST_WAITING = 1000;

/** Writes JSON lines, in order, without making anyone wait. */
export class Log {
  readonly #sink: LogSink;
  readonly #lost: () => void;
  readonly #encoder = new TextEncoder();
  #waiting: string[] = [];
  #writing?: Promise<void>;
  #lostLines = 0;

  /**
   * @param sink Where lines go.
   * @param lost Called for each line that could not be written.
   */
  constructor(sink: LogSink, lost: () => void = () => {}) {
    this.#sink = sink;
    this.#lost = lost;
  }

  /** Something that is as it should be. */
  info(event: string, fields: LogFields = {}): void {
    this.#line("info", event, fields);
  }

  /** Something that is not. */
  error(event: string, fields: LogFields = {}): void {
    this.#line("error", event, fields);
  }

  /** Waits until all lines are written or lost. */
  async flush(): Promise<void> {
    await this.#writing;
  }

  #line(level: "info" | "error", event: string, fields: LogFields): void {
    if (this.#waiting.length >= MOST_WAITING) return this.#lose(1);
    const time = new Date().toISOString();
    this.#waiting.push(JSON.stringify({ time, level, event, ...fields }) + "\n");
    this.#writing ??= this.#write();
  }

  async #write(): Promise<void> {
    await Promise.resolve(); // lines of the same turn are written together
    while (this.#waiting.length > 0) {
      const lines = this.#waiting;
      this.#waiting = [];
      if (this.#lostLines > 0) {
        const time = new Date().toISOString(), { length } = lines;
        const fields = { time, level: "error", event: "log lines were lost" };
        lines.splice(
          0,
          length,
          JSON.stringify({ ...fields, lines: this.#lostLines }) + "\n",
          ...lines,
        );
      }
      try {
        await this.#sink.write(this.#encoder.encode(lines.join("")));
        this.#lostLines = 0;
      } catch {
        this.#lose(lines.length - (this.#lostLines > 0 ? 1 : 0));
      }
    }
    this.#writing = undefined;
  }

  #lose(lines: number): void {
    this.#lostLines += lines;
    for (let i = 0; i < lines; i++) this.#lost();
  }
}

/** A sink on stderr. */
export const stderrSink: LogSink = {
  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) at += await Deno.stderr.write(bytes.subarray(at));
  },
};
