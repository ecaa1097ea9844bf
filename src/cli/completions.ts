/**
 * `bashling completions`: scripts for shells, made from the help texts.
 *
 * @module
 */

import { COMMANDS } from "./commands.ts";
import { COMMON_FLAGS, type FlagInfo, Flags, flagsOf } from "./flags.ts";
import { writeOut } from "./output.ts";
import { UsageError } from "./usage.ts";

/** Text of `bashling completions --help`. */
export const COMPLETIONS_HELP = `Print shell completions.

Usage: bashling completions bash|zsh|fish

  bash: source <(bashling completions bash)
  zsh:  source <(bashling completions zsh)
  fish: bashling completions fish | source

${COMMON_FLAGS}`;

/** A subcommand as completions know it. */
interface Known {
  name: string;
  summary: string;
  flags: FlagInfo[];
}

/** Flags whose value is a file or folder. */
const PATHS = /^(FILE|DIR|PATH)/;

const SHELLS: Record<string, (commands: Known[]) => string> = {
  bash: bashCompletions,
  zsh: zshCompletions,
  fish: fishCompletions,
};

/** Runs `bashling completions`. */
export async function completions(args: string[]): Promise<number> {
  const flags = new Flags("completions", COMPLETIONS_HELP, args);
  const [shell, ...more] = flags.positional;
  if (more.length > 0 || !Object.hasOwn(SHELLS, shell ?? "")) {
    throw new UsageError(
      `Completions are for one of ${Object.keys(SHELLS).join(", ")}: give one of them.`,
    );
  }
  const entries = Object.entries(COMMANDS).map(
    async ([name, { summary, load }]): Promise<Known> => {
      return { name, summary, flags: flagsOf((await load()).help) };
    },
  );
  writeOut(SHELLS[shell](await Promise.all(entries)));
  return 0;
}

const long = ({ name }: FlagInfo): string => `--${name}`;

/** Flags whose value is a path, of all subcommands. */
const pathFlags = (commands: Known[]): string[] => [
  ...new Set(
    commands.flatMap(({ flags }) => flags.filter(({ value }) => PATHS.test(value ?? "")).map(long)),
  ),
];

function bashCompletions(commands: Known[]): string {
  const cases = commands.map(({ name, flags }) =>
    `    ${name}) words="${flags.map(long).join(" ")}" ;;`
  );
  return `_bashling() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD - 1]}" words=""
  if ((COMP_CWORD == 1)); then
    words="${commands.map(({ name }) => name).join(" ")} --help --version"
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
    return
  fi
  case "$previous" in
    ${pathFlags(commands).join(" | ")})
      mapfile -t COMPREPLY < <(compgen -f -- "$current")
      return
      ;;
  esac
  case "\${COMP_WORDS[1]}" in
${cases.join("\n")}
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}
complete -o default -F _bashling bashling
`;
}

/** Text inside the single quotes of a shell. */
const quoted = (text: string): string => text.replace(/'/g, `'\\''`);

function zshCompletions(commands: Known[]): string {
  const bracketed = (text: string) => quoted(text).replace(/[[\]:]/g, "\\$&");
  const flag = ({ name, value, repeatable, description }: FlagInfo) => {
    const action = value === undefined ? "" : `:${value}:${PATHS.test(value) ? "_files" : ""}`;
    return `'${repeatable ? "*" : ""}--${name}[${bracketed(description)}]${
      value === undefined ? "" : action.replace(/[[\]]/g, "\\$&")
    }'`;
  };
  const cases = commands.map(({ name, flags }) =>
    `    ${name}) _arguments ${flags.map(flag).join(" ")} '*:argument:_files' ;;`
  );
  return `#compdef bashling
_bashling() {
  if ((CURRENT == 2)); then
    local -a names=(${
    commands.map(({ name, summary }) => `'${name}:${quoted(summary)}'`).join(" ")
  })
    _describe subcommand names
    return
  fi
  local name=$words[2]
  shift words
  ((CURRENT--))
  case $name in
${cases.join("\n")}
  esac
}
compdef _bashling bashling
`;
}

function fishCompletions(commands: Known[]): string {
  const lines = ["complete -c bashling -f"];
  for (const { name, summary, flags } of commands) {
    lines.push(
      `complete -c bashling -n __fish_use_subcommand -a ${name} -d '${quoted(summary)}'`,
    );
    for (const { name: flag, value, description } of flags) {
      const takes = value === undefined ? "" : PATHS.test(value) ? " -r -F" : " -x";
      lines.push(
        `complete -c bashling -n '__fish_seen_subcommand_from ${name}' -l ${flag}${takes} ` +
          `-d '${quoted(description)}'`,
      );
    }
  }
  return lines.join("\n") + "\n";
}
