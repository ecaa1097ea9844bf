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

/** A line without its end. */
export function logLine(level: "info" | "error", event: string, fields: LogFields = {}): string {
  return JSON.stringify({ time: new Date().toISOString(), level, event, ...fields });
}

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
    this.#waiting.push(logLine(level, event, fields) + "\n");
    this.#writing ??= this.#write();
  }

  async #write(): Promise<void> {
    await Promise.resolve(); // lines of the same turn are written together
    while (this.#waiting.length > 0) {
      const lines = this.#waiting, lost = this.#lostLines;
      this.#waiting = [];
      const told = logLine("error", "log lines were lost", { lines: lost });
      const text = (lost > 0 ? told + "\n" : "") + lines.join("");
      try {
        await this.#sink.write(this.#encoder.encode(text));
        this.#lostLines -= lost;
      } catch {
        this.#lose(lines.length);
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
