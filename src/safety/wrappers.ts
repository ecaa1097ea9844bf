/**
 * Commands that run the command in their words, and shells that run code they are given.
 *
 * @module
 */

import { texts } from "./command.ts";
import { filledIn } from "./expansions.ts";
import { isKnown } from "./rules.ts";
import { findTargets } from "./rules/files.ts";
import { isShell } from "./shells.ts";
import { concat, join, literal, unknown, type Word } from "./words.ts";

interface Wrapper {
  /** Short options that take the next word. */
  values?: string;
  /** Long options that take the next word. */
  long?: string[];
  /** Operands before the command. */
  skip?: number;
  /** `NAME=value` may stand before the command. */
  assigns?: boolean;
  /** Options with which nothing is run. */
  query?: RegExp;
}

const WRAPPERS: Record<string, Wrapper> = {
  sudo: {
    values: "ugpChrtUDRT",
    long: ["--user", "--group", "--host", "--chdir", "--prompt", "--chroot"],
    assigns: true,
    query: /^-[lvkK]$|^--(list|validate|version|help)$/,
  },
  doas: { values: "uCa" },
  pkexec: { long: ["--user"] },
  env: { values: "uCS", long: ["--unset", "--chdir"], assigns: true },
  command: { query: /^-[vV]$/ },
  builtin: {},
  exec: { values: "a" },
  nohup: {},
  setsid: {},
  time: { values: "fo" },
  nice: { values: "n", long: ["--adjustment"] },
  ionice: { values: "cnpPu", long: ["--class", "--classdata"] },
  chrt: { values: "TPD", skip: 1 },
  taskset: { skip: 1 },
  timeout: { values: "sk", long: ["--signal", "--kill-after"], skip: 1 },
  stdbuf: { values: "ioe", long: ["--input", "--output", "--error"] },
  unbuffer: {},
  busybox: {},
  toybox: {},
  caffeinate: { values: "tw" },
  chroot: { skip: 1, long: ["--userspec", "--groups"] },
  strace: { values: "eopsPSuEabOI" },
  ltrace: { values: "eopsu" },
  unshare: {},
  nsenter: { values: "tSG", long: ["--target"] },
  "systemd-run": { values: "pMuHt", long: ["--unit", "--property", "--slice", "--uid", "--gid"] },
  "systemd-inhibit": {},
  firejail: {},
  fakeroot: {},
  proxychains: {},
  proxychains4: {},
  torsocks: {},
  torify: {},
  setpriv: {},
  cgexec: { values: "g" },
  "dumb-init": {},
  tini: { values: "e" },
  chpst: { values: "uUbemdnlpotc/" },
  gosu: { skip: 1 },
  "su-exec": { skip: 1 },
  chronic: {},
  ts: {},
  eatmydata: {},
  numactl: { values: "Nmpil", long: ["--interleave", "--cpunodebind", "--membind"] },
  coproc: {},
};

/**
 * The words of the command that a wrapper runs; `undefined` if the command wraps nothing.
 * @param split Cuts a word of `env -S` into words.
 */
export function unwrap(
  name: string,
  args: Word[],
  split: (word: Word) => Word[],
): Word[] | undefined {
  if (!Object.hasOwn(WRAPPERS, name)) return undefined;
  const wrapper = WRAPPERS[name];
  let i = 0;
  for (; i < args.length; i++) {
    const text = literal(args[i]);
    if (text === "--") {
      i++;
      break;
    }
    if (text !== undefined && wrapper.query?.test(text)) return undefined;
    if (text === undefined || !text.startsWith("-") || text === "-") {
      const assignment = wrapper.assigns && /^[A-Za-z_]\w*=/.test(firstText(args[i]));
      if (text === "-" || assignment) continue;
      break;
    }
    if (name === "env" && /^(-[a-zA-Z]*S|--split-string=)/.test(text)) {
      const inline = text.replace(/^(-[a-zA-Z]*S|--split-string=)/, "");
      const code = inline === "" ? args[++i] ?? [] : [inline];
      return [...split(code), ...args.slice(i + 1)];
    }
    const next = wrapper.long?.includes(text) ||
      (/^-[a-zA-Z]+$/.test(text) && wrapper.values?.includes(text.at(-1)!));
    if (next) i++;
  }
  return args.slice(i + (wrapper.skip ?? 0));
}

function firstText(word: Word): string {
  return typeof word[0] === "string" ? word[0] : "";
}

