/**
 * `bashling serve`.
 *
 * @module
 */

import { ApiKeys, Cors } from "../server/guard.ts";
import { Service, type ServiceSettings } from "../server/service.ts";
import { engineFlags } from "./engine_flags.ts";
import { COMMON_FLAGS, Flags } from "./flags.ts";
import { writeOut } from "./output.ts";
import { UsageError } from "./usage.ts";

/** Text of `bashling serve --help`. */
export const SERVE_HELP = `Serve the model over HTTP, as OpenAI's interface has it: /v1/completions,
/v1/chat/completions, /v1/models; and /tokenize, /detokenize, /health, /ready, /metrics, /slots,
/openapi.json, and a page at /. The log goes to stderr as JSON lines.

Usage: bashling serve [options]

  --host ADDRESS             address to listen on (127.0.0.1: this machine only)
  --port N                   port to listen on, 0 picks one (8080)
  --name NAME                name of the model (bashling)
Who may ask
  --api-keys FILE            API keys, key or name:key in a line; also BASHLING_API_KEYS
  --cors ORIGIN              a web page's origin that may ask, * for all; repeatable
  --allow-host NAME          a name by which this machine may be called; repeatable
  --trust-proxy              take clients' addresses from X-Forwarded-For
  --rate N                   requests a minute for each key or address (no limit)
Limits
  --streams N                scripts made at once (16)
  --queue N                  scripts that may wait; more are refused with 429 (256)
  --max-choices N            scripts that one request may have made (16)
  --max-tokens N             tokens that a script may be asked to have (no limit)
  --max-body BYTES           of a request (1000000)
  --deadline SECONDS         for an answer (60)
  --body-timeout SECONDS     for a request's body to come (10)
  --write-timeout SECONDS    that a reader may read nothing (30)
  --grace SECONDS            for what is under way when it is told to end (20)
  --watchdog SECONDS         after which a model that does not answer is started again (20)
Log
  --log-prompts              let prompts stand in the log
Model
  --weights DIR              folder or URL of the weights (the shipped)
  --backend NAME             auto, wasm, webgpu, reference, tfjs (auto)
  --precision BITS           of the weights: auto, int8, f32 (auto)
  --threads N                of the wasm backend (all cores)
${COMMON_FLAGS}`;

/** Most of what `--streams` and `--queue` may be. */
const MOST_STREAMS = 256, MOST_WAITING = 100_000;

/** Runs `bashling serve`. */
export async function serve(args: string[], called: string): Promise<number> {
  const flags = new Flags("serve", SERVE_HELP, args);
  const [unexpected] = flags.positional;
  if (unexpected !== undefined) {
    throw new UsageError(`serve takes no arguments: leave ${unexpected} out.`);
  }
  const { settings, grace } = await settingsOf(flags);
  let service: Service;
  try {
    service = new Service(settings);
  } catch (error) {
    throw new Error(listenError(error, settings, called), { cause: error });
  }
  const { signalled, ended } = endOnSignals(service, grace);
  try {
    const ready = service.ready.then(() => true);
    if (!await Promise.race([signalled.then(() => false), ready])) {
      await ended;
      return 0;
    }
  } catch (error) {
    await service.close(0, true);
    throw error;
  }
  const { hostname, port } = service.address;
  const name = hostname.includes(":") ? `[${hostname}]` : hostname;
  try {
    writeOut(`serving ${settings.name} at http://${name}:${port}\n`);
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error; // it serves, read or not
  }
  await dropPermissions(settings);
  await ended;
  return 0;
}

