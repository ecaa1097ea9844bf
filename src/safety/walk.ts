/**
 * The walk through a script's tree: which commands it may run, in which state, and what they print.
 * Branches are followed side by side, loops over known items item by item, functions where they
 * are called. Nothing is run.
 *
 * @module
 */

import type { Level } from "./command.ts";
import { Calls } from "./calls.ts";
import {
  followCase,
  type Follower,
  followFor,
  followIf,
  followList,
  followLoop,
} from "./control.ts";
import { Executor } from "./executor.ts";
import type { Node, Tree } from "./parser.ts";
import { scanCommands } from "./scan.ts";
import { Findings, type Found } from "./findings.ts";
import { type Place, Scope } from "./scope.ts";
import { isBomb, shorten, type Stage, stagesOf } from "./tree.ts";
import { concat, expandText, unknown, type Word } from "./words.ts";

/** What a statement is run with. */
export interface Setting {
  scope: Scope;
  stdin?: Word;
  background?: boolean;
}

const MAX_DEPTH = 24;
const MAX_RECURSION = 2;
const MAX_COMMANDS = 4000;

/** Walks through one script. Holds its trees until {@linkcode Walk.close}. */
export class Walk implements Follower {
  readonly #findings = new Findings();
  readonly #parse: (text: string) => Tree | null;
  readonly #trees: Tree[] = [];
  readonly #executor: Executor = new Executor(this);
  readonly #called = new Set<number>();
  readonly #calls = new Calls();
  /** Functions that are being called, and how many times over. */
  readonly #active = new Map<string, number>();
  #deferred: (() => void)[] = [];
  #depth = 0;
  #commands = 0;
  #functions = 0;
  #hurried = false;

  /** @param parse Parses bash. */
  constructor(parse: (text: string) => Tree | null) {
    this.#parse = parse;
  }

  /** How many loops are being followed. */
  loops = 0;

  /** The text that nodes are cut from. */
  get source(): string {
    return this.#findings.place.text;
  }

