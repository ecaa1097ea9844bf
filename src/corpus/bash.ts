/**
 * Bash corpora: folders of scripts, and JSON lines of scripts or of English–command pairs, each
 * document brought into the prompt form `#!/bin/bash\n# <English>\n…`.
 *
 * @module
 */

import { readLines, readText } from "./files.ts";
import { promptText, SHEBANG } from "./prompt.ts";

/** The scripts that come with this module, one folder per family. */
export const OWN_SCRIPTS: URL = new URL("./bash/", import.meta.url);

/** A paragraph of comments that has one of these words is a licence or a notice. */
const NOTICE =
  /copyright|\(c\)|licen[sc]ed?\b|spdx|rights reserved|warrant(y|ies)\b|permission is hereby|redistribut/i;

/** Comment lines about the file, not about its task. */
const METADATA =
  /^(vim?:|-\*-|shellcheck |https?:\S+$|if you're using my code|\$(id|date|revision)\b)|^[@\\]?(authors?|date|version|created|modified|updated|maintainers?|contact|e-?mail|website|home ?page|file ?name|file|script|script ?name|name|source|repo(sitory)?|since|credits?)\b[^:]{0,12}:/i;

/** Words before a description. */
const LABEL =
  /^[@\\]?(short[- ])?(description|purpose|summary|synopsis|brief|about|desc|script|name|\w+:summary)\s*[:=]\s*|^this (bash |shell )?script (will |(is|can be) used to |is to |is for )?/i;

/** Openings of remarks that do not name the task of a script. */
const REMARK =
  /^(usage|examples?|e\.g|note|todo|fixme|options?|see|if|when|while|for when|and|or|but|so|we|i|you|your|it|that|these|those|this (is|file)|there|without|since|because|only|also|please|do not|don't|make sure|warning|important|passed|tested|required?s?|the (original|following|above)|(based|adapted|borrowed|copied|generated|inspired|modified|stolen|taken|written|invoked|called) |set -|command -|source the|shell ?check|exit|default|is |must |should |assumes?|optional|init|variables|begin|docs|import test|global|config|from|run common)\b/i;

/** Descriptions that scripts keep in a variable. */
const VARIABLE =
  /^\s*(?:usage_description=|SCRIPT_DESCRIPTION=|declare desc=)"\s*([A-Za-z][^"\n]+)/gm;

/** `name.sh - ` before a description. */
const FILE_NAME = /^[\w./-]+\s+(-+|:)\s+|^[\w./-]+\.(ba)?sh:?\s+(-+\s+)?/i;

/**
 * A script in the prompt form. The shebang becomes `#!/bin/bash`; licences, names, dates and rulers
 * leave the comments at its head; the first of them that reads as an English sentence becomes the
 * prompt's. In a script without one an empty line keeps other comments from standing in its place.
 */
