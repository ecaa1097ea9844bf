/**
 * Programs in other languages, as they stand in `python3 -c`, `perl -e` or `awk`: their strings may
 * be commands for a shell, paths to remove, or text to print.
 *
 * @module
 */

import { literal, type Word } from "./words.ts";

/** The option after which a program stands. */
const LANGUAGES: Record<string, RegExp> = {
  python: /^-[a-zA-Z]*c$/,
  perl: /^-[a-zA-Z]*[eE]$/,
  ruby: /^-[a-zA-Z]*e$/,
  node: /^(-e|-p|-pe|--eval|--print)$/,
  php: /^-r$/,
  lua: /^-e$/,
  deno: /^eval$/,
  bun: /^-e$/,
};

const RUNS =
  /system|popen|exec|spawn|subprocess|check_call|check_output|getoutput|`|%x|qx|shell|\|/;
const REMOVES = /rmtree|rm_rf|rm_r\b|remove_tree|rmSync|rimraf|FileUtils\.rm|removedirs|unlink/;
const PRINTS = /print|puts|echo|console\.log|write/;
const TALKS = /socket|IO::Socket|TCPSocket|net\.connect|fsockopen/i;
const FETCHES =
  /urlopen|urlretrieve|requests\.get|LWP|Net::HTTP|HTTP::Tiny|open-uri|URI\.open|fetch\(/;
const STRING = /"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|`([^`]*)`|%?q[qxw]?[{(]([^})]*)[})]/g;

/** What a program does with its strings. */
export interface Effects {
  /** Given to a shell. */
  commands: string[];
  /** Removed from the disk. */
  removed: string[];
  /** Printed. */
  printed: string[];
  /** Connects a shell to the network. */
  network: boolean;
  /** Runs code from the network. */
  downloads: boolean;
}

function isAwk(name: string): boolean {
  return /^[gmn]?awk$/.test(name);
}

/** `python3.12` is `python`. */
function languageOf(name: string): string {
  return name.replace(/^(python|perl|ruby|node|php|lua)(js)?-?[\d.]*$/, "$1");
}

/** Whether a command runs programs of another language. */
export function isLanguage(name: string): boolean {
  return isAwk(name) || Object.hasOwn(LANGUAGES, languageOf(name));
}

/**
 * The program that a command is given, in its words, in a file or as input.
 * @param file What a path holds, if the script wrote it.
 */
export function programOf(
  name: string,
  args: Word[],
  stdin: Word | undefined,
  file: (path: Word) => Word | undefined,
): Word | undefined {
  const words = args.map((arg) => literal(arg) ?? "");
  if (isAwk(name)) {
    return args.find((_, i) => !words[i].startsWith("-") && !/^-[vFf]$/.test(words[i - 1] ?? ""));
  }
  const flag = LANGUAGES[languageOf(name)];
  const at = words.findIndex((word) => flag.test(word));
  if (at >= 0) return args[at + 1];
  const plain = words.every((word, i) => word === "-" || (args.length > 0 && i > 0));
  return args.length === 0 || (plain && words[0] === "-") ? stdin : file(args[0]);
}

/** What a program may do, judged by the calls that stand in it. */
export function effectsOf(name: string, code: string): Effects {
  const strings = [...code.matchAll(STRING)].map((match) =>
    (match[1] ?? match[2] ?? match[3] ?? match[4]).replace(/\\(["'\\])/g, "$1")
  );
  const runs = RUNS.test(code);
  // `system("rm", "-rf", "/")`: the strings may be the words of one command.
  const commands = runs ? [...strings, ...(strings.length > 1 ? [strings.join(" ")] : [])] : [];
  return {
    commands,
    removed: REMOVES.test(code) ? strings : [],
    printed: PRINTS.test(code) ? strings : [],
    downloads: FETCHES.test(code) && /\b(exec|eval|system|spawn\w*|execSync)\b/.test(code),
    network: !isAwk(name) && TALKS.test(code) && (runs || /pty|dup2|\bsh\b/.test(code)),
  };
}
