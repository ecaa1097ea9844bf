/** Seeded random text that is hard on tokenizers. */

import type { Random } from "../src/random.ts";

const PIECES = [
  ..." \t\n\r\0eéßñабвعربعדあ漢字한글ก็😀👩‍👩‍👧‍👦🇩🇪",
  ..."\u0301\u0308\u200d\u202e\ufeff\ufffd\uffff\u{10ffff}\u0085\u2028",
  ...["\r\n", "\n\n", "    ", "\n    ", "  \n", "\n\t\t", "#!/bin/bash\n", "for i in ", "${x[@]}"],
  ...["2>&1", "12345", "don't", "Once upon a time", " the ", "<|endoftext|", "İ", "ﬃ", "e\u0301"],
];

/** A string of random pieces, characters of all planes and, if asked for, lone surrogates. */
export function randomText(random: Random, pieces: number, surrogates = false): string {
  let text = "";
  for (let i = 0; i < pieces; i++) {
    const kind = random.below(8);
    if (kind < 5) text += PIECES[random.below(PIECES.length)];
    else if (kind === 5) text += String.fromCharCode(random.below(128));
    else if (kind === 6 && surrogates) text += String.fromCharCode(0xd800 + random.below(0x800));
    else {
      const point = random.below(0x110000 - 0x800);
      text += String.fromCodePoint(point < 0xd800 ? point : point + 0x800);
    }
  }
  return text;
}

/** A megabyte of the repository's scripts and prose, lines shuffled, some with random text in them. */
export async function megabyteOfText(random: Random): Promise<string> {
  const lines: string[] = [];
  const read = async (folder: URL): Promise<void> => {
    const entries = await Array.fromAsync(Deno.readDir(folder));
    entries.sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const { name, isDirectory } of entries) {
      if (isDirectory) await read(new URL(`${name}/`, folder));
      else if (/\.(sh|ts|md)$/.test(name)) {
        lines.push(...(await Deno.readTextFile(new URL(name, folder))).split("\n"));
      }
    }
  };
  for (const folder of ["src/corpus/", "src/tokenizer/"]) {
    await read(new URL(`../${folder}`, import.meta.url));
  }
  const chosen: string[] = [];
  for (let length = 0; length < 1e6;) {
    let line = lines[random.below(lines.length)];
    if (random.below(4) === 0) {
      const at = random.below(line.length + 1);
      line = line.slice(0, at) + randomText(random, 3) + line.slice(at + random.below(4));
    }
    // A cut may have split a pair of surrogates.
    line = line.toWellFormed();
    chosen.push(line);
    length += line.length + 1;
  }
  return chosen.join("\n");
}