  /** Walks through a whole script. */
  script(text: string): void {
    const scope = new Scope((code, within) => this.#substitution(code, within));
    if (/^#!.*sh\s+-\w*u/.test(text)) scope.nounset = true;
    this.#text({ text, firstLine: 1 }, { scope });
    while (this.#deferred.length > 0) {
      const deferred = this.#deferred;
      this.#deferred = [];
      for (const run of deferred) run();
    }
  }

  /** Frees the trees. */
  close(): void {
    for (const tree of this.#trees) tree.delete();
  }

  /** What has been found so far. */
  get found(): Found[] {
    return this.#findings.all;
  }

  /** Notes a finding at the command that is being walked through. */
  report(level: Level, reason: string): void {
    this.#findings.report(level, reason);
  }

  /** Reports what comes next at this node. */
  mark(node: Node): void {
    this.#findings.mark(node);
  }

  /** Puts something off to the end of the script, where a trap runs. */
  defer(run: () => void): void {
    this.#deferred.push(this.#findings.later(run));
  }

  /** Walks through code that the script holds in a word; says what it prints. */
  code(word: Word, setting: Setting): Word {
    const place = this.#findings.placeOf(word, (name, part) => setting.scope.assign(name, [part]));
    return this.#text(place, setting);
  }

  /** Whether the script has proved too long for all its ways to be followed. */
  get hurried(): boolean {
    if (this.#commands > MAX_COMMANDS && !this.#hurried) {
      this.#hurried = true;
      this.report("caution", "is too long to follow in all its ways");
    }
    return this.#hurried;
  }

  /**
   * Calls a function of the script; `undefined` if it is being called already. A call that was
   * followed before from the same state does the same again.
   */
  call(name: string, args: Word[], setting: Setting): Word | undefined {
    const { scope } = setting;
    const body = scope.functions.get(name);
    const active = this.#active.get(name) ?? 0;
    if (!body || active >= MAX_RECURSION || this.#depth >= MAX_DEPTH || this.hurried) {
      return undefined;
    }
    const recorded = this.#calls.begin(body, args, setting);
    if (recorded.printed) return recorded.printed;
    this.#called.add(body.body.id);
    this.#active.set(name, active + 1);
    this.#depth++;
    const printed = scope.withPositional(
      args,
      () => this.#findings.within(body.place, () => this.statement(body.body, setting)),
    );
    this.#depth--;
    this.#active.set(name, active);
    scope.ended = false;
    recorded.end(printed);
    return printed;
  }

  #substitution(code: string, scope: Scope): Word {
    const { line } = this.#findings.site;
    const place = { text: code, firstLine: line, site: this.#findings.place.site };
    const printed = this.#text(place, { scope: scope.clone() });
    return trimEnd(
      printed.map((part) =>
        typeof part === "string" || part.origin || part.content
          ? part
          : { ...part, source: `$(${shorten(code, 40)})` }
      ),
    );
  }

  #text(place: Place, setting: Setting): Word {
    if (this.#depth >= MAX_DEPTH) {
      this.report("caution", "is too deep to follow");
      return unknown("…", "may");
    }
    const tree = this.#parse(place.text);
    if (!tree) return unknown("…", "may");
    const functions = this.#functions;
    this.#depth++;
    const printed = this.#findings.within(place, () => this.statement(tree.rootNode, setting));
    this.#depth--;
    // Functions are parts of the tree that defines them.
    if (this.#functions > functions) this.#trees.push(tree);
    else tree.delete();
    return printed;
  }

  /** Follows one statement; says what it prints. */
  statement(node: Node, setting: Setting): Word {
    switch (node.type) {
      case "comment":
        return [];
      case "command":
      case "variable_assignment":
      case "variable_assignments":
      case "declaration_command":
      case "unset_command":
        return this.#simple(node, this.#findings.source(node), setting);
      case "test_command":
        return this.#test(node, setting);
      case "redirected_statement":
      case "pipeline":
        return this.#pipeline(stagesOf(node), setting);
      case "list":
        return followList(node, setting, this);
      case "subshell":
        return this.sequence(node, { ...setting, scope: setting.scope.clone() });
      case "if_statement":
        return followIf(node, setting, this);
      case "for_statement":
        return followFor(node, setting, this);
      case "while_statement":
      case "c_style_for_statement":
        return followLoop(node, setting, this);
      case "case_statement":
        return followCase(node, setting, this);
      case "function_definition":
        return this.#function(node, setting);
      case "compound_statement":
        return this.#findings.source(node).startsWith("((")
          ? this.#test(node, setting)
          : this.sequence(node, setting);
      case "ERROR":
        return this.#broken(node, setting);
      default:
        return this.sequence(node, setting);
    }
  }

  /** Follows the statements within a node. */
  sequence(node: Node, setting: Setting): Word {
    const out: Word[] = [];
    const children = node.children;
    children.forEach((child, i) => {
      if (!child.isNamed) return;
      const background = children[i + 1]?.type === "&";
      out.push(this.statement(child, background ? { ...setting, background } : setting));
    });
    return concat(...out);
  }

  #simple(node: Node, text: string, setting: Setting): Word {
    const variants = setting.scope.variants(text, this.hurried ? 1 : undefined);
    const out = this.#findings.marked(
      node,
      () =>
        scanCommands(text).map((raw) =>
          variants.map((scope) => {
            this.#commands++;
            return this.#executor.run(raw, { ...setting, scope });
          }).at(-1)!
        ),
    );
    if (variants.length > 1) setting.scope.merge(variants);
    return out.length === 1 ? out[0] : concat(...out);
  }

  #test(node: Node, { scope }: Setting): Word {
    this.mark(node);
    const text = this.#findings.source(node);
    expandText(text, scope);
    scope.guardAll(text);
    return [];
  }