/** The assignments in front of the command that `env` or `sudo` runs. */
export function leadingAssignments(args: Word[]): [name: string, value: Word][] {
  return args.flatMap((arg): [string, Word][] => {
    const match = /^([A-Za-z_]\w*)=([^]*)$/.exec(firstText(arg));
    return match ? [[match[1], match[2] ? [match[2], ...arg.slice(1)] : arg.slice(1)]] : [];
  });
}

/** The command that `xargs` runs, with what comes in as its words. */
export function unwrapXargs(args: Word[], stdin: Word | undefined): Word[] {
  const wrapper: Wrapper = {
    values: "IEnLPsda",
    long: ["--max-args", "--max-procs", "--delimiter", "--arg-file", "--max-lines"],
  };
  let i = 0, replace = "";
  for (; i < args.length && /^-/.test(literal(args[i]) ?? ""); i++) {
    const text = literal(args[i])!;
    const inline = /^(?:-[Ii]|--replace=?)(.*)$/.exec(text);
    if (inline) {
      replace = inline[1] || (text === "-I" ? literal(args[++i]) ?? "{}" : "{}");
    } else if (
      wrapper.long!.includes(text) || (/^-\w$/.test(text) && wrapper.values!.includes(text[1]))
    ) {
      i++;
    }
  }
  const command = args.slice(i).length > 0 ? args.slice(i) : [["echo"]];
  const known = literal(stdin);
  const items = known === undefined
    ? [item(stdin ?? [])]
    : known.split(/[\s\0]+/).filter((text) => text !== "").map((text) => [text]);
  if (!replace) return [...command, ...items.slice(0, 64)];
  return command.flatMap((word) => {
    const text = literal(word);
    if (!text?.includes(replace)) return [word];
    const value = items.length === 1 ? items[0] : join(items);
    return [[...text.split(replace).flatMap((piece, j) => j > 0 ? [...value, piece] : [piece])]];
  });
}

/** What `xargs` makes of input that is not known. */
function item(stdin: Word): Word {
  const trimmed = stdin.map((part) => typeof part === "string" ? part.trim() : part);
  const only = stdin.length === 1 && typeof stdin[0] === "object" ? stdin[0] : undefined;
  if (only) return [{ ...only, empty: "never" }];
  return stdin.length === 0 ? unknown("{}", "never") : concat(trimmed);
}

/** The code that `parallel` runs, for what comes in or what follows `:::`. */
export function unwrapParallel(args: Word[], stdin: Word | undefined): Word {
  const colons = texts(args).findIndex((arg) => /^:::/.test(arg));
  const command = colons < 0 ? args : args.slice(0, colons);
  const items = colons < 0 ? stdin ?? [] : join(args.slice(colons + 1), "\n");
  return command.length > 0 ? join(unwrapXargs(command, items)) : items;
}

/** The commands that `find` runs, with what it finds in the place of `{}`. */
export function commandsOfFind(name: string, args: Word[]): Word[][] {
  if (name !== "find" && name !== "fd") return [];
  const words = texts(args);
  const { paths, narrowed } = findTargets(args);
  const some = unknown("{}", "never");
  const found = narrowed ? [some] : paths.map((path) => concat(filledIn(path, "never"), ["/*"]));
  return words.flatMap((word, i) => {
    if (!/^(-(exec|execdir|ok|okdir|x|X)|--exec|--exec-batch)$/.test(word)) return [];
    const rest = args.slice(i + 1);
    const end = words.slice(i + 1).findIndex((text) => /^(;|\+)$/.test(text));
    return [
      rest.slice(0, end < 0 ? undefined : end).flatMap((arg) => {
        const text = literal(arg) ?? "";
        return text === "{}" ? found : text.includes("{}") ? [some] : [arg];
      }),
    ];
  });
}

/**
 * The command behind a program whose options are too many to list, such as `docker run`: it begins
 * at the first word that a rule or a shell answers to.
 */
export function commandWithin(args: Word[]): Word[] | undefined {
  const start = args.findIndex((arg, i) => {
    const name = (literal(arg) ?? "").replace(/^.*\//, "");
    return i > 0 &&
      (isShell(name) ||
        (isKnown(name) && !/^(install|find|history|k|docker|git|ip|init)$/.test(name)) ||
        name === "find");
  });
  return start < 0 ? undefined : args.slice(start);
}
