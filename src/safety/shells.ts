/**
 * Shells, and other commands that are handed code for a shell.
 *
 * @module
 */

import { texts } from "./command.ts";
import { concat, join, literal, type Word } from "./words.ts";

const SHELLS = /^(r?bash|sh|dash|ash|zsh|r?ksh(93)?|mksh|fish|csh|tcsh)$/;

/** Whether a command is a shell. */
export function isShell(name: string): boolean {
  return SHELLS.test(name);
}

/** What a shell is asked to run. */
export interface Invocation {
  /** `-c CODE`. */
  code?: Word;
  /** A script's path. */
  file?: Word;
  /** `$0`, `$1` and so on: what follows the code, or the script and what follows it. */
  args: Word[];
}

/** Reads the words of `bash`, `sh` and so on. */
export function readShell(args: Word[]): Invocation {
  let code = false;
  for (let i = 0; i < args.length; i++) {
    const text = literal(args[i]);
    if (text === undefined || !/^[-+]/.test(text)) {
      return code
        ? { code: args[i], args: args.slice(i + 1) }
        : { file: args[i], args: args.slice(i) };
    }
    if (text === "-s") return { args: [] };
    if (/^-[a-zA-Z]*c[a-zA-Z]*$/.test(text)) code = true;
    else if (/^--(rcfile|init-file)$/.test(text)) return { file: args[i + 1], args: [] };
    else if (/^[-+]\w*[oO]$/.test(text)) i++;
  }
  return { args: [] };
}

/**
 * The code that a command other than a shell is handed: in its words, or through its input.
 * `undefined` if the command takes no code.
 */
export function codeIn(name: string, args: Word[], stdin: Word | undefined): Word | undefined {
  switch (name) {
    case "su":
    case "runuser":
      return valueOf(args, /^(-[a-z]*c|--command|--session-command)$/) ?? stdin;
    case "ssh":
      return afterHost(args) ?? stdin;
    case "at":
    case "batch":
      return stdin;
    case "crontab":
      return stdin && schedule(stdin);
    case "watch":
      return joined(operands(args, /^-[a-zA-Z]*[nq]$|^--interval$/));
    case "script":
      return valueOf(args, /^(-[a-z]*c|--command)$/);
    case "flock":
      return valueOf(args, /^(-c|--command)$/) ?? joined(operands(args, /^-[wE]$/).slice(1));
    case "vi":
    case "vim":
    case "nvim":
    case "view":
    case "ex":
      return exclamation(args);
    case "git":
      return exclamation(args.map((arg) => tail(arg, /^[\w.-]+=(?=!)/) ?? arg));
    case "sed":
      return args.map((arg) => tail(arg, /^[\d,$]*e\s+/)).find((code) => code);
    default:
      return args.map((arg) => tail(arg, OPTION_CODE)).find((code) => code);
  }
}

/** Options of `tar`, `rsync`, `scp` and their like that take a command. */
const OPTION_CODE =
  /^(--checkpoint-action=exec=|--to-command=|--use-compress-program=|-?o?(Proxy|Local)Command[= ]|--rsh=)/;

/** The words behind an option's name or another start, if the word starts so. */
function tail(word: Word, start: RegExp): Word | undefined {
  const first = typeof word[0] === "string" ? word[0] : "";
  const match = start.exec(first);
  return match ? concat([first.slice(match[0].length)], word.slice(1)) : undefined;
}

/** `!command`, as editors and git run one. */
function exclamation(args: Word[]): Word | undefined {
  return args.map((arg) => tail(arg, /^:?!/)).find((code) => code);
}

function valueOf(args: Word[], option: RegExp): Word | undefined {
  const i = texts(args).findIndex((word) => option.test(word));
  if (i >= 0) return args[i + 1];
  return args.map((arg) => tail(arg, /^--(session-)?command=/)).find((code) => code);
}

function operands(args: Word[], valued: RegExp): Word[] {
  const words = texts(args);
  const start = words.findIndex((word, i) => !word.startsWith("-") && !valued.test(words[i - 1]));
  return start < 0 ? [] : args.slice(start);
}

function joined(words: Word[]): Word | undefined {
  return words.length > 0 ? join(words) : undefined;
}

/** The code after the host of `ssh`; `undefined` for a login. */
function afterHost(args: Word[]): Word | undefined {
  let i = 0;
  for (; i < args.length && /^-/.test(literal(args[i]) ?? ""); i++) {
    const option = literal(args[i])!;
    const value = option === "-o" ? tail(args[i + 1] ?? [], OPTION_CODE) : undefined;
    if (value) return value;
    if (option.length === 2 && "BbcDEeFIiJLlmOopQRSWw".includes(option[1])) i++;
  }
  return joined(args.slice(i + 1));
}

/** The commands of cron's lines, without the times in front. */
function schedule(lines: Word): Word {
  return lines.map((part) =>
    typeof part === "string"
      ? part.replace(/^[ \t]*(@\w+|([\d*][\d*,/-]*[ \t]+){4}[\w*][\w*,/-]*)[ \t]+/gm, "")
      : part
  );
}

/** Whether a command runs another one somewhere else: `docker exec`, `kubectl exec`. */
export function entersContainer(name: string, args: Word[]): boolean {
  const verb = texts(args).find((arg) => !arg.startsWith("-"));
  return /^(docker|podman|kubectl|oc|nerdctl|lxc|machinectl|vagrant)$/.test(name) &&
    /^(run|exec|compose|debug|ssh|shell)$/.test(verb ?? "");
}
