/**
 * Story corpora: plain text with `<|endoftext|>` between stories.
 *
 * @module
 */

import { readText } from "./files.ts";

/** What stands between stories in a file. */
export const STORY_SEPARATOR = "<|endoftext|>";

/** Longest story in characters; a file with a longer one lacks separators. */
const LONGEST = 1 << 22;

/**
 * Stories of `.txt` and `.txt.gz` files in order, one at a time, whatever the files' size. White
 * space around a story is removed and line ends become `\n`; empty stories are left out.
 *
 * @throws {Deno.errors.NotFound} if a file does not exist.
 * @throws {RangeError} if a file holds no story.
 * @throws {SyntaxError} if a file is damaged or lacks separators.
 */
export async function* readStories(
  files: string | string[],
): AsyncGenerator<string, void, unknown> {
  for (const file of [files].flat()) {
    let count = 0, rest = "";
    for await (const chunk of readText(file)) {
      const stories = (rest + chunk).split(STORY_SEPARATOR);
      rest = stories.pop()!;
      for (const text of stories) {
        const story = tidy(text);
        if (!story) continue;
        count++;
        yield story;
      }
      if (rest.length > LONGEST) {
        throw new SyntaxError(
          `${file} has ${rest.length} characters without ${STORY_SEPARATOR}: put it between stories.`,
        );
      }
    }
    const last = tidy(rest);
    if (last) {
      count++;
      yield last;
    }
    if (count === 0) {
      throw new RangeError(`${file} holds no story: give a text file with stories in it.`);
    }
  }
}

const tidy = (text: string): string => text.replace(/\r\n?/g, "\n").trim();