export function scriptDocument(script: string): string {
  const lines = script.replace(/^\uFEFF/, "").replace(/\r\n?/g, "\n").trim().split("\n")
    .map((line) => line.trimEnd());
  if (lines[0].startsWith("#!")) lines.shift();
  let head = 0;
  while (head < lines.length && /^(#.*)?$/.test(lines[head])) head++;
  const body = lines.slice(head).join("\n").replace(/\n{3,}/g, "\n\n");
  let sentence = "";
  const kept: string[] = [];
  for (const paragraph of commentParagraphs(lines.slice(0, head))) {
    if (NOTICE.test(paragraph.join(" "))) continue;
    let comments = paragraph;
    if (!sentence) {
      const split = takeSentence(paragraph);
      if (split) ({ sentence, rest: comments } = split);
    }
    kept.push(...comments.filter((line) => !METADATA.test(line)).map((line) => `# ${line}`));
  }
  if (!sentence) sentence = describedIn(body);
  const prompt = sentence ? promptText(sentence) : `${SHEBANG}\n${kept.length > 0 ? "\n" : ""}`;
  return prompt + kept.map((line) => `${line}\n`).join("") + body + "\n";
}

/** The description that a script's body holds in its only such variable, or in its first comment. */
function describedIn(body: string): string {
  const described = [...body.matchAll(VARIABLE)];
  if (described.length === 1) {
    const said = takeSentence([described[0][1]]);
    if (said) return said.sentence;
  }
  const opening = /^(?:(?:set|shopt) [^\n]*\n|\n)+((?:#[^\n]*\n)+)/.exec(body);
  for (const paragraph of commentParagraphs(opening?.[1].split("\n") ?? [])) {
    const said = NOTICE.test(paragraph.join(" ")) ? undefined : takeSentence(paragraph);
    if (said) return said.sentence;
  }
  return "";
}

/** A pair in the prompt form: the English as the comment, the command as the script. */
export function pairDocument(english: string, command: string): string {
  return `${promptText(english)}${command.trim()}\n`;
}

/** Comment lines without their signs and without rulers, in groups that empty lines separate. */
function commentParagraphs(lines: string[]): string[][] {
  const paragraphs: string[][] = [[]];
  for (const line of lines) {
    const text = line.replace(/^[#\s]+/, "").replace(/[#\s]+$/, "")
      .replace(/^[-=*~_+|<>]{3,}\s*|\s*[-=*~_+|<>]{3,}$/g, "");
    if (/\w/.test(text)) paragraphs.at(-1)!.push(text);
    else paragraphs.push([]);
  }
  return paragraphs.filter((paragraph) => paragraph.length > 0);
}

/** The first English sentence of a paragraph and the lines after it, if there is one. */
function takeSentence(paragraph: string[]): { sentence: string; rest: string[] } | undefined {
  for (let i = 0; i < paragraph.length; i++) {
    let sentence = paragraph[i].replace(LABEL, "").replace(FILE_NAME, "");
    const labelled = sentence !== paragraph[i];
    if (METADATA.test(paragraph[i]) && !LABEL.test(paragraph[i])) continue;
    let next = i + 1;
    while (next < paragraph.length && !/[.!?:]$/.test(sentence) && /^[a-z]/.test(paragraph[next])) {
      sentence += ` ${paragraph[next++]}`;
    }
    const end = sentence.search(/[.!?](\s+[A-Z]|$)/);
    const after = end < 0 ? "" : sentence.slice(end + 1).trim();
    if (end >= 0) sentence = sentence.slice(0, end);
    if (!isEnglish(sentence)) {
      if (labelled) continue;
      return undefined;
    }
    const rest = after ? [after, ...paragraph.slice(next)] : paragraph.slice(next);
    return { sentence, rest: [...paragraph.slice(0, i), ...rest] };
  }
  return undefined;
}

/** Whether a line reads as English: some words, no code. */
function isEnglish(text: string): boolean {
  const words = text.match(/(?<=^|\s|["'(])[A-Za-z][A-Za-z'-]*(?=$|[\s,;.)"'])/g)?.length ?? 0;
  const all = text.split(/\s+/).length;
  return text.length <= 200 && /^[A-Za-z]/.test(text) && words >= 3 && words / all >= 0.6 &&
    /[a-z]{2} [a-z]/.test(text) &&
    !/[=$`\\|]|;$|&&|:$/.test(text) && !REMARK.test(text);
}

/**
 * Documents of a bash corpus in the prompt form: a folder read recursively for `*.sh` and `*.bash` in
 * the order of their paths, one such file, or a `.jsonl` or `.jsonl.gz` file whose lines are
 * `{"nl", "cmd"}` pairs or `{"text"}` scripts.
 *
 * @throws {Deno.errors.NotFound} if there is no such file or folder.
 * @throws {RangeError} if it holds no document, or the file is of another kind.
 * @throws {SyntaxError} naming the line that is neither a pair nor a script.
 */
export async function* readBash(path: string): AsyncGenerator<string, void, unknown> {
  let info: Deno.FileInfo;
  try {
    info = await Deno.stat(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new Deno.errors.NotFound(`There is no file or folder ${path}: check the name.`);
  }
  let count = 0;
  const documents = info.isDirectory
    ? readFolder(path)
    : /\.jsonl(\.gz)?$/.test(path)
    ? readJsonLines(path)
    : isScriptName(path)
    ? readScript(path)
    : undefined;
  if (!documents) {
    throw new RangeError(
      `${path} is no bash corpus: give a folder of *.sh files, a .sh file, or a .jsonl or .jsonl.gz file.`,
    );
  }
  for await (const document of documents) {
    count++;
    yield document;
  }
  if (count === 0) {
    throw new RangeError(
      info.isDirectory
        ? `${path} holds no script: give a folder with *.sh files in it or below it.`
        : `${path} holds no document: give a file with at least one pair or script.`,
    );
  }
}

const isScriptName = (name: string): boolean => /\.(sh|bash)$/.test(name);

/** Whether a file's shebang, if any, is a shell's. */
const isShell = (text: string): boolean => !text.startsWith("#!") || /^#!.*sh\b/.test(text);

async function* readScript(path: string): AsyncGenerator<string, void, unknown> {
  let text = "";
  for await (const chunk of readText(path)) text += chunk;
  if (text.trim() && isShell(text)) yield scriptDocument(text);
}

/** Scripts of a folder; hidden folders and links are passed over. */
async function* readFolder(folder: string): AsyncGenerator<string, void, unknown> {
  const entries = await Array.fromAsync(Deno.readDir(folder));
  entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const { name, isFile, isDirectory } of entries) {
    const path = `${folder.replace(/\/$/, "")}/${name}`;
    if (isDirectory && !name.startsWith(".")) yield* readFolder(path);
    else if (isFile && isScriptName(name)) yield* readScript(path);
  }
}

async function* readJsonLines(path: string): AsyncGenerator<string, void, unknown> {
  for await (const { line, number } of readLines(path)) {
    if (line.trim() === "") continue;
    let record: unknown;
    try {
      record = JSON.parse(line);
    } catch {
      throw new SyntaxError(`Line ${number} of ${path} is not JSON: mend or remove it.`);
    }
    const { nl, cmd, text } = (record ?? {}) as Record<string, unknown>;
    if (typeof nl === "string" && typeof cmd === "string") {
      if (nl.trim() && cmd.trim()) yield pairDocument(nl, cmd);
    } else if (typeof text === "string") {
      if (text.trim() && isShell(text)) yield scriptDocument(text);
    } else {
      throw new SyntaxError(
        `Line ${number} of ${path} has neither "nl" and "cmd" nor "text" as strings: mend or remove it.`,
      );
    }
  }
}
