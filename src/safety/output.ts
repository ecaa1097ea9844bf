/**
 * What commands print, where that follows from their words and input alone: `echo`, `printf`,
 * `base64 -d` and their like, with which scripts assemble other scripts.
 *
 * @module
 */

import { filledIn } from "./expansions.ts";
import { findTargets } from "./rules/files.ts";
import {
  ansi,
  concat,
  join,
  literal,
  type Origin,
  type Part,
  render,
  unknown,
  type Word,
} from "./words.ts";

/** A command as far as its output depends on it. */
export interface Producer {
  name: string;
  args: Word[];
  stdin?: Word;
  /** What a path holds, if the script wrote it. */
  file(path: Word): Word | undefined;
  /** The folder that the script stands in. */
  folder: Word;
}

const DOWNLOADERS = new Set([
  "curl",
  "wget",
  "wget2",
  "fetch",
  "aria2c",
  "http",
  "https",
  "xh",
  "lynx",
  "w3m",
  "links",
  "nc",
  "ncat",
  "netcat",
  "socat",
  "telnet",
  "ftp",
  "tftp",
  "dig",
  "host",
  "nslookup",
  "GET",
]);

/** Commands that print something whenever they succeed. */
const NEVER_EMPTY = new Set([
  "date",
  "hostname",
  "whoami",
  "id",
  "uname",
  "nproc",
  "arch",
  "logname",
  "tty",
  "stat",
  "wc",
  "sha256sum",
  "sha1sum",
  "md5sum",
  "cksum",
  "uuidgen",
  "getconf",
  "tput",
  "expr",
  "bc",
]);

/** Whether a command's output comes over the network. */
function isDownloader(name: string): boolean {
  return DOWNLOADERS.has(name);
}

/** The origin of the unknown parts of a word, the network first. */
export function originOf(word: Word | undefined): Origin | undefined {
  const origins = (word ?? []).flatMap((part) => typeof part === "string" ? [] : [part.origin]);
  return origins.includes("network") ? "network" : origins.find((origin) => origin);
}

/** What the command prints; unknown parts stand for what the script does not say. */
export function output(producer: Producer): Word {
  const { name, args, stdin } = producer;
  const source = `$(${[name, ...args.map(render)].join(" ")})`;
  if (isDownloader(name)) return unknown(source, "may", "network");
  if (name === "mktemp") return unknown(source, "never", "temporary");
  if (NEVER_EMPTY.has(name)) return unknown(source, "never");
  const printed = Object.hasOwn(PRINTERS, name) ? PRINTERS[name](producer) : undefined;
  if (printed) return printed;
  const origin = originOf(stdin) === "network" ? "network" : undefined;
  return unknown(source, "may", origin);
}

