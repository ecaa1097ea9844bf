/**
 * Shapes in the grammar's tree that are not quite the shell's.
 *
 * @module
 */

import type { Node } from "./parser.ts";

/** One command of a pipeline, and the nodes around it that hold redirections, innermost first. */
export interface Stage {
  body: Node | null;
  around: Node[];
}

/** The stages of a statement: the grammar puts the last one's redirections around all of them. */
export function stagesOf(node: Node): Stage[] {
  if (node.type === "pipeline") {
    return node.namedChildren.filter((child) => child.type !== "comment").flatMap(stagesOf);
  }
  if (node.type !== "redirected_statement") return [{ body: node, around: [] }];
  const body = node.childForFieldName("body");
  const stages = body ? stagesOf(body) : [{ body, around: [] }];
  const last = stages.at(-1)!;
  return [...stages.slice(0, -1), { body: last.body, around: [...last.around, node] }];
}

/** The pipeline that a command stands in, or the command. */
export function pipelineOf(node: Node): Node {
  const parent = node.parent;
  return parent && /^(pipeline|redirected_statement)$/.test(parent.type)
    ? pipelineOf(parent)
    : node;
}

/** The operands of `a && b && c`, which the grammar nests. */
export function flatten(node: Node, operator: string | undefined): Node[] {
  return node.namedChildren.filter((child) => child.type !== "comment").flatMap((child) => {
    const same = child.type === "list" &&
      child.children.find((part) => /^(&&|\|\|)$/.test(part.type))?.type === operator;
    return same ? flatten(child, operator) : [child];
  });
}

/** A function that starts itself at least twice, piped or in the background. */
export function isBomb(definition: Node, name: string): boolean {
  const calls = definition.descendantsOfType("command")
    .filter((command) => command.childForFieldName("name")?.text === name);
  const background = definition.descendantsOfType("&").length > 0;
  const piped = calls.some((call) => call.parent?.type === "pipeline");
  return calls.length >= 2 && (background || piped);
}

/** A command on one line, cut off at `length` characters. */
export function shorten(text: string, length: number): string {
  const line = text.trim().replace(/\s*\\?\n\s*/g, " ").replace(/^\|&?\s*/, "");
  return line.length > length ? `${line.slice(0, length - 1)}…` : line;
}
