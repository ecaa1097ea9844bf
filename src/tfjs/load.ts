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

function load<Module>(file: string): Promise<Module> {
  return import(new URL(file, import.meta.url).href);
}