const PRINTERS: Record<string, (producer: Producer) => Word | undefined> = {
  echo: ({ args }) => {
    let i = 0, newline = true, escapes = false;
    for (; /^-[neE]+$/.test(literal(args[i]) ?? ""); i++) {
      const flags = literal(args[i])!;
      if (flags.includes("n")) newline = false;
      if (flags.includes("e")) escapes = true;
    }
    const text = join(args.slice(i));
    const decoded = escapes ? mapText(text, ansi) : text;
    return newline ? concat(decoded, ["\n"]) : decoded;
  },
  printf: ({ args }) => {
    const rest = literal(args[0]) === "--" ? args.slice(1) : args;
    return formatPrintf(rest[0], rest.slice(1));
  },
  cat: (producer) => {
    const files = producer.args.filter((arg) => !/^-./.test(literal(arg) ?? ""));
    if (files.length === 0) return producer.stdin;
    const contents = files.map((path) =>
      literal(path) === "-" ? producer.stdin : producer.file(path)
    );
    return contents.every((content) => content) ? concat(...contents.map((c) => c!)) : undefined;
  },
  tee: ({ stdin }) => stdin,
  base64: (producer) => decode(producer, /^(-[a-zA-Z]*[dD]|--d)/, (text) => atob(text)),
  base32: (producer) => decode(producer, /^(-[a-z]*d|--d)/, base32),
  openssl: (producer) =>
    producer.args.some((arg) => /^-?base64$|^-a$/.test(literal(arg) ?? ""))
      ? decode(producer, /^-d$/, (text) => atob(text))
      : undefined,
  xxd: (producer) => decode(producer, /^-(r|[a-z]*r[a-z]*|revert)$/, hex),
  rev: ({ stdin }) => mapKnown(stdin, (text) => text.replace(/[^\n]+/g, reversed)),
  tac: ({ stdin }) =>
    mapKnown(stdin, (text) => text.replace(/\n$/, "").split("\n").reverse().join("\n") + "\n"),
  tr: translate,
  sed: substitute,
  find: ({ args }) => {
    const { paths, narrowed } = findTargets(args);
    return narrowed
      ? undefined
      : concat(...paths.map((path) => concat(filledIn(path, "never"), ["/*\n"])));
  },
  ls: ({ args }) => {
    const paths = args.filter((arg) => !/^-/.test(literal(arg) ?? ""));
    const named = paths.every((path) => /[*?]/.test(literal(path) ?? ""));
    return paths.length === 0 ? ["*\n"] : named ? concat(join(paths, "\n"), ["\n"]) : undefined;
  },
  cut: ({ args, stdin }) => mapLines(stdin, cutter(args.map((arg) => literal(arg) ?? ""))),
  head: ({ args, stdin }) => {
    const bytes = /^-c ?(\d+)$/.exec(args.map((arg) => literal(arg) ?? "").join(" "))?.[1];
    return bytes ? mapKnown(stdin, (text) => text.slice(0, Number(bytes))) : undefined;
  },
  awk: ({ args, stdin }) => {
    const field = /^\{ *print +\$(\d) *;? *\}$/.exec(literal(args[0]) ?? "")?.[1];
    return field
      ? mapLines(stdin, (line) => field === "0" ? line : line.trim().split(/\s+/)[+field - 1] ?? "")
      : undefined;
  },
  dirname: ({ args }) => mapPath(args.at(-1), (path) => /^(.*[^/])\/+[^/]*$/.exec(path)?.[1]),
  basename: ({ args }) => mapPath(args[0], (path) => /([^/]+)\/*$/.exec(path)?.[1]),
  realpath: ({ args }) => mapPath(args.at(-1), (path) => path.startsWith("/") ? path : undefined),
  readlink: ({ args }) => mapPath(args.at(-1), () => undefined),
  which: ({ args }) => concat(args.at(-1) ?? [], ["\n"]),
  type: ({ args }) => concat(args.at(-1) ?? [], ["\n"]),
  pwd: ({ folder }) => folder,
  git: ({ args }) =>
    literal(args[0]) === "rev-parse" ? unknown("$(git rev-parse)", "never") : undefined,
  seq: ({ args }) => {
    const numbers = args.map((arg) => Number(literal(arg) ?? NaN));
    if (numbers.some(Number.isNaN) || numbers.length === 0) return undefined;
    const [first, last] = numbers.length === 1 ? [1, numbers[0]] : [numbers[0], numbers.at(-1)!];
    const count = Math.min(Math.max(Math.floor(last - first) + 1, 0), 64);
    return [Array.from({ length: count }, (_, i) => `${first + i}\n`).join("")];
  },
};

function mapText(word: Word, change: (text: string) => string): Word {
  return word.map((part) => typeof part === "string" ? change(part) : part);
}

/** Changes a text without unknowns; `undefined` otherwise. */
function mapKnown(word: Word | undefined, change: (text: string) => string): Word | undefined {
  const text = literal(word);
  return text === undefined ? undefined : concat([change(text)]);
}

function mapLines(
  word: Word | undefined,
  change: ((line: string) => string) | undefined,
): Word | undefined {
  if (!change) return undefined;
  return mapKnown(word, (text) => text.replace(/[^\n]+/g, change));
}

/** `cut -c 1-2` or `cut -d : -f 1`. */
function cutter(words: string[]): ((line: string) => string) | undefined {
  const text = words.join(" ");
  const range = /-[cbf] ?(\d+)(-(\d*))?/.exec(text);
  if (!range) return undefined;
  const from = Number(range[1]) - 1;
  const to = range[2] ? Number(range[3] || Infinity) : from + 1;
  if (!/-f/.test(range[0])) return (line) => line.slice(from, to);
  const delimiter = /-d ?(.)/.exec(text)?.[1] ?? "\t";
  return (line) => line.split(delimiter).slice(from, to).join(delimiter);
}

function mapPath(word: Word | undefined, change: (path: string) => string | undefined): Word {
  const path = literal(word);
  const changed = path === undefined ? undefined : change(path);
  return changed ? [changed] : unknown(`$(… ${render(word ?? [])})`, "never");
}

function reversed(text: string): string {
  return [...text].reverse().join("");
}

function decode(
  producer: Producer,
  flag: RegExp,
  decoder: (text: string) => string,
): Word | undefined {
  if (!producer.args.some((arg) => flag.test(literal(arg) ?? ""))) return undefined;
  const files = producer.args.filter((arg) => !/^-/.test(literal(arg) ?? ""));
  const input = producer.stdin ?? (files.length > 0 ? producer.file(files.at(-1)!) : undefined);
  return mapKnown(input, (text) => {
    try {
      const bytes = Uint8Array.from(decoder(text.replace(/\s/g, "")), (c) => c.charCodeAt(0));
      return new TextDecoder().decode(bytes);
    } catch {
      return "";
    }
  });
}

function hex(text: string): string {
  const digits = text.match(/[0-9a-fA-F]{2}/g) ?? [];
  return String.fromCharCode(...digits.map((pair) => parseInt(pair, 16)));
}

function base32(text: string): string {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  const bits = [...text.replace(/=/g, "")]
    .map((c) => Math.max(alphabet.indexOf(c), 0).toString(2).padStart(5, "0")).join("");
  return String.fromCharCode(...(bits.match(/.{8}/g) ?? []).map((byte) => parseInt(byte, 2)));
}

/** `printf FORMAT ARGUMENTS…`, the format used again while arguments are left. */
export function formatPrintf(format: Word | undefined, args: Word[]): Word | undefined {
  const text = literal(format);
  if (text === undefined) return undefined;
  const pattern = ansi(text.replaceAll("%%", "\\x25\\x25"));
  const used = pattern.replaceAll("%%", "").match(/%[-+ #0]*[\d*]*(\.\d+)?[a-zA-Z]/g)?.length ?? 0;
  const out: Part[] = [];
  let next = 0;
  do {
    const pieces = pattern.split(/(%%|%[-+ #0]*[\d*]*(?:\.\d+)?[a-zA-Z])/);
    for (const piece of pieces) {
      if (piece === "%%") out.push("%");
      else if (piece.startsWith("%")) out.push(...conversion(piece.at(-1)!, args[next++] ?? []));
      else out.push(piece);
    }
  } while (used > 0 && next < args.length && next < 256);
  return concat(out);
}

function conversion(kind: string, arg: Word): Word {
  if (kind === "b") return mapText(arg, ansi);
  const text = literal(arg);
  const number = text === undefined ? NaN : /^["']/.test(text) ? text.charCodeAt(1) : Number(text);
  switch (Number.isNaN(number) ? "" : kind) {
    case "o":
      return [number.toString(8)];
    case "x":
      return [number.toString(16)];
    case "d":
    case "i":
      return [`${number}`];
    case "c":
      return [(text ?? "").slice(0, 1)];
    default:
      return kind === "c" && text !== undefined ? [text.slice(0, 1)] : arg;
  }
}

/** `tr SET1 SET2` and `tr -d SET1` on a known text. */
function translate({ args, stdin }: Producer): Word | undefined {
  const words = args.map(literal);
  if (words.some((word) => word === undefined)) return undefined;
  const flags = words.filter((word) => /^-[a-zA-Z]+$/.test(word!)).join("");
  const [from, to] = words.filter((word) => !/^-[a-zA-Z]+$/.test(word!)).map((set) => range(set!));
  if (!from || flags.includes("c")) return undefined;
  return mapKnown(stdin, (text) =>
    [...text].map((c) => {
      const i = from.indexOf(c);
      if (i < 0) return c;
      return flags.includes("d") ? "" : to ? to[Math.min(i, to.length - 1)] ?? c : c;
    }).join(""));
}

/** The characters of a set such as `a-zA-Z`. */
function range(set: string): string[] {
  const classes: Record<string, string> = { lower: "a-z", upper: "A-Z", digit: "0-9" };
  const text = ansi(set.replace(/\[:(\w+):\]/g, (_, name: string) => classes[name] ?? ""));
  const out: string[] = [];
  for (let i = 0; i < text.length; i++) {
    const last = text[i + 1] === "-" ? text.charCodeAt(i + 2) : NaN;
    if (Number.isNaN(last)) {
      out.push(text[i]);
      continue;
    }
    for (let code = text.charCodeAt(i); code <= last; code++) out.push(String.fromCharCode(code));
    i += 2;
  }
  return out;
}

/** `sed s/literal/literal/g` on a known text. */
function substitute({ args, stdin }: Producer): Word | undefined {
  const script = literal(args.find((arg) => !/^-[enrE]+$/.test(literal(arg) ?? "")));
  const parts = script && /^s(.)(.*)\1(g?)$/.exec(script);
  const split = parts ? parts[2].split(parts[1]) : [];
  if (!parts || split.length !== 2 || /[\\.*[\]^$&(+?]/.test(split.join(""))) return undefined;
  return mapKnown(
    stdin,
    (text) =>
      text.split("\n").map((line) =>
        parts[3] ? line.replaceAll(split[0], split[1]) : line.replace(split[0], split[1])
      ).join("\n"),
  );
}
