/**
 * Server-sent events as the answer to a request.
 *
 * Each event is `data: …` with a space, which the standard allows to leave out and many clients wait
 * for.
 *
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html
 * @module
 */

import { cutOff } from "./whole_answer.ts";

/** Options of an {@linkcode EventStream}. */
export interface EventStreamOptions {
  /** Of the request. */
  id: string;
  /** Milliseconds for which a reader may read nothing while something waits for it. */
  writeTimeout: number;
  /** Called when the reader has left, or was cut off because it was too slow. */
  onGone: (slow: boolean) => void;
}

/** A stream of events that somebody reads; those not yet read are kept. */
export class EventStream {
  /** The body of the answer. */
  readonly body: ReadableStream<Uint8Array<ArrayBuffer>>;
  readonly #encoder = new TextEncoder();
  readonly #options: EventStreamOptions;
  #controller!: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>;
  #timer?: ReturnType<typeof setTimeout>;
  /** Sends signs of life. */
  #beat?: ReturnType<typeof setInterval>;
  /** Whether the reader waits for more. */
  #wanted = false;
  /** Whether nothing more will be sent. */
  #closing = false;
  #ended = false;

  constructor(options: EventStreamOptions) {
    this.#options = options;
    this.body = new ReadableStream({
      start: (controller) => {
        this.#controller = controller;
      },
      // With no room to keep anything ahead, this is called when the reader has read all there is.
      pull: () => {
        this.#wanted = true;
        clearTimeout(this.#timer);
        this.#timer = undefined;
        if (this.#closing) this.#end();
      },
      cancel: () => this.#leave(false),
    }, { highWaterMark: 0 });
  }

  /**
   * Sends comments until the first event, so that it is noticed when the reader leaves.
   * @param beat Milliseconds between them.
   */
  wait(beat: number): void {
    const sign = () => this.#write(":\n\n");
    sign();
    this.#beat = setInterval(sign, beat);
  }

  /** Sends a value as JSON. */
  send(value: unknown): void {
    clearInterval(this.#beat);
    this.#write(`data: ${JSON.stringify(value)}\n\n`);
  }

  /** Ends the stream as OpenAI does. */
  done(): void {
    this.#write("data: [DONE]\n\n");
    this.close();
  }

  /** Ends the stream when all was read. */
  close(): void {
    clearInterval(this.#beat);
    this.#closing = true;
    if (this.#wanted) this.#end();
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#controller.close();
  }

  #write(text: string): void {
    if (this.#ended || this.#closing) return;
    this.#controller.enqueue(this.#encoder.encode(text));
    if (!this.#wanted) {
      this.#timer ??= setTimeout(() => this.#leave(true), this.#options.writeTimeout);
    }
    this.#wanted = false;
  }

  #leave(slow: boolean): void {
    clearInterval(this.#beat);
    clearTimeout(this.#timer);
    if (this.#ended) return;
    this.#ended = true;
    if (slow) this.#controller.error(cutOff(this.#options.id));
    this.#options.onGone(slow);
  }
}
