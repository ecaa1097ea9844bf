/**
 * Commands of the shell itself: those that change the script's state or run code in it.
 *
 * @module
 */

import { texts } from "./command.ts";
import type { Executor, Run } from "./executor.ts";
import { formatPrintf, originOf } from "./output.ts";
import { type RawCommand, scanCommands } from "./scan.ts";
import type { Scope } from "./scope.ts";
import type { Setting, Walk } from "./walk.ts";
import { concat, expandFields, join, literal, render, unknown, type Word } from "./words.ts";

type Builtin = (args: Word[], run: Run) => Word | undefined;

const DECLARATIONS = new Set(["declare", "typeset", "local", "export", "readonly"]);

/** The shell's own commands, for one walk. */
export class Builtins {
  readonly #walk: Walk;
  readonly #executor: Executor;

  constructor(walk: Walk, executor: Executor) {
    this.#walk = walk;
    this.#executor = executor;
  }

  /** Carries out `export NAME=value` and its like, whose values are not split into words. */
  declare(raw: RawCommand, { scope }: Setting): Word | undefined {
    if (!DECLARATIONS.has(raw.words[0])) return undefined;
    for (const word of raw.words.slice(1)) {
      if (/^[A-Za-z_]\w*(\[[^\]]*\])?\+?=/.test(word)) scope.assignment(word);
      else expandFields(word, scope);
    }
    return [];
  }

  /** Carries out a builtin; `undefined` if the command is none or prints something more. */
  run(name: string, args: Word[], run: Run): Word | undefined {
    return Object.hasOwn(this.#table, name) ? this.#table[name](args, run) : undefined;
  }

  readonly #table: Record<string, Builtin> = {
    cd: (args, { scope }) => changeFolder(args, scope),
    pushd: (args, { scope }) => changeFolder(args, scope),
    popd: (_, { scope }) => {
      scope.set("PWD", [unknown("$OLDPWD", "never", "folder")]);
      return [];
    },
    ":": () => [],
    exit: (_, { scope }) => end(scope),
    return: (_, { scope }) => end(scope),
    break: (_, { scope }) => end(scope),
    continue: (_, { scope }) => end(scope),
    set: (args, { scope }) => {
      set(args, scope);
      return [];
    },
    shift: (args, { scope }) => {
      scope.setPositional(scope.variable("@").slice(Number(literal(args[0]) ?? 1)));
      return [];
    },
    unset: (args, { scope }) => {
      for (const arg of texts(args)) if (!arg.startsWith("-")) scope.unset(arg);
      return [];
    },
    test: (args, { scope }) => {
      for (const part of args.flat()) {
        const name = typeof part === "object" ? /^\$\{?(\w+|#)/.exec(part.source)?.[1] : undefined;
        if (name) scope.guard(name);
      }
      return [];
    },
    read: read,
    mapfile: readLines,
    readarray: readLines,
    printf: (args, { scope }) => {
      if (literal(args[0]) !== "-v") return undefined;
      const name = literal(args[1]);
      const value = formatPrintf(args[2], args.slice(3)) ?? unknown("$(printf)", "may");
      if (name) scope.assign(name, value);
      return [];
    },
    eval: (args, run) => this.#inPlace(join(args), run, "eval"),
    source: (args, run) => this.#source(args, run),
    ".": (args, run) => this.#source(args, run),
    trap: (args, { scope }) => {
      const code = args.find((arg) => !/^-./.test(literal(arg) ?? ""));
      if (!code || args.length < 2 || /^(-?|\d+)$/.test(literal(code) ?? "")) return [];
      this.#walk.defer(() => this.#walk.code(code, { scope: scope.clone() }));
      return [];
    },
    alias: (args, run) => {
      for (const arg of args) {
        const match = /^([\w.-]+)=([^]*)$/.exec(typeof arg[0] === "string" ? arg[0] : "");
        if (!match) continue;
        const code = concat([match[2]], arg.slice(1));
        this.#walk.code(code, { scope: run.scope.clone() });
        run.scope.aliases.set(match[1], scanCommands(render(code))[0]?.words ?? []);
      }
      return [];
    },
    command: (args) => {
      const query = /^-[vV]$/.test(literal(args[0]) ?? "");
      return query ? concat(args[1] ?? [], ["\n"]) : undefined;
    },
    curl: (args, { scope }) =>
      this.#download(args, scope, /^(-[a-zA-Z]*o|--output)$/, /^-[a-zA-Z]*O|^--remote-name$/),
    wget: (args, { scope }) =>
      this.#download(args, scope, /^(-[a-zA-Z]*O|--output-document)$/, /^(?!-)/),
    tee: (args, { scope, stdin }) => {
      for (const path of args) {
        if (!/^-/.test(literal(path) ?? "")) scope.files.set(fileKey(path), stdin ?? []);
      }
      return undefined;
    },
    sha256sum: verify,
    sha512sum: verify,
    shasum: verify,
    gpg: verify,
    gpgv: verify,
    cosign: verify,
    minisign: verify,
    cp: copyFile,
    mv: copyFile,
  };

  #inPlace(code: Word, run: Run, what: string): Word {
    const first = code.find((part) => typeof part !== "string" || part.trim() !== "");
    if (typeof first === "object") {
      if (originOf(code) === "network") {
        this.#walk.report("destructive", "runs what comes over the network");
      } else if (what === "eval") {
        this.#walk.report("caution", `runs code that the script does not hold: ${first.source}`);
      }
    }
    return this.#walk.code(code, { ...run, background: false });
  }

  #source(args: Word[], run: Run): Word {
    const path = args[0];
    if (!path) return [];
    const isStdin = literal(path) === "/dev/stdin";
    const content = isStdin ? run.stdin : this.#executor.file(path, run.scope);
    // A library that is a file is taken on trust; what a command prints is code like any other.
    const what = isStdin || render(path).startsWith("<(") ? "eval" : "source";
    return content ? this.#inPlace(content, run, what) : [];
  }

  /** Notes the file that a download goes to; what it prints is left to the rest. */
  #download(args: Word[], scope: Scope, named: RegExp, remote: RegExp): undefined {
    const words = texts(args);
    const at = words.findIndex((word) => named.test(word));
    const url = words.find((word) => /^(https?|ftp):|^\w[\w.-]+\.\w+\//.test(word)) ?? "";
    const content = unknown(`$(${url || "download"})`, "may", "network");
    if (at >= 0 && args[at + 1]) {
      if (words[at + 1] !== "-") scope.files.set(fileKey(args[at + 1]), content);
    } else if (words.some((word) => remote.test(word)) && url) {
      scope.files.set(url.replace(/[?#].*$/, "").replace(/^.*\//, ""), content);
    }
    return undefined;
  }
}

function fileKey(path: Word): string {
  return render(path).replace(/^(\.\/)+/, "");
}

function end(scope: Scope): Word {
  scope.ended = true;
  return [];
}

function changeFolder(args: Word[], scope: Scope): Word {
  const path = args.find((arg) => !/^-./.test(literal(arg) ?? "")) ?? scope.variable("HOME")[0];
  if (literal(path) === "-") {
    scope.set("PWD", [unknown("$OLDPWD", "never", "folder")]);
    return [];
  }
  const absolute = typeof path[0] !== "string" || path[0].startsWith("/");
  const from = scope.variable("PWD")[0] ?? [];
  scope.set("PWD", [absolute ? path : concat(from, ["/"], path)]);
  return [];
}

function set(args: Word[], scope: Scope): void {
  const words = args.map(literal);
  for (let i = 0; i < args.length; i++) {
    const text = words[i];
    if (text === "--" || text === undefined || !/^[-+]/.test(text)) {
      scope.setPositional(args.slice(text === "--" ? i + 1 : i));
      return;
    }
    const on = text.startsWith("-");
    if (text.includes("u")) scope.nounset = on;
    if (text.includes("e")) scope.errexit = on;
    if (text.includes("o")) {
      const option = words[++i];
      if (option === "nounset") scope.nounset = on;
      if (option === "errexit") scope.errexit = on;
    }
  }
}

function read(args: Word[], { scope, stdin }: Run): Word {
  const names: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const text = literal(args[i]) ?? "";
    if (/^-[a-zA-Z]*[adinNptu]$/.test(text) && !/^-[a-zA-Z]*[a]$/.test(text)) i++;
    else if (!text.startsWith("-")) names.push(text);
  }
  if (names.length === 0) names.push("REPLY");
  const text = literal(stdin);
  if (text === undefined) {
    for (const name of names) scope.set(name, [unknown(`$${name}`, "may", originOf(stdin))]);
    return [];
  }
  const lines = text.replace(/\n$/, "").split("\n").map((line) => line.trim().split(/[ \t]+/));
  names.forEach((name, i) => {
    const last = i === names.length - 1;
    scope.setOptions(
      name,
      lines.map((fields) => [[last ? fields.slice(i).join(" ") : fields[i] ?? ""]]),
    );
  });
  if (/-[a-zA-Z]*a/.test(texts(args).join(" "))) {
    scope.set(names[0], lines[0].map((field) => [field]));
  }
  return [];
}

function readLines(args: Word[], { scope, stdin }: Run): Word {
  const name = texts(args).filter((arg) => /^[A-Za-z_]\w*$/.test(arg)).at(-1) ?? "MAPFILE";
  const text = literal(stdin);
  const lines = text === undefined
    ? [unknown(`$${name}`, "may", originOf(stdin))]
    : text.replace(/\n$/, "").split("\n").map((line) => [line]);
  scope.set(name, lines);
  return [];
}

/** A checked download is code that cannot be seen, but not what anybody on the way put there. */
function verify(args: Word[], { scope }: Run): undefined {
  if (
    !/(^|\s)(-c|--check|-a256c|--verify|verify\S*|-V\w*)(\s|$)|gpgv/.test(texts(args).join(" "))
  ) {
    return undefined;
  }
  for (const [path, content] of scope.files) {
    const known = content.map((part) =>
      typeof part === "object" && part.origin === "network" ? { ...part, origin: undefined } : part
    );
    scope.files.set(path, known);
  }
  return undefined;
}

function copyFile(args: Word[], { scope }: Run): undefined {
  const paths = args.filter((arg) => !/^-/.test(literal(arg) ?? ""));
  if (paths.length !== 2) return undefined;
  const content = scope.files.get(fileKey(paths[0]));
  if (content) scope.files.set(fileKey(paths[1]), content);
  return undefined;
}
