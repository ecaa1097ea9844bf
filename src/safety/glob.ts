/**
 * Shell patterns as regular expressions.
 *
 * @module
 */

/**
 * The regular expression of a shell pattern, without anchors.
 * @param any What `*` stands for: `[^/]*` for file names, `[^]*` for strings.
 */
export function globSource(pattern: string, any = "[^]*"): string {
  const one = any.slice(0, -1);
  let source = "";
  for (let i = 0; i < pattern.length; i++) {
    const c = pattern[i];
    const set = c === "[" ? /^\[[!^]?\]?[^\]/]*\]/.exec(pattern.slice(i)) : null;
    if (set) {
      source += charSet(set[0].slice(1, -1));
      i += set[0].length - 1;
    } else if (c === "*") {
      source += any;
      while (pattern[i + 1] === "*") i++;
    } else if (c === "?") {
      source += one;
    } else {
      if (c === "\\" && i + 1 < pattern.length) i++;
      source += pattern[i].replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
    }
  }
  return source;
}

const CLASSES: Record<string, string> = {
  alpha: "A-Za-z",
  lower: "a-z",
  upper: "A-Z",
  digit: "0-9",
  alnum: "A-Za-z0-9",
  space: "\\s",
};

function charSet(inside: string): string {
  const negated = /^[!^]/.test(inside);
  const body = (negated ? inside.slice(1) : inside)
    .replace(/\[:(\w+):?/g, (_, name: string) => CLASSES[name] ?? "")
    .replace(/[\\\]^]/g, "\\$&");
  return validSet(`[${negated ? "^" : ""}${body}]`);
}

/** The set, or any character where its range is not one (`[z-a]`). */
function validSet(set: string): string {
  try {
    new RegExp(set);
    return set;
  } catch {
    return "[^]";
  }
}