async function settingsOf(flags: Flags): Promise<{ settings: ServiceSettings; grace: number }> {
  const whole = (name: string, otherwise: number, least: number, most: number): number => {
    const value = flags.whole(name) ?? otherwise;
    if (value >= least && value <= most) return value;
    throw new UsageError(
      `--${name} is ${value}, expected a whole number from ${least} to ${most}.`,
    );
  };
  const seconds = (name: string, otherwise: number, least = 0.1): number => {
    const value = flags.number(name) ?? otherwise;
    if (value >= least && value <= 86_400) return value * 1000;
    throw new UsageError(`--${name} is ${value}, expected ${least} to 86400 seconds.`);
  };
  const limit = (name: string, least: number): number =>
    flags.whole(name) === undefined ? Infinity : whole(name, 0, least, 1e9);
  const origins = flags.list("cors");
  try {
    new Cors(origins);
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  const host = flags.text("host") ?? "127.0.0.1";
  return {
    settings: {
      host: host.replace(/^\[(.*)\]$/, "$1"),
      port: whole("port", 8080, 0, 65535),
      name: nameOf(flags.text("name") ?? "bashling"),
      model: {
        weights: flags.text("weights"),
        ...engineFlags(flags),
        streams: whole("streams", 16, 1, MOST_STREAMS),
      },
      queue: whole("queue", 256, 1, MOST_WAITING),
      keys: await readKeys(flags.text("api-keys")),
      rate: limit("rate", 1),
      origins,
      allowedHosts: flags.list("allow-host").map((name) => name.toLowerCase()),
      trustProxy: flags.has("trust-proxy"),
      maxBody: whole("max-body", 1_000_000, 1000, 100_000_000),
      maxChoices: whole("max-choices", 16, 1, 128),
      maxTokens: limit("max-tokens", 1),
      bodyTimeout: seconds("body-timeout", 10),
      writeTimeout: seconds("write-timeout", 30),
      deadline: seconds("deadline", 60),
      watchdog: seconds("watchdog", 20, 1),
      logPrompts: flags.has("log-prompts"),
    },
    grace: seconds("grace", 20, 0),
  };
}

function nameOf(name: string): string {
  if (/^[\w.:/-]{1,128}$/.test(name)) return name;
  throw new UsageError(`--name is ${name}, expected letters, digits and any of . _ - : /`);
}

/** API keys of a file and of the environment. */
async function readKeys(file: string | undefined): Promise<ApiKeys> {
  const allowed = await Deno.permissions.query({ name: "env", variable: "BASHLING_API_KEYS" });
  const environment = allowed.state === "granted" ? Deno.env.get("BASHLING_API_KEYS") : undefined;
  let inFile = "";
  if (file !== undefined) {
    try {
      inFile = await Deno.readTextFile(file);
    } catch (cause) {
      throw new Error(`The API keys in ${file} cannot be read: check the path, and --allow-read.`, {
        cause,
      });
    }
  }
  const keys = await ApiKeys.parse(`${inFile}\n${environment ?? ""}`);
  // A secret that is missing must not open the service to everyone.
  const place = file !== undefined ? file : environment !== undefined && "BASHLING_API_KEYS";
  if (keys.size === 0 && place) {
    throw new Error(
      `There are no API keys in ${place}: write one into each line, or leave it out.`,
    );
  }
  return keys;
}

/** Why it cannot listen, and what to do. */
function listenError(error: unknown, { host, port }: ServiceSettings, called: string): string {
  const where = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  if (error instanceof Deno.errors.AddrInUse) {
    return `${where} is in use: stop what listens there, or give another --port (0 picks one).`;
  }
  if (error instanceof Deno.errors.NotCapable) {
    return `Listening on ${where} is not allowed: run ${called} with --allow-net=${where}.`;
  }
  const reason = error instanceof Error ? error.message : String(error);
  return `Listening on ${where} is not possible (${reason}): give another --host or --port.`;
}

/**
 * Lets the service go down on SIGTERM and SIGINT; a second signal ends the process at once.
 * @returns When the first signal came, and when the service is down after it.
 */
function endOnSignals(
  service: Service,
  grace: number,
): { signalled: Promise<void>; ended: Promise<void> } {
  const signalled = Promise.withResolvers<void>(), ended = Promise.withResolvers<void>();
  let isSecond = false;
  const signals: Record<string, number> = Deno.build.os === "windows"
    ? { SIGINT: 130, SIGBREAK: 149 }
    : { SIGINT: 130, SIGTERM: 143 };
  for (const [signal, code] of Object.entries(signals)) {
    Deno.addSignalListener(signal as Deno.Signal, () => {
      if (isSecond) Deno.exit(code);
      isSecond = true;
      signalled.resolve(); // before the service is closed, which ends the loading with an error
      service.close(grace, true).then(ended.resolve, ended.reject);
    });
  }
  return { signalled: signalled.promise, ended: ended.promise };
}

/** Gives back what is not needed any more once it listens and the model is loaded. */
async function dropPermissions({ model: { weights = "" } }: ServiceSettings): Promise<void> {
  const drop: Deno.PermissionDescriptor[] = [{ name: "env" }, { name: "write" }, { name: "run" }, {
    name: "ffi",
  }, { name: "sys" }];
  // Weights on the web are read once more when the model has to be started again.
  if (!/^https?:/.test(weights)) drop.push({ name: "net" });
  for (const permission of drop) await Deno.permissions.revoke(permission);
}
