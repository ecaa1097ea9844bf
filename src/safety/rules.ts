/**
 * The table of rules: the name of a command and what its words may do.
 *
 * @module
 */

import type { Command, Report } from "./command.ts";
import { FILE_RULES, isFormatter, redirected } from "./rules/files.ts";
import { PROGRAM_RULES } from "./rules/programs.ts";
import { SYSTEM_RULES } from "./rules/system.ts";

const RULES = { ...FILE_RULES, ...SYSTEM_RULES, ...PROGRAM_RULES };

/** Whether there is a rule for commands of this name. */
export function isKnown(name: string): boolean {
  return Object.hasOwn(RULES, name) || isFormatter(name);
}

/** The names of all commands that there are rules for. */
export function ruleNames(): string[] {
  return Object.keys(RULES);
}

/** What the rules have to say about one command and its redirections. */
export function check(command: Command): Report[] {
  const name = isFormatter(command.name) ? "mkfs" : command.name;
  const reports = Object.hasOwn(RULES, name) ? RULES[name](command) : [];
  return [...reports, ...redirected(command.redirects)];
}
