/**
 * The long form of `syntax_test.ts`: random scripts and real ones, each judged by `Syntax` and by
 * `bash -n`. What the two share is here.
 *
 *     deno run -A tests/syntax_fuzz.ts [seconds] [seed] [file.jsonl.gz …]
 *
 * Prints counts and the snippets that `Syntax` accepts and bash does not, and exits 1 if there are any.
 */

import { OWN_SCRIPTS } from "../src/corpus/bash.ts";
import { Random } from "../src/random.ts";
import { checkSyntax, Syntax } from "../src/syntax/syntax.ts";
import { Tokenizer } from "../src/tokenizer/tokenizer.ts";
import { bashComplaints, type Complaint } from "./bash_check.ts";

const utf8 = new TextEncoder();
const text = new TextDecoder();

const PIECES = [
  ..."\n\n\n\n      ;;;&|()<>{}!#$'\"`\\=[]-:?*+@~/_\t\r0123axé",
  ...["  ", "\\\n", "&&", "||", ";;", ";&", ";;&", "|&", ">>", ">&", "<&", "<>", ">|", "&>", "&>>"],
  ...[
    "<<<",
    "2>&1",
    "2>",
    "$(",
    "$((",
    "))",
    "((",
    "${",
    "${x:-",
    "<(",
    ">(",
    "`",
    "$'",
    '$"',
    "$[",
  ],
  ..."if then elif else fi for while until do done case esac in select function".split(" "),
  ..."{ } [[ ]] ! time -p -- coproc if then fi do done esac { } [[ ]] in".split(" "),
  ...[
    "; then",
    "; do",
    "; fi",
    "; done",
    " in a b",
    ";; esac",
    "\nfi",
    "\ndone",
    "\n}",
    "; }",
    "a)",
  ],
  ...'echo x a b=c x= y+= a[0]= declare local export f() 12 {fd} {fd}> x=( $x "$x"'.split(" "),
  ..."== != =~ = -eq -nt -f -z < > @( *( +( ?( !( && || | ^(a|b)$".split(" "),
  ...["<<EOF", "<<-EOF", "<<'EOF'", "EOF", "\nEOF\n", "\n\tEOF\n", "<<A <<B", "\nA\n", "\nB\n"],
  ...["for ((", "i=0;", "i<9;", "i++", "[[ ", " ]]", "(( ", " ))", "$(<", " # ", "'a b'", '"a b"'],
].map((piece) => utf8.encode(piece));

/** A source of random pieces of text. */
export type Draw = (random: Random) => Uint8Array;

/** Draws from pieces of bash; after words a blank is likely. */
export const drawPiece: Draw = (random) => PIECES[random.below(PIECES.length)];

/** Draws pieces with a blank before most: more commands and fewer odd words. */
const drawWord: Draw = (random) =>
  random.below(4) ? concat([utf8.encode(" "), drawPiece(random)]) : drawPiece(random);

/**
 * Writes as a bad model under constrained decoding does: takes what may follow, skips the rest.
 * Returns the script, closed, and some beginnings of it that `Syntax` takes for whole.
 */
export function randomScript(random: Random, length: number, draw: Draw): Uint8Array[] {
  let syntax = new Syntax();
  const taken: Uint8Array[] = [];
  const samples: Uint8Array[] = [];
  for (let i = 0; i < length; i++) {
    // Now and then goes on as the closing would, so that constructs end and others follow.
    const closing = random.below(12) ? "" : syntax.closing();
    const piece = closing === ""
      ? draw(random)
      : utf8.encode(closing.slice(0, 1 + random.below(6)));
    const next = syntax.clone();
    if (!next.push(piece)) continue;
    syntax = next;
    taken.push(piece);
    if (syntax.complete && random.below(8) === 0) {
      const newline = random.below(2) ? [utf8.encode("\n")] : [];
      samples.push(concat([...taken, ...newline]));
    }
  }
  samples.push(concat([...taken, utf8.encode(close(syntax, concat(taken)))]));
  return samples;
}

function close(syntax: Syntax, script: Uint8Array): string {
  try {
    return syntax.closing();
  } catch (error) {
    throw new Error(`no closing for ${JSON.stringify(text.decode(script))}`, { cause: error });
  }
}

/** One byte string of many. */
export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

/** A text with tokens of it deleted, doubled, swapped or inserted. */
export function mutant(random: Random, script: string): string {
  const tokens = script.match(/\s|\w+|[^\s\w]/g) ?? [];
  for (let edits = 1 + random.below(3); edits > 0; edits--) {
    const i = random.below(tokens.length), j = random.below(tokens.length);
    const kind = random.below(4);
    if (kind === 0) tokens.splice(i, 1);
    else if (kind === 1) tokens.splice(i, 0, tokens[i]);
    else if (kind === 2) [tokens[i], tokens[j]] = [tokens[j], tokens[i]];
    else tokens.splice(i, 0, text.decode(drawPiece(random)));
  }
  return tokens.join("");
}

/** Texts of a `.jsonl.gz` file of `{"text"}` or `{"cmd"}`. */
async function* readTexts(path: string): AsyncGenerator<string> {
  const file = await Deno.open(path);
  const stream = file.readable.pipeThrough(new DecompressionStream("gzip"));
  const lines = (await new Response(stream).text()).split("\n");
  for (const line of lines) {
    if (line === "") continue;
    const { text, cmd } = JSON.parse(line);
    yield text ?? cmd;
  }
}

class Report {
  readonly counts = new Map<string, number>();
  unsound = 0;

