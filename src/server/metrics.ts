/**
 * What the service counts and measures, in Prometheus' text format.
 *
 * @module
 */

/** Values of the labels of one series. */
type Labels = Record<string, string | number>;

/** A family of series in the text format. */
interface Family {
  text(): string;
}

const labelText = (labels: Labels): string => {
  const parts = Object.entries(labels).map(([name, value]) =>
    `${name}="${String(value).replace(/[\\"]/g, "\\$&").replace(/\n/g, "\\n")}"`
  );
  return parts.length > 0 ? `{${parts.join(",")}}` : "";
};

const head = (name: string, help: string, type: string): string =>
  `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`;

/** A number that only grows. */
export class Counter implements Family {
  readonly #values = new Map<string, number>();

  constructor(readonly name: string, readonly help: string, start: Labels[] = [{}]) {
    for (const labels of start) this.#values.set(labelText(labels), 0);
  }

  /** Adds to it. */
  add(amount: number = 1, labels: Labels = {}): void {
    const key = labelText(labels);
    this.#values.set(key, (this.#values.get(key) ?? 0) + amount);
  }

  text(): string {
    const lines = [...this.#values].map(([labels, value]) => `${this.name}${labels} ${value}\n`);
    return head(this.name, this.help, "counter") + lines.join("");
  }
}

/** A number that is read when it is asked for. */
export class Gauge implements Family {
  constructor(readonly name: string, readonly help: string, readonly read: () => number) {}

  text(): string {
    return `${head(this.name, this.help, "gauge")}${this.name} ${this.read()}\n`;
  }
}

/** How often values fell below bounds. */
export class Histogram implements Family {
  /** Values in each bucket, the last of which has no upper bound. */
  readonly #counts: number[];
  #sum = 0;

  /** @param bounds Upper bounds of the buckets, rising. */
  constructor(readonly name: string, readonly help: string, readonly bounds: readonly number[]) {
    this.#counts = new Array(bounds.length + 1).fill(0);
  }

  /** Takes a value in. */
  observe(value: number): void {
    const bucket = this.bounds.findIndex((bound) => value <= bound);
    this.#counts[bucket < 0 ? this.bounds.length : bucket]++;
    this.#sum += value;
  }

  text(): string {
    let below = 0;
    const lines = [...this.bounds, "+Inf"].map((bound, i) => {
      below += this.#counts[i];
      return `${this.name}_bucket{le="${bound}"} ${below}\n`;
    });
    return `${head(this.name, this.help, "histogram")}${lines.join("")}` +
      `${this.name}_sum ${this.#sum}\n${this.name}_count ${below}\n`;
  }
}

const SECONDS = [.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60];

/** Seconds between tokens. */
const TOKEN_SECONDS = [.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1];

/** In what a generation was when it was cancelled. */
export type Phase = "queue" | "prefill" | "decode";

/** What is read when the metrics are asked for. */
export interface Gauges {
  /** Generations that wait. */
  waiting(): number;
  /** Generations at work. */
  running(): number;
  /** Whether a model is loaded. */
  ready(): boolean;
}

/** All metrics of the service. */
export class Metrics {
  readonly requests: Counter = new Counter("bashling_requests_total", "Requests answered.", []);
  readonly promptTokens: Counter = new Counter("bashling_prompt_tokens_total", "Tokens read.");
  readonly generationTokens: Counter = new Counter(
    "bashling_generation_tokens_total",
    "Tokens generated.",
  );
  readonly finished: Counter = new Counter(
    "bashling_generations_total",
    "Generations that ended by themselves.",
    [{ finished_reason: "stop" }, { finished_reason: "length" }],
  );
  readonly cancellations: Counter = new Counter(
    "bashling_cancellations_total",
    "Generations that were cancelled: the client left, or a deadline came.",
    [{ phase: "queue" }, { phase: "prefill" }, { phase: "decode" }],
  );
  readonly engineRestarts: Counter = new Counter(
    "bashling_engine_restarts_total",
    "Times that the Worker of the model was replaced.",
  );
  readonly lostLogLines: Counter = new Counter(
    "bashling_log_lines_lost_total",
    "Lines that could not be written to the log.",
  );
  readonly queueSeconds: Histogram = new Histogram(
    "bashling_request_queue_time_seconds",
    "Time that a generation waited for a stream.",
    SECONDS,
  );
  readonly firstTokenSeconds: Histogram = new Histogram(
    "bashling_time_to_first_token_seconds",
    "Time from the request to a generation's first token.",
    SECONDS,
  );
  readonly tokenSeconds: Histogram = new Histogram(
    "bashling_time_per_output_token_seconds",
    "Mean time between the tokens of a generation.",
    TOKEN_SECONDS,
  );
  readonly requestSeconds: Histogram = new Histogram(
    "bashling_e2e_request_latency_seconds",
    "Time from a request for scripts to the end of its answer.",
    SECONDS,
  );
  readonly #families: Family[];

  /** @param gauges Where numbers come from that are not counted here. */
  constructor({ waiting, running, ready }: Gauges) {
    this.#families = [
      ...Object.values(this).filter((member) => member instanceof Object && "text" in member),
      new Gauge("bashling_num_requests_waiting", "Generations that wait.", waiting),
      new Gauge("bashling_num_requests_running", "Generations at work.", running),
      new Gauge("bashling_ready", "Whether a model is loaded.", () => Number(ready())),
      new Gauge(
        "process_resident_memory_bytes",
        "Memory of this process.",
        () => Deno.memoryUsage().rss,
      ),
    ];
  }

  /** All of them, `text/plain; version=0.0.4`. */
  text(): string {
    return this.#families.map((family) => family.text()).join("");
  }
}
