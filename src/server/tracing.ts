/**
 * Spans of OpenTelemetry that cover generations, by Deno's own support: they are exported where
 * `OTEL_DENO=true` is set and cost nothing elsewhere. Deno's span of a request ends with its headers,
 * so that a streamed generation would not be seen.
 *
 * @see https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/
 * @module
 */

/** Values that a span may have. */
type Attributes = Record<string, string | number | boolean | string[]>;

/** The part of OpenTelemetry's `Span` that is used. */
interface OtelSpan {
  setAttributes(attributes: Attributes): void;
  setStatus(status: { code: number; message?: string }): void;
  addEvent(name: string): void;
  updateName(name: string): void;
  end(): void;
}

/** The part of OpenTelemetry's `Context` that is used. */
interface OtelContext {
  getValue(key: symbol): unknown;
}

/** `SpanStatusCode.ERROR` and `SpanKind.INTERNAL`. */
const ERROR = 2, INTERNAL = 0;

/** Under which OpenTelemetry's API keeps the span in a context. */
const SPAN_KEY = Symbol.for("OpenTelemetry Context Key SPAN");

/** Starts a span below the one under way; `undefined` where nothing is exported. */
function startSpan(name: string, attributes: Attributes): OtelSpan | undefined {
  try {
    const tracer = Deno.telemetry.tracerProvider.getTracer("bashling");
    return tracer.startSpan(name, { kind: INTERNAL, attributes }, activeContext());
  } catch {
    return undefined; // Deno throws unless OTEL_DENO is set.
  }
}

const activeContext = (): OtelContext => Deno.telemetry.contextManager.active();

/** Names the span of the request under way by its route. */
export function nameRequestSpan(method: string, route: string): void {
  const span = activeContext().getValue(SPAN_KEY) as OtelSpan | undefined;
  span?.updateName?.(`${method} ${route}`);
  span?.setAttributes?.({ "http.route": route });
}

/** The span of the generations of one request. */
export class GenerationSpan {
  readonly #span?: OtelSpan;

  /** Starts it, below the span of the request under way. */
  constructor(operation: "text_completion" | "chat", model: string, attributes: Attributes) {
    this.#span = startSpan(`${operation} ${model}`, {
      "gen_ai.operation.name": operation,
      "gen_ai.provider.name": "bashling",
      "gen_ai.request.model": model,
      ...attributes,
    });
  }

  /** The first token has come. */
  firstToken(): void {
    this.#span?.addEvent("first token");
  }

  /** Ends it well. */
  end(attributes: Attributes): void {
    this.#span?.setAttributes(attributes);
    this.#span?.end();
  }

  /** Ends it badly. */
  fail(message: string): void {
    this.#span?.setAttributes({ "error.type": message });
    this.#span?.setStatus({ code: ERROR, message });
    this.#span?.end();
  }
}
