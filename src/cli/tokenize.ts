/**
 * `bashling tokenize`.
 *
 * @module
 */

import { SHIPPED_WEIGHTS } from "../model/shipped.ts";
import { Tokenizer } from "../tokenizer/tokenizer.ts";
import { COMMON_FLAGS, Flags } from "./flags.ts";
import { grouped, readStdin, writeNote, writeOut } from "./output.ts";
import { UsageError } from "./usage.ts";

/** Text of `bashling tokenize --help`. */
export const TOKENIZE_HELP = `Turn text into tokens: one line each, its id and its text as JSON.

Usage: bashling tokenize [options] TEXT...
       bashling tokenize [options] -          the text comes from stdin
       bashling tokenize [options] --file FILE
       bashling tokenize --decode ID...

  --file FILE                read the text from a file
  --ids                      print the ids alone, in one line
  --decode                   turn ids into text instead
  --json                     one line of JSON: ids, pieces, tokens, bytes; or text
  --tokenizer FILE           a tokenizer.json (the shipped one)
${COMMON_FLAGS}`;

/** Runs `bashling tokenize`. */
export async function tokenize(args: string[]): Promise<number> {
  const flags = new Flags("tokenize", TOKENIZE_HELP, args);
  const [decode, idsOnly, json] = [flags.has("decode"), flags.has("ids"), flags.has("json")];
  if (decode && idsOnly) throw new UsageError("--decode prints text, not --ids: give one of them.");
  const file = flags.text("file");
  const named = flags.text("tokenizer");
  const words = flags.positional;
  if ((file === undefined) === (words.length === 0)) {
    throw new UsageError("Give either a text, - for stdin, or --file FILE.");
  }
  const [tokenizer, text] = await Promise.all([
    named === undefined
      ? Tokenizer.load(new URL("tokenizer.json", SHIPPED_WEIGHTS))
      : reading(named, Tokenizer.load(named)),
    file !== undefined
      ? reading(file, Deno.readTextFile(file))
      : words.join(" ") === "-"
      ? readStdin()
      : words.join(" "),
  ]);
  if (decode) {
    const ids = parseIds(text, tokenizer.vocabSize);
    const decoded = tokenizer.decode(ids);
    writeOut(json ? JSON.stringify({ text: decoded, tokens: ids.length }) + "\n" : decoded);
    return 0;
  }
  const ids = [...tokenizer.encode(text)];
  const bytes = new TextEncoder().encode(text).length;
  const pieces = ids.map((id) => tokenizer.decode([id]));
  if (json) {
    writeOut(JSON.stringify({ ids, pieces, tokens: ids.length, bytes }) + "\n");
  } else if (idsOnly) {
    writeOut(ids.join(" ") + "\n");
  } else {
    writeOut(ids.map((id, i) => `${id}\t${JSON.stringify(pieces[i])}\n`).join(""));
    const ratio = ids.length > 0 ? `, ${(bytes / ids.length).toFixed(2)} bytes per token` : "";
    writeNote(`${grouped(ids.length)} tokens, ${grouped(bytes)} bytes${ratio}\n`);
  }
  return 0;
}

/** Tells what is wrong where a file that the user named cannot be read. */
async function reading<T>(file: string, result: Promise<T>): Promise<T> {
  try {
    return await result;
  } catch (cause) {
    const reason = cause instanceof Deno.errors.NotFound
      ? "there is none"
      : cause instanceof Deno.errors.IsADirectory
      ? "it is a folder"
      : undefined;
    if (!reason) throw cause;
    throw new Error(`Cannot read the file ${file}: ${reason}; check the name.`, { cause });
  }
}

function parseIds(text: string, vocabSize: number): number[] {
  return text.split(/[\s,[\]]+/).filter(Boolean).map((word) => {
    const id = Number(word);
    if (!Number.isInteger(id) || id < 0 || id >= vocabSize) {
      throw new UsageError(`${word} is no token id, expected 0 to ${vocabSize - 1}.`);
    }
    return id;
  });
}
