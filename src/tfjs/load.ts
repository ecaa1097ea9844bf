/**
 * Loads what needs TensorFlow.js. The modules are named at run time only, because Deno fetches every
 * npm package that a module graph names as soon as one is needed, and TensorFlow.js is 340 MB.
 *
 * @module
 */

/** Loads the trainer's engine on TensorFlow.js. */
export const loadTfjsEngine = (): Promise<typeof import("./engine.ts")> => load("engine.ts");

/** Loads the generator's engine on TensorFlow.js. */
export const loadTfjsInference = (): Promise<typeof import("./inference.ts")> =>
  load("inference.ts");

async function load<Module>(file: string): Promise<Module> {
  try {
    // Without the empty fragment, whatever lies beside this file would count as imported.
    return await import(`./${file}#`);
  } catch (cause) {
    // Node has it only where the user does.
    if (/cannot find package/i.test(String(cause))) {
      throw new Error(
        "TensorFlow.js is not installed: npm install @tensorflow/tfjs @tensorflow/tfjs-backend-webgpu.",
        { cause },
      );
    }
    // An executable has all but these modules.
    if (!/module not found.*\/tfjs\/\w+\.ts#/i.test(String(cause))) throw cause;
    throw new Error(
      "The tfjs backend is not part of this executable: use another, or run it from the sources with " +
        "deno task, which fetches TensorFlow.js.",
      { cause },
    );
  }
}
