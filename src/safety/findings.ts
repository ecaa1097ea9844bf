/**
 * What the walk has found, and where it stands: findings bear the line and the text of the command
 * in the script, also for code that the script only holds in a word.
 *
 * @module
 */

import type { Level } from "./command.ts";
import type { Node } from "./parser.ts";
import type { Place, Site } from "./scope.ts";
import { pipelineOf, shorten } from "./tree.ts";
import type { Part, Word } from "./words.ts";

/** A finding on its way; the same as in the verdict. */
export interface Found {
  level: Level;
  line: number;
  reason: string;
  text: string;
}

const MAX_TEXT = 120;

/** Collects findings at the place that the walk is at. */
export class Findings {
  readonly all: Found[] = [];
  /** The text that is being walked through. */
  place: Place = { text: "", firstLine: 1 };
  #site: Site = { line: 1, text: "" };
  /** First lines of here-documents, which may turn out to be code. */
  readonly #lines = new WeakMap<Word, number>();
  /** What stands in for an unknown part of code, and how the script writes it. */
  readonly #standIns = new Map<string, string>();

  /** The command that findings are reported at. */
  get site(): Site {
    return this.place.site ?? this.#site;
  }

  /** Notes a finding; once for each line and reason. */
  report(level: Level, reason: string): void {
    const { line, text } = this.site;
    if (this.all.some((found) => found.line === line && found.reason === reason)) return;
    this.all.push({ level, line, reason, text });
  }

  /** The text of a node, with the brace in front that the grammar took for a group's. */
  source(node: Node): string {
    const { text } = this.place;
    let start = node.startIndex;
    while (text[start - 1] === "{" && !/\s/.test(text[start])) start--;
    return text.slice(start, node.endIndex);
  }

  /** Reports what comes next at this node. */
  mark(node: Node): void {
    const text = this.source(pipelineOf(node))
      .replace(/\$\{(__unknown_\d+)\}/g, (all, name) => this.#standIns.get(name) ?? all);
    this.#site = {
      line: this.place.firstLine + node.startPosition.row,
      text: shorten(text, MAX_TEXT),
    };
  }

  /** Reports at a node while `run` runs. */
  marked<T>(node: Node, run: () => T): T {
    const before = this.#site;
    this.mark(node);
    const result = run();
    this.#site = before;
    return result;
  }

  /** Walks through another text while `run` runs; what code in a word does stays at the word. */
  within<T>(place: Place, run: () => T): T {
    const before = this.place, site = this.#site;
    this.place = before.site && !place.site ? { ...place, site: before.site } : place;
    const result = run();
    this.place = before;
    this.#site = site;
    return result;
  }

  /** Comes back later to where the walk is now. */
  later(run: () => void): () => void {
    const place = this.place, site = this.#site;
    return () => {
      this.#site = site;
      this.within(place, run);
    };
  }

  /** Remembers where a here-document's text begins, in case it is code. */
  remember(body: Word, row: number): void {
    if (!this.place.site) this.#lines.set(body, this.place.firstLine + row);
  }

  /**
   * The place of code that is held in a word, where findings are reported at the command that holds
   * it, or at their own lines if it is a here-document.
   * @param bind Binds a variable that stands for an unknown part.
   */
  placeOf(code: Word, bind: (name: string, part: Part) => void): Place {
    const text = code.map((part) => {
      if (typeof part === "string") return part;
      const name = `__unknown_${this.#standIns.size}`;
      this.#standIns.set(name, part.source);
      bind(name, part);
      return `\${${name}}`;
    }).join("");
    const firstLine = this.#lines.get(code);
    return firstLine ? { text, firstLine } : { text, firstLine: 1, site: this.site };
  }
}
