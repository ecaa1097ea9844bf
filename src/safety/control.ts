/**
 * Branches and loops: followed side by side and item by item, then merged.
 *
 * @module
 */

import type { Node } from "./parser.ts";
import { scanCommands } from "./scan.ts";
import type { Scope } from "./scope.ts";
import { flatten } from "./tree.ts";
import type { Setting } from "./walk.ts";
import { concat, expandFields, expandText, literal, type Word } from "./words.ts";

/** Items to follow one by one, in a loop and in one within another. */
const MAX_ITEMS = [32, 8, 2];

/** What branches and loops need of the walk. */
export interface Follower {
  /** The text that nodes are cut from. */
  readonly source: string;
  /** Follows one statement; says what it prints. */
  statement(node: Node, setting: Setting): Word;
  /** Follows the statements within a node. */
  sequence(node: Node, setting: Setting): Word;
  /** Whether there is no time for more than one round. */
  readonly hurried: boolean;
  /** How many loops are being followed. */
  loops: number;
  /** Reports what comes next at this node. */
  mark(node: Node): void;
}

/** `a && b`: what follows runs or does not. */
export function followList(node: Node, setting: Setting, walk: Follower): Word {
  const operator = node.children.find((child) => /^(&&|\|\|)$/.test(child.type))?.type;
  const parts = flatten(node, operator);
  const { scope } = setting;
  const first = walk.statement(parts[0], setting);
  const other = scope.clone();
  const rest = parts.slice(1).map((part) => walk.statement(part, { ...setting, scope: other }));
  const before = scope.clone();
  scope.merge([before, other]);
  return concat(first, ...rest);
}

/** Every branch on its own, then what they say together. */
export function followIf(node: Node, setting: Setting, walk: Follower): Word {
  const ways: Scope[] = [];
  const out: Word[] = [];
  let always = false;
  const branch = (parts: Node[]) => {
    let inside: Scope | undefined;
    for (const part of parts) {
      if (part.type === "then") {
        inside = setting.scope.clone();
        ways.push(inside);
      } else if (part.type === "elif_clause") {
        branch(part.children);
      } else if (part.type === "else_clause") {
        always = true;
        const scope = setting.scope.clone();
        ways.push(scope);
        out.push(walk.sequence(part, { ...setting, scope }));
      } else if (part.isNamed) {
        out.push(walk.statement(part, { ...setting, scope: inside ?? setting.scope }));
      }
    }
  };
  branch(node.children);
  if (!always) ways.unshift(setting.scope.clone());
  setting.scope.merge(ways);
  return concat(...out);
}

/** A loop item by item, where the items are known. */
export function followFor(node: Node, setting: Setting, walk: Follower): Word {
  const { scope } = setting;
  const name = node.childForFieldName("variable")?.text ?? "";
  const values = node.childrenForFieldName("value");
  const body = node.childForFieldName("body");
  walk.mark(node);
  let items = scope.variable("@");
  if (values.length > 0) {
    const list = walk.source.slice(values[0].startIndex, values.at(-1)!.endIndex);
    items = scope.variants(list).flatMap((variant) =>
      (scanCommands(list)[0]?.words ?? []).flatMap((word) => expandFields(word, variant))
    );
  }
  const out: Word[] = [];
  const before = scope.clone();
  const run = () => {
    if (body) out.push(walk.statement(body, setting));
    scope.ended = false;
  };
  const most = walk.hurried ? 0 : MAX_ITEMS[walk.loops] ?? 1;
  walk.loops++;
  for (const item of items.slice(0, most)) {
    scope.assign(name, item);
    run();
  }
  if (items.length > most || items.length === 0) {
    scope.setOptions(name, items.slice(most).map((item) => [item]));
    run();
  }
  walk.loops--;
  const certain = items.some((item) => literal(item) !== undefined);
  if (!certain) scope.merge([before, scope.clone()]);
  return concat(...out);
}

/** `while`, `until` and `for ((…))`. */
export function followLoop(node: Node, setting: Setting, walk: Follower): Word {
  const { scope } = setting;
  const body = node.childForFieldName("body");
  const out: Word[] = [];
  if (node.type === "while_statement") {
    for (const condition of node.childrenForFieldName("condition")) {
      if (condition.isNamed) out.push(walk.statement(condition, setting));
    }
  } else if (body) {
    expandText(walk.source.slice(node.startIndex, body.startIndex), scope);
  }
  const inside = scope.clone();
  // Twice, for what one round leaves to the next.
  const rounds = walk.loops > 0 || walk.hurried ? 1 : 2;
  walk.loops++;
  for (let i = 0; i < rounds && body; i++) {
    out.push(walk.statement(body, { ...setting, scope: inside }));
    inside.ended = false;
  }
  walk.loops--;
  scope.merge([scope.clone(), inside]);
  return concat(...out);
}

/** Every item on its own, then what they say together. */
export function followCase(node: Node, setting: Setting, walk: Follower): Word {
  const { scope } = setting;
  const ways: Scope[] = [];
  const out: Word[] = [];
  let always = false;
  const value = node.childForFieldName("value");
  if (value) {
    expandText(value.text, scope);
    scope.guardAll(value.text);
  }
  for (const item of node.namedChildren.filter((child) => child.type === "case_item")) {
    const way = scope.clone();
    ways.push(way);
    const patterns = item.childrenForFieldName("value");
    if (patterns.some((pattern) => pattern.text === "*")) always = true;
    const statements = item.namedChildren.filter((child) =>
      !patterns.some((pattern) => pattern.id === child.id)
    );
    for (const statement of statements) {
      out.push(walk.statement(statement, { ...setting, scope: way }));
    }
  }
  if (!always) ways.unshift(scope.clone());
  scope.merge(ways);
  return concat(...out);
}
