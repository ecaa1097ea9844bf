/**
 * The prompt form that training and generation share: a shebang, then one English comment.
 *
 * @module
 */

/** First line of every script that the model reads or writes. */
export const SHEBANG = "#!/bin/bash";

/**
 * One English sentence as it stands in a prompt: one line, no comment sign, no final full stop, its
 * first letter a capital. Training texts and users' prompts go through this alike.
 */
export function promptSentence(english: string): string {
  const sentence = english.replace(/\s+/g, " ").replace(/^[#\s]+/, "").replace(/[\s.]+$/, "");
  return sentence.charAt(0).toUpperCase() + sentence.slice(1);
}

/** The prompt `#!/bin/bash\n# <English>\n`, after which the script follows. */
export function promptText(english: string): string {
  return `${SHEBANG}\n# ${promptSentence(english)}\n`;
}
