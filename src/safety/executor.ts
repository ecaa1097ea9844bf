/**
 * What one simple command does to the state of the script, what other commands it runs, and what it
 * prints. Rules are asked here.
 *
 * @module
 */

import { type Command, type Redirect, texts } from "./command.ts";
import { Builtins } from "./builtins.ts";
import { effectsOf, isLanguage, programOf } from "./languages.ts";
import { originOf, output } from "./output.ts";
import { globSource } from "./glob.ts";
import { check, ruleNames } from "./rules.ts";
import type { RawCommand, RawRedirect } from "./scan.ts";
import type { Scope } from "./scope.ts";
import type { Setting, Walk } from "./walk.ts";
import { concat, expandFields, expandWord, literal, render, unknown, type Word } from "./words.ts";
import { codeIn, entersContainer, type Invocation, isShell, readShell } from "./shells.ts";
import {
  commandsOfFind,
  commandWithin,
  leadingAssignments,
  unwrap,
  unwrapParallel,
  unwrapXargs,
} from "./wrappers.ts";

/** What a command is executed with. */
export interface Run extends Setting {
  redirects: Redirect[];
}

/** Executes simple commands for a walk, as far as that can be said without running them. */
export class Executor {
  readonly #walk: Walk;
  readonly #builtins: Builtins;
  #listeners: string[][] = [];
  #depth = 0;

  constructor(walk: Walk) {
    this.#walk = walk;
    this.#builtins = new Builtins(walk, this);
  }

  /** Adds the names of all commands that `run` executes to `names`. */
  listen(names: string[], run: () => void): void {
    this.#listeners.push(names);
    run();
    this.#listeners.pop();
  }

  /** Looks at the stages of a pipeline side by side. */
  pipeline(stages: string[][]): void {
    const shell = stages.findIndex((names) => names.some(isShell));
    const network = /^(nc|ncat|netcat|socat|telnet|openssl)$/;
    const after = stages.slice(shell + 1).some((names) => names.some((name) => network.test(name)));
    if (shell >= 0 && after) this.#walk.report("destructive", "hands a shell to the network");
  }

  /** Executes a command as it stands: expands it, then follows it. */
  run(raw: RawCommand, setting: Setting): Word {
    const { scope } = setting;
    if (raw.words.length === 0) {
      this.#assign(raw.assignments, scope);
      return this.redirect(raw.redirects, setting, (stdin) => stdin ?? []);
    }
    const declared = this.#builtins.declare(raw, setting);
    if (declared) return declared;
    const alias = scope.aliases.get(raw.words[0]);
    const named = alias ? [...alias, ...raw.words.slice(1)] : raw.words;
    const words = named.flatMap((word) => expandFields(word, scope));
    const background = setting.background || raw.end === "&";
    // Assignments in front hold for this command alone.
    const inner = raw.assignments.length > 0 ? scope.clone() : scope;
    this.#assign(raw.assignments, inner);
    return this.redirect(
      raw.redirects,
      { ...setting, scope: inner, background },
      (stdin, redirects) =>
        this.execute(words, { ...setting, scope: inner, background, stdin, redirects }),
      words.length > 0,
    );
  }

