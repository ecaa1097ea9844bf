/**
 * The form of a command: what is left of it when its arguments are taken out. By forms a command that
 * a model wrote is compared with the one that was wanted.
 *
 * @module
 */

import { type RawCommand, scanCommands } from "./safety/scan.ts";

/** A utility with its flags, nothing else. */
export interface Utility {
  /** Its name, without a path. */
  name: string;
  /** Its flags as they stand, each once; of `--name=value` the name. */
  flags: Set<string>;
}

/** Utilities that run the command in their arguments, and those of their flags that take a value. */
const WRAPPERS: Record<string, string> = {
  sudo: "-u -g -h -p",
  xargs: "-I -n -P -d -L -s -E -a",
  nohup: "",
  time: "-f -o",
  env: "-u -C -S",
  nice: "-n",
  watch: "-n",
  exec: "-a",
  command: "",
  timeout: "-s -k",
};

const isFlag = (word: string): boolean => /^-{1,2}[A-Za-z@?][^\s=]*/.test(word);

/**
 * The utilities of a command in their order: those of a pipeline or list, each followed by those that
 * stand in its arguments, after `-exec`, behind `sudo` and the like, and in substitutions.
 */
export function utilitiesOf(command: string): Utility[] {
  return scanCommands(command).flatMap(({ words }) => wordsUtilities(words));
}

function wordsUtilities(words: readonly string[]): Utility[] {
  if (words.length === 0) return [];
  const name = words[0].replace(/^\\/, "").replace(/^.*\//, "");
  const own: Utility = { name, flags: new Set() }, inner: Utility[] = [];
  const wrapped = Object.hasOwn(WRAPPERS, name) ? WRAPPERS[name].split(" ") : undefined;
  for (let i = 1; i < words.length; i++) {
    const word = words[i];
    inner.push(...substituted(word));
    if (isFlag(word)) own.flags.add(word.replace(/=.*$/s, ""));
    if (name === "find" && /^-(exec|execdir|ok|okdir)$/.test(word)) {
      const rest = words.slice(i + 1);
      const end = rest.findIndex((other) => /^(\\;|';'|";"|\+)$/.test(other));
      const nested = end < 0 ? rest : rest.slice(0, end);
      inner.push(...wordsUtilities(nested));
      i += nested.length;
    } else if (wrapped?.includes(word)) i++;
    else if (wrapped && !isFlag(word) && !/^(\w+=|[\d.]+[smhd]?$)/.test(word)) {
      return [own, ...inner, ...wordsUtilities(words.slice(i))];
    }
  }
  return [own, ...inner];
}

/** Utilities of the substitutions in a word. */
function substituted(word: string): Utility[] {
  if (word.startsWith("'")) return [];
  const found = /[$<>]\((?!\()(.*)\)|`(.*)`/s.exec(word);
  return found ? utilitiesOf(found[1] ?? found[2]) : [];
}

/**
 * A command with its strings, numbers, paths and patterns replaced by `_`; plain words, flags and
 * operators stay.
 */
export function templateOf(command: string): string {
  const word = (text: string): string => {
    const [, flag, value] = /^(-{1,2}[A-Za-z@?][\w-]*)(=.*)?$/s.exec(text) ?? [];
    if (flag) return value === undefined ? flag : `${flag}=_`;
    return /^[A-Za-z][A-Za-z-]*$|^[{}\\;+!()[\]]+$/.test(text) ? text : "_";
  };
  const one = ({ assignments, words, redirects, end }: RawCommand): string =>
    [
      ...assignments.map(() => "_=_"),
      ...words.map((text, i) => i === 0 ? text : word(text)),
      ...redirects.map(({ descriptor = "", operator }) => `${descriptor}${operator}_`),
      end.trim(),
    ].filter(Boolean).join(" ");
  return scanCommands(command).map(one).join(" ").trim();
}

/**
 * How near the utilities and flags of a command are to those wanted, from −1 to 1: the measure of the
 * NLC2CMD competition (Agarwal et al. 2021). A place with the right utility counts ½ (1 + F), F being
 * (2 · flags in both − flags in either) / the larger number of flags; any other place −1.
 */
export function commandScore(predicted: string, wanted: string): number {
  const [made, right] = [utilitiesOf(predicted), utilitiesOf(wanted)];
  const places = Math.max(made.length, right.length);
  if (places === 0) return 1;
  let sum = 0;
  for (let i = 0; i < places; i++) {
    if (made[i] === undefined || made[i].name !== right[i]?.name) sum--;
    else sum += (1 + flagScore(made[i].flags, right[i].flags)) / 2;
  }
  return sum / places;
}

function flagScore(a: Set<string>, b: Set<string>): number {
  const most = Math.max(a.size, b.size);
  return most === 0 ? 1 : (2 * a.intersection(b).size - a.union(b).size) / most;
}

/** The first command of a script: a line, or several joined by `\`, that is no comment. */
export function firstCommand(script: string): string {
  return /^(?:\\\n|[^\n])*/.exec(script.replace(/^(\s*(#[^\n]*)?\n)+/, ""))![0].trim();
}