  count(name: string, by = 1): void {
    this.counts.set(name, (this.counts.get(name) ?? 0) + by);
  }

  fail(what: string, script: Uint8Array, complaint: Complaint): void {
    this.unsound++;
    if (this.unsound <= 40) {
      console.log(`UNSOUND ${what}: ${JSON.stringify(text.decode(script))}\n  ${complaint}`);
    }
  }
}

async function judge(report: Report, what: string, scripts: Uint8Array[]): Promise<void> {
  const complaints = await bashComplaints(scripts);
  complaints.forEach((complaint, i) => {
    report.count(what);
    if (complaint !== undefined) report.fail(what, scripts[i], complaint);
  });
}

async function judgeFile(report: Report, random: Random, path: string): Promise<string[]> {
  const texts = await Array.fromAsync(readTexts(path));
  const name = path.split("/").at(-1)!;
  for (let from = 0; from < texts.length; from += 1000) {
    const batch = texts.slice(from, from + 1000);
    const scripts = batch.map((script) => utf8.encode(script));
    const complaints = await bashComplaints(scripts);
    const prefixes: Uint8Array[] = [];
    complaints.forEach((complaint, i) => {
      const syntax = new Syntax();
      const accepted = syntax.push(scripts[i]) && syntax.complete;
      if (complaint === undefined) {
        report.count(`${name}: accepted by bash`);
        if (accepted) report.count(`${name}: accepted by both`);
        else {
          const { line, message } = syntax.fault ?? { line: syntax.line, message: "incomplete" };
          const source = batch[i].split("\n")[line - 1] ?? "";
          console.log(`REFUSED ${name}: ${message}: ${source.slice(0, 160)}`);
        }
      } else {
        report.count(`${name}: refused by bash`);
        if (accepted) report.fail(name, scripts[i], complaint);
      }
      if (random.below(10) === 0) {
        const prefix = scripts[i].subarray(0, random.below(scripts[i].length + 1));
        const start = new Syntax();
        if (start.push(prefix)) prefixes.push(concat([prefix, utf8.encode(close(start, prefix))]));
      }
    });
    await judge(report, `${name}: prefixes closed`, prefixes);
  }
  return texts;
}

/** Texts of this repository's own scripts. */
export function ownScripts(): string[] {
  const texts: string[] = [];
  const read = (folder: URL): void => {
    const entries = [...Deno.readDirSync(folder)].sort((a, b) => a.name < b.name ? -1 : 1);
    for (const { name, isDirectory } of entries) {
      if (isDirectory) read(new URL(`${name}/`, folder));
      else if (name.endsWith(".sh")) texts.push(Deno.readTextFileSync(new URL(name, folder)));
    }
  };
  read(OWN_SCRIPTS);
  return texts;
}

/** A few lines of a script, from anywhere. */
export function excerpt(random: Random, script: string): string {
  const lines = script.split("\n");
  const from = random.below(lines.length);
  return lines.slice(from, from + 1 + random.below(12)).join("\n");
}

/** How `Syntax` and bash differ on whole texts. */
export interface Agreement {
  /** Accepted by bash. */
  valid: number;
  /** Of these, refused by `Syntax`. */
  refused: string[];
  /** Accepted by `Syntax` alone. */
  unsound: string[];
}

/** Compares the two. */
export async function agreement(scripts: readonly string[]): Promise<Agreement> {
  const complaints = await bashComplaints(scripts.map((script) => utf8.encode(script)));
  const result: Agreement = { valid: 0, refused: [], unsound: [] };
  complaints.forEach((complaint, i) => {
    const accepted = checkSyntax(scripts[i]).valid;
    if (complaint === undefined) result.valid++;
    if (complaint === undefined && !accepted) result.refused.push(scripts[i]);
    if (complaint !== undefined && accepted) result.unsound.push(scripts[i]);
  });
  return result;
}

async function main(): Promise<void> {
  const [seconds = "60", seed = "1", ...files] = Deno.args;
  const until = performance.now() + Number(seconds) * 1000;
  const random = new Random(Number(seed));
  const report = new Report();
  const sources = ownScripts();
  for (const file of files) sources.push(...await judgeFile(report, random, file));

  const tokenizer = await Tokenizer.load(
    new URL("../weights/tokenizer.json", import.meta.url).pathname,
  );
  const drawToken: Draw = (random) =>
    tokenizer.tokenBytes(1 + random.below(tokenizer.vocabSize - 1));
  const drawEither: Draw = (random) => random.below(3) ? drawPiece(random) : drawToken(random);
  while (performance.now() < until) {
    const scripts: Uint8Array[] = [];
    for (const draw of [drawPiece, drawToken, drawEither, drawWord]) {
      for (let i = 0; i < 300; i++) {
        const length = 5 + random.below(draw === drawToken ? 100 : 200);
        scripts.push(...randomScript(random, length, draw));
      }
    }
    await judge(report, "random scripts", scripts);
    const mutants = Array.from({ length: 300 }, () => {
      const script = sources[random.below(sources.length)];
      return mutant(random, random.below(2) ? script : excerpt(random, script));
    });
    const { valid, refused, unsound } = await agreement(mutants);
    report.count("mutants", mutants.length);
    report.count("mutants accepted by bash", valid);
    report.count("mutants that only bash accepts", refused.length);
    for (const script of unsound) report.fail("mutant", utf8.encode(script), "");
  }
  for (const [name, count] of report.counts) console.log(`${count}\t${name}`);
  console.log(`${report.unsound}\tunsound`);
  if (report.unsound > 0) Deno.exit(1);
}

if (import.meta.main) await main();