  /** Carries out assignments; some variables hold code that other commands run. */
  #assign(assignments: string[], scope: Scope): void {
    for (const assignment of assignments) {
      scope.assignment(assignment);
      const name = /^\w*(COMMAND|PAGER|EDITOR|VISUAL|BROWSER)(?==)/.exec(assignment)?.[0];
      const code = name ? scope.variable(name)[0] : undefined;
      if (literal(code)) this.#walk.code(code!, { scope: scope.clone() });
    }
  }

  /**
   * Applies redirections around `body`, which is given what comes in and says what goes out.
   * @param checked Whether `body` asks the rules about the redirections itself.
   */
  redirect(
    raws: RawRedirect[],
    setting: Setting,
    body: (stdin: Word | undefined, redirects: Redirect[]) => Word,
    checked = false,
  ): Word {
    const { scope } = setting;
    let stdin = setting.stdin;
    const redirects = raws.filter(({ operator }) => !/^<<-?$/.test(operator))
      .map(({ descriptor, operator, target }): Redirect => ({
        descriptor: descriptor ?? (operator.startsWith("<") ? "0" : "1"),
        operator,
        target: expandWord(target, scope),
      }));
    for (const { descriptor, operator, target } of redirects) {
      if (descriptor !== "0") continue;
      if (operator === "<<<") stdin = concat(target, ["\n"]);
      else if (operator === "<") {
        stdin = this.file(target, scope) ?? unknown(`$(< ${render(target)})`, "may");
      } else if (operator === "<&" && scope.sockets.has(render(target))) {
        stdin = unknown(`<&${render(target)}`, "may", "network");
      }
    }
    if (!checked) this.#check({ name: "", args: [], redirects }, setting);
    const printed = body(stdin, redirects);
    for (const { target } of redirects) this.#feed(target, printed, scope);
    const files = redirects.filter(({ descriptor, operator }) =>
      /^(&?>>?|>\|)$/.test(operator) && descriptor === "1"
    );
    for (const { operator, target } of files) {
      const key = render(target).replace(/^(\.\/)+/, "");
      const before = operator.endsWith(">>") ? scope.files.get(key) ?? [] : [];
      scope.files.set(key, before.length > 0 ? concat(before, printed) : printed);
    }
    return files.length > 0 ? [] : printed;
  }

  /** `>(code)`: the code takes in what goes out. */
  #feed(path: Word, stdin: Word | undefined, scope: Scope): void {
    const part = path.length === 1 ? path[0] : undefined;
    if (typeof part !== "object" || !part.source.startsWith(">(")) return;
    this.#walk.code([part.source.slice(2, -1)], { scope: scope.clone(), stdin });
  }

  /** What a path holds, if the script wrote it or makes it on the way. */
  file(path: Word, scope: Scope): Word | undefined {
    const part = path.length === 1 ? path[0] : undefined;
    if (typeof part === "object" && part.content) return part.content;
    const name = render(path);
    if (/^\/dev\/(tcp|udp)\//.test(name)) return unknown(`$(< ${name})`, "may", "network");
    return scope.files.get(name.replace(/^(\.\/)+/, ""));
  }

  /** Follows a command whose words are expanded. */
  execute(words: Word[], run: Run): Word {
    const [first, ...args] = words;
    if (!first || this.#depth > 24) {
      this.#check({ name: "", args: [], redirects: run.redirects, stdin: run.stdin }, run);
      return first ? unknown("…", "may") : run.stdin ?? [];
    }
    this.#depth++;
    try {
      const path = first.map((part) =>
        typeof part === "string" ? part : part.empty === "never" ? "\0" : ""
      ).join("");
      if (/^\0?$/.test(path)) return this.#unknownCommand(first, args, run, path === "");
      const name = globbed(commandName(path));
      this.#listeners.at(-1)?.push(name);
      const called = /\//.test(path) ? undefined : this.#call(path, args, run);
      if (called) return called;
      return this.#known(name, first, args, run);
    } finally {
      this.#depth--;
    }
  }

  #call(name: string, args: Word[], run: Run): Word | undefined {
    if (!run.scope.functions.has(name)) return undefined;
    this.#check({ name: "", args, redirects: run.redirects }, run);
    return this.#walk.call(name, args, run) ?? unknown(`$(${name})`, "may");
  }

  #unknownCommand(first: Word, args: Word[], run: Run, vanishes: boolean): Word {
    const source = render(first);
    if (restarts(first, args, run)) this.#walk.report("destructive", BOMB);
    if (originOf(first) === "network") this.#walk.report("destructive", NETWORK);
    this.#check({ name: "", args, redirects: run.redirects, stdin: run.stdin }, run);
    // `$SUDO rm`: the variable may hold nothing, or a command that runs the rest.
    if (vanishes && args.length > 0) return this.execute(args, { ...run, redirects: [] });
    return unknown(`$(${source})`, "may", originOf(run.stdin));
  }

  #known(name: string, first: Word, args: Word[], run: Run): Word {
    const { scope, stdin } = run;
    const path = render(first);
    if (restarts(first, args, run)) this.#walk.report("destructive", BOMB);
    this.#check({ name, args, redirects: run.redirects, stdin }, run);
    for (const arg of args) this.#feed(arg, stdin, scope);
    const builtin = this.#builtins.run(name, args, run);
    if (builtin) return builtin;
    if (isShell(name)) return this.#shell(name, readShell(args), run);
    if (name === "xargs" || name === "parallel") return this.#perItem(name, args, run);
    for (const words of commandsOfFind(name, args)) {
      this.execute(words, { ...run, redirects: [], scope: scope.clone() });
    }
    const code = codeIn(name, args, stdin);
    if (code) return this.#runCode(code, { ...run, scope: scope.clone() });
    const inner = unwrap(name, args, (word) => this.#split(word, scope));
    if (inner) return this.#wrapped(name, args, inner, run);
    const within = entersContainer(name, args) ? commandWithin(args) : undefined;
    if (within) this.execute(within, { ...run, redirects: [], scope: scope.clone() });
    if (path.includes("/") && this.file(first, scope)) {
      return this.#shell(name, { file: first, args: [first, ...args] }, run);
    }
    const computed = isLanguage(name) ? this.#language(name, args, run) : undefined;
    return computed ?? output({
      name,
      args,
      stdin,
      folder: scope.variable("PWD")[0] ?? [],
      file: (word) => this.file(word, scope),
    });
  }

  #check(
    command: Omit<Command, "folder" | "background">,
    { scope, background = false }: Setting,
  ): void {
    const folder = scope.variable("PWD")[0] ?? [];
    for (const [level, reason] of check({ ...command, folder, background })) {
      this.#walk.report(level, reason);
    }
  }

  #wrapped(name: string, args: Word[], inner: Word[], run: Run): Word {
    const scope = name === "exec" ? run.scope : run.scope.clone();
    if (name === "env" || name === "sudo") {
      for (const [variable, value] of leadingAssignments(args)) scope.assign(variable, value);
    }
    if (/^(sudo|doas|pkexec)$/.test(name)) this.#walk.report("caution", "runs with root's rights");
    if (inner.length === 0 && /^(sudo|doas|chroot|nsenter|unshare|env)$/.test(name)) {
      // `sudo -s`, `sudo -i`: a shell that reads what comes in.
      const shell = name === "chroot" ||
        texts(args).some((arg) => /^-[a-zA-Z]*[si]$|^--(shell|login)$/.test(arg));
      return shell ? this.#shell("sh", { args: [] }, { ...run, scope }) : [];
    }
    if (name === "exec" && inner.length === 0) {
      for (const { descriptor, target } of run.redirects) {
        if (/^\/dev\/(tcp|udp)\//.test(render(target))) scope.sockets.add(descriptor);
      }
      return [];
    }
    const bare = /^(command|builtin|exec)$/.test(name);
    if (bare) return this.execute(inner, { ...run, scope: run.scope });
    // A function of the script is no command to a wrapper.
    if (name !== "time" && name !== "coproc") scope.functions.clear();
    return this.execute(inner, { ...run, scope, redirects: run.redirects.filter(isSocket) });
  }

  /** Runs a shell: its `-c` code, its script, or what comes in. */
  #shell(name: string, invocation: Invocation, run: Run): Word {
    const { code, file, args } = invocation;
    if (run.redirects.some(isSocket)) {
      this.#walk.report("destructive", "hands a shell to the network");
    }
    const scope = run.scope.clone();
    scope.ended = false;
    setArguments(scope, args);
    const inner = { ...run, scope, redirects: [] };
    if (code) return this.#runCode(code, inner);
    if (file && literal(file) !== "/dev/stdin") {
      const content = this.file(file, run.scope);
      if (content) return this.#runCode(content, inner);
      return unknown(`$(${name} ${render(file)})`, "may");
    }
    return run.stdin ? this.#runCode(run.stdin, inner) : [];
  }

  /** Code of which nothing is known is reported; the rest is walked through. */
  #runCode(code: Word, run: Setting): Word {
    const first = code.find((part) => typeof part !== "string" || part.trim() !== "");
    if (typeof first === "object") {
      if (originOf(code) === "network") this.#walk.report("destructive", NETWORK);
      else this.#walk.report("caution", `runs code that the script does not hold: ${first.source}`);
    }
    return this.#walk.code(code, run);
  }

  #perItem(name: string, args: Word[], run: Run): Word {
    if (name === "parallel") {
      return this.#runCode(unwrapParallel(args, run.stdin), { ...run, scope: run.scope.clone() });
    }
    const words = unwrapXargs(args, run.stdin);
    return this.execute(words, {
      ...run,
      stdin: undefined,
      redirects: [],
      scope: run.scope.clone(),
    });
  }

  /** Follows a program in another language; says what it prints, if that is plain. */
  #language(name: string, args: Word[], run: Run): Word | undefined {
    const program = programOf(name, args, run.stdin, (path) => this.file(path, run.scope));
    if (!program) return undefined;
    if (originOf(program) === "network") {
      this.#walk.report("destructive", NETWORK);
      return unknown(`$(${name})`, "may", "network");
    }
    const effects = effectsOf(name, render(program));
    if (effects.downloads) this.#walk.report("destructive", NETWORK);
    if (effects.network) this.#walk.report("destructive", "hands a shell to the network");
    const inner = () => ({ ...run, redirects: [], scope: run.scope.clone() });
    for (const command of effects.commands) this.#walk.code([command], inner());
    for (const path of effects.removed) this.execute([["rm"], ["-rf"], [path]], inner());
    if (effects.printed.length === 0) return undefined;
    return [effects.printed.map((text) => `${text}\n`).join("")];
  }

  /** The words that a shell would make of a text. */
  #split(word: Word, scope: Scope): Word[] {
    const text = literal(word);
    return text === undefined ? [word] : text.split(/\s+/).filter((part) => part !== "")
      .flatMap((part) => expandFields(part, scope));
  }
}

