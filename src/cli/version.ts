/**
 * What `bashling --version` says: the version, the model and the build.
 *
 * @module
 */

import { type ModelConfig, PRESETS } from "../model/config.ts";
import { parameterLayout } from "../model/parameters.ts";
import { SHIPPED_WEIGHTS } from "../model/shipped.ts";
import { loadInt8Weights } from "../model/weights.ts";

/** How an executable was built: the `build.json` that `deno task compile` puts beside the app. */
export interface Build {
  /** First 12 digits of the git commit, where there was one. */
  commit?: string;
  /** Whether files differed from that commit. */
  changed?: boolean;
  /** Day of the build, as in `2026-01-31`, in UTC. */
  date: string;
}

/** Where {@linkcode Build} lies in an executable; in a clone there is no such file. */
const BUILD = new URL("../../build.json", import.meta.url);

/** One line: version, model, build, Deno and machine. Needs no permission, but tells less without. */
export async function versionText(): Promise<string> {
  const [{ default: { version } }, model, build] = await Promise.all([
    import("../../deno.json", { with: { type: "json" } }),
    modelText(),
    readBuild(),
  ]);
  const { deno } = Deno.version;
  return `bashling ${version} (${model}; ${buildText(build)}; deno ${deno}; ${Deno.build.target})`;
}

/** A build in words; none is the source itself. */
export function buildText(build: Build | undefined): string {
  if (!build) return "build source";
  const { commit, changed, date } = build;
  return `build ${commit ? `${commit}${changed ? " with changes" : ""} of ` : ""}${date}`;
}

async function readBuild(): Promise<Build | undefined> {
  if (BUILD.protocol !== "file:") return undefined;
  try {
    return JSON.parse(await Deno.readTextFile(BUILD));
  } catch {
    return undefined; // none, or it may not be read: the file cannot be told from the source then
  }
}

/**
 * The shipped model in words: its preset, its size, and the first 12 digits of its fingerprint, which
 * is what the service answers with too. Weights on a server are not fetched for this.
 */
async function modelText(): Promise<string> {
  if (SHIPPED_WEIGHTS.protocol !== "file:") return "model on the network";
  try {
    const { config, fingerprint } = await loadInt8Weights(SHIPPED_WEIGHTS);
    const same = (preset: ModelConfig) =>
      (Object.keys(preset) as (keyof ModelConfig)[]).every((key) => preset[key] === config[key]);
    const [name] = Object.entries(PRESETS).find(([, preset]) => same(preset)) ??
      [`of ${config.layers} layers × ${config.width}`];
    const millions = (parameterLayout(config).count / 1e6).toFixed(1);
    return `model ${name}, ${millions} M parameters, ${(await fingerprint).slice(0, 12)}`;
  } catch (error) {
    return error instanceof Deno.errors.NotCapable
      ? "model unknown without --allow-read"
      : "model unreadable";
  }
}