  /**
   * Runs a statement with the redirections around it.
   * @param around The nodes that hold the redirections, the innermost first.
   */
  #redirected(body: Node | null, around: Node[], setting: Setting): Word {
    const heredocs = around.flatMap((node) => node.children)
      .filter((child) => child.type === "heredoc_redirect");
    const start = (body ?? around[0]).startIndex;
    const end = heredocs[0]?.startIndex ?? around.at(-1)!.endIndex;
    const text = this.source;
    let { stdin } = setting;
    for (const heredoc of heredocs) stdin = this.#heredoc(heredoc, setting.scope);
    // Redirections and words may stand behind a here-document's operator too.
    const more = heredocs.flatMap((heredoc) => heredoc.children)
      .filter((child) => child.type === "file_redirect" || child.isError)
      .map((child) => text.slice(child.startIndex, child.endIndex));
    let printed: Word;
    if (!body || body.type === "command") {
      const source = [text.slice(start, end), ...more].join(" ");
      printed = this.#simple(body ?? around[0], source, { ...setting, stdin });
    } else {
      this.mark(body);
      const redirects = [text.slice(body.endIndex, end), ...more].join(" ");
      printed = this.#executor.redirect(
        scanCommands(redirects)[0]?.redirects ?? [],
        { ...setting, stdin },
        (input) => this.statement(body, { ...setting, stdin: input }),
      );
    }
    const behind = heredocs.map((heredoc) => this.#behind(heredoc, printed, setting));
    return behind.length > 0 ? concat(printed, ...behind) : printed;
  }

  #heredoc(heredoc: Node, scope: Scope): Word {
    const body = heredoc.children.find((child) => child.type === "heredoc_body");
    if (!body) return [];
    const start = heredoc.children.find((child) => child.type === "heredoc_start")?.text ?? "";
    const strip = heredoc.children[0].type === "<<-";
    const text = strip ? body.text.replace(/^\t+/gm, "") : body.text;
    const word = /['"\\]/.test(start) ? concat([text]) : expandText(text, scope);
    this.#findings.remember(word, body.startPosition.row);
    return word;
  }

  /** What stands behind a here-document's operator on its line: `<<EOF | sh`, `<<EOF || exit`. */
  #behind(heredoc: Node, printed: Word, setting: Setting): Word {
    const out: Word[] = [];
    for (const child of heredoc.namedChildren) {
      if (child.type === "pipeline") {
        out.push(this.#pipeline(stagesOf(child), { ...setting, stdin: printed }));
      } else if (!/^(heredoc_\w+|file_redirect|herestring_redirect|ERROR)$/.test(child.type)) {
        out.push(this.statement(child, setting));
      }
    }
    return concat(...out);
  }

  #pipeline(stages: Stage[], setting: Setting): Word {
    const run = ({ body, around }: Stage, inner: Setting) =>
      around.length > 0
        ? this.#redirected(body, around, inner)
        : body
        ? this.statement(body, inner)
        : [];
    if (stages.length === 1) return run(stages[0], setting);
    let { stdin } = setting;
    const names = stages.map((): string[] => []);
    stages.forEach((stage, i) => {
      this.#executor.listen(names[i], () => {
        stdin = run(stage, { ...setting, stdin, scope: setting.scope.clone() });
      });
    });
    this.#executor.pipeline(names);
    return stdin ?? [];
  }

  #function(node: Node, { scope }: Setting): Word {
    const name = node.childForFieldName("name")?.text ?? "";
    const body = node.childForFieldName("body");
    if (!body) return [];
    if (isBomb(node, name)) {
      this.mark(node);
      this.report("destructive", "calls itself without end: a fork bomb");
      return [];
    }
    this.#functions++;
    scope.functions.set(name, { body, place: this.#findings.place });
    this.defer(() => {
      if (this.#called.has(body.id)) return;
      this.statement(body, { scope: scope.clone() });
    });
    return [];
  }

  /** What the grammar could not make out: looked at line by line. */
  #broken(node: Node, setting: Setting): Word {
    this.mark(node);
    this.report("caution", "could not be parsed");
    const text = this.#findings.source(node);
    const lines = text.split("\n");
    if (lines.length === 1 || this.#depth + 2 >= MAX_DEPTH) {
      return concat(this.#simple(node, text, setting), this.sequence(node, setting));
    }
    const { firstLine, site } = this.#findings.place;
    return concat(...lines.map((line, i) => {
      if (line.trim() === "") return [];
      const place = { text: line, firstLine: firstLine + node.startPosition.row + i, site };
      return this.#text(place, setting);
    }));
  }
}

function trimEnd(word: Word): Word {
  const last = word.at(-1);
  if (typeof last !== "string") return word;
  return concat(word.slice(0, -1), [last.replace(/\n+$/, "")]);
}