const BOMB = "starts itself over and over: a fork bomb";
const NETWORK = "runs what comes over the network";

/** `./$0 &`: the script itself, in the background. */
function restarts(first: Word, args: Word[], { background }: Run): boolean {
  const last = first.at(-1);
  return Boolean(background) && args.length === 0 && typeof last === "object" &&
    /^\$\{?(0|BASH_SOURCE)/.test(last.source);
}

function isSocket({ target }: Redirect): boolean {
  return /^\/dev\/(tcp|udp)\//.test(render(target));
}

/** The command's name as rules know it: without its folder, and without capitals on some systems. */
function commandName(path: string): string {
  const name = path.replaceAll("\0", "").replace(/^.*\//, "");
  return /^[A-Z]{2,}$/.test(name) && name !== "GET" ? name.toLowerCase() : name;
}

/** `/bin/r?` is whatever it matches first; commands that there are rules for are taken to exist. */
function globbed(name: string): string {
  if (!/[*?[]/.test(name) || !/\w/.test(name)) return name;
  const pattern = new RegExp(`^${globSource(name)}$`);
  return [...ruleNames(), "sh", "bash"].find((known) => pattern.test(known)) ?? name;
}

function setArguments(scope: Scope, args: Word[]): void {
  scope.set("0", [args[0] ?? unknown("$0", "never")]);
  if (args.length === 0) return;
  scope.set("@", args.slice(1));
  for (let i = 1; i <= 9; i++) scope.set(`${i}`, [args[i] ?? []]);
}
