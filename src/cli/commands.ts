/**
 * The subcommands; each is loaded only when it is called.
 *
 * @module
 */

/** A subcommand that was loaded. */
export interface Command {
  /** Its `--help`, which also says what flags it has. */
  help: string;
  /**
   * Runs it.
   * @param args Arguments after its name.
   * @param called How the user called it, for advice in messages.
   * @returns The exit code.
   */
  run(args: string[], called: string): Promise<number>;
}

/** A subcommand before it is loaded. */
export interface CommandEntry {
  /** One line for the list. */
  summary: string;
  /** Loads its code. */
  load(): Promise<Command>;
}

/** All subcommands in the order of the list. */
export const COMMANDS: Record<string, CommandEntry> = {
  generate: {
    summary: "write a script from an English sentence",
    load: async () => {
      const { GENERATE_HELP: help, generate: run } = await import("./generate.ts");
      return { help, run };
    },
  },
  serve: {
    summary: "serve the model over HTTP, as OpenAI's interface has it",
    load: async () => {
      const { SERVE_HELP: help, serve: run } = await import("./serve.ts");
      return { help, run };
    },
  },
  train: {
    summary: "train a model on stories or on bash",
    load: async () => {
      const { TRAIN_HELP: help, train: run } = await import("./train.ts");
      return { help, run };
    },
  },
  eval: {
    summary: "measure a model on files it has never seen",
    load: async () => {
      const { EVAL_HELP: help, evaluateFiles: run } = await import("./eval.ts");
      return { help, run };
    },
  },
  tokenize: {
    summary: "turn text into tokens, or tokens into text",
    load: async () => {
      const { TOKENIZE_HELP: help, tokenize: run } = await import("./tokenize.ts");
      return { help, run };
    },
  },
  inspect: {
    summary: "show what is in a folder of weights or a checkpoint",
    load: async () => {
      const { INSPECT_HELP: help, inspect: run } = await import("./inspect.ts");
      return { help, run };
    },
  },
  doctor: {
    summary: "show what this machine can run, and how fast",
    load: async () => {
      const { DOCTOR_HELP: help, doctor: run } = await import("./doctor.ts");
      return { help, run };
    },
  },
  completions: {
    summary: "print shell completions for bash, zsh or fish",
    load: async () => {
      const { COMPLETIONS_HELP: help, completions: run } = await import("./completions.ts");
      return { help, run };
    },
  },
};
