/**
 * What a user asks for, in the form of the training texts, as tokens that fit the context.
 *
 * @module
 */

import { promptSentence, promptText, SHEBANG } from "../corpus/prompt.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";

/**
 * The beginning of a script that a prompt stands for. English becomes `#!/bin/bash\n# <English>\n`,
 * its lines joined. A text that starts with `#` is the beginning of a script already: it gets the
 * same shebang, its first comment the same form, and what follows stays as it is. So "List files",
 * "# list files." and "#!/bin/sh\n# List files" mean the same.
 *
 * @throws {TypeError} if the prompt is no string.
 * @throws {RangeError} if it has no words.
 */
export function scriptBeginning(prompt: string): string {
  if (typeof prompt !== "string") {
    throw new TypeError(`The prompt is of type ${typeof prompt}, expected a string.`);
  }
  const text = prompt.replace(/^\uFEFF/, "").replace(/\r\n?/g, "\n").replace(/^\s+/, "");
  if (!text.startsWith("#")) return englishBeginning(text);
  const [, shebang, rest] = text.match(/^(#![^\n]*)?\n*([^]*)$/)!;
  if (!rest.startsWith("#")) return `${SHEBANG}\n${text.slice(shebang.length + 1)}`;
  const end = (rest + "\n").indexOf("\n");
  return englishBeginning(rest.slice(0, end)) + rest.slice(end + 1);
}

function englishBeginning(english: string): string {
  if (promptSentence(english) === "") {
    throw new RangeError("The prompt has no words: say in English what the script should do.");
  }
  return promptText(english);
}

/** A script's beginning as the model gets it. */
export interface PromptTokens {
  /** Tokens to put into the cache, at least one and at most L − 1. */
  ids: Uint32Array;
  /**
   * Bytes with which the first tokens drawn must begin: the newlines and the indentation at the
   * beginning's end. The tokenizer makes one piece of them and of the newlines that follow, so the
   * model must be free to choose a token that has more of them.
   */
  forced: Uint8Array;
  /** Tokens of the beginning that had to go. */
  cut: number;
}

/** A prompt that the context has no room for. */
export class PromptTooLongError extends RangeError {
  override name = "PromptTooLongError";

  /**
   * @param tokens Tokens that the prompt has.
   * @param room Tokens that it may have.
   */
  constructor(readonly tokens: number, readonly room: number) {
    super(
      `The prompt has ${tokens} tokens and the context leaves room for ${room}: shorten it, or have it cut with truncate.`,
    );
  }
}

/** How a prompt is made to fit. */
export interface FitOptions {
  /** L, longest context in tokens. */
  contextLength: number;
  /** Tokens that are to be generated. */
  maxTokens: number;
  /** Cut a prompt that is too long instead of refusing it; a number says to how many tokens. */
  truncate: boolean | number;
}

/**
 * A script's beginning as tokens. A cut one keeps its shebang line and its end; unless `truncate` says
 * how much is kept, it leaves room for `maxTokens`, or for half the context if that is less.
 *
 * @throws {PromptTooLongError} with both counts, if the beginning is longer than L − 1 tokens and
 * `truncate` is not set.
 */
export function promptTokens(
  tokenizer: Tokenizer,
  beginning: string,
  { contextLength, maxTokens, truncate }: FitOptions,
): PromptTokens {
  const end = beginning.search(/\n+[ \t]*$/);
  const given = end < 0 ? beginning : beginning.slice(0, end);
  const forced = new TextEncoder().encode(end < 0 ? "" : beginning.slice(end));
  const ids = tokenizer.encode(given);
  const limit = contextLength - 1;
  const most = typeof truncate === "number" ? Math.min(truncate, limit) : limit;
  if (ids.length <= most) return { ids, forced, cut: 0 };
  if (truncate === false) {
    throw new PromptTooLongError(ids.length, most);
  }
  // No token spans a line's end, so the shebang line is the same tokens alone as in the prompt.
  const kept = typeof truncate === "number"
    ? most
    : contextLength - Math.min(maxTokens, contextLength >> 1);
  const cutBehind = (head: Uint32Array<ArrayBuffer>): Uint32Array<ArrayBuffer> => {
    const tail = ids.subarray(ids.length - Math.max(0, kept - head.length));
    const whole = tail.findIndex((id) => !startsInsideCharacter(tokenizer, id));
    return tail.subarray(whole < 0 ? tail.length : whole);
  };
  let head = tokenizer.encode(`${SHEBANG}\n`).slice(0, most), tail = cutBehind(head);
  const before = tokenizer.decode(ids.subarray(0, ids.length - tail.length));
  if (before.slice(before.lastIndexOf("\n") + 1).startsWith("#")) {
    // What is left of a comment must not become a command.
    head = tokenizer.encode(`${SHEBANG}\n# `).slice(0, most);
    tail = cutBehind(head);
  }
  const shortened = Uint32Array.of(...head, ...tail);
  return { ids: shortened, forced, cut: ids.length - shortened.length };
}

/** Whether a token's first byte continues a character of UTF-8. */
function startsInsideCharacter(tokenizer: Tokenizer, id: number): boolean {
  return (tokenizer.tokenBytes(id)[0] & 0xc0) === 0x80;
}
