/**
 * Measured plans of matrix products, kept for the next process on this machine. Whatever goes wrong
 * with the file, plans are measured again.
 *
 * @module
 */

import { grantedCacheFolder } from "../../cache_folder.ts";
import { sha256 } from "../../digest.ts";
import { kernels } from "./kernels.ts";
import { MATMUL_TILES, type MatmulPlan } from "./matmul_plan.ts";

/** Plans by the key of their shape. */
export type Plans = Map<string, MatmulPlan>;

/** Path of the plans of an adapter and these kernels, if files may be read and written here. */
async function pathOf(adapter: string): Promise<string | undefined> {
  const folder = await grantedCacheFolder();
  if (folder === undefined) return;
  const texts = [kernels.matmul, kernels.matmulSplits].flat().join("\n");
  const version = await sha256(JSON.stringify([adapter, MATMUL_TILES, texts]));
  return `${folder}/plans/${version.slice(0, 16)}.json`;
}

/** What was stored for an adapter; nothing if there is no file, or none that can be read. */
export async function readPlans(adapter: string): Promise<Plans> {
  try {
    const path = await pathOf(adapter);
    if (path === undefined) return new Map();
    const entries = Object.entries(JSON.parse(await Deno.readTextFile(path)));
    return new Map(entries.filter((entry): entry is [string, MatmulPlan] => isPlan(entry[1])));
  } catch {
    return new Map();
  }
}

/** Adds plans to those of an adapter, if files may be written here. */
export async function writePlans(adapter: string, plans: Plans): Promise<void> {
  try {
    const path = await pathOf(adapter);
    if (path === undefined) return;
    await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
    const all = Object.fromEntries([...await readPlans(adapter), ...plans]);
    const partial = `${path}.${crypto.randomUUID()}`;
    try {
      await Deno.writeTextFile(partial, JSON.stringify(all, undefined, 1) + "\n");
      await Deno.rename(partial, path);
    } catch {
      await Deno.remove(partial);
    }
  } catch {
    // A full disk or a folder of someone else's: the next process measures again.
  }
}

/** Whether it is a plan that kernels can carry out; whether it fits a shape is for others. */
function isPlan(value: unknown): boolean {
  const { tile, splits, depth } = (value ?? {}) as Partial<MatmulPlan>;
  const known = MATMUL_TILES.some((one) => JSON.stringify(one) === JSON.stringify(tile));
  return known && Number.isSafeInteger(splits) && Number.isSafeInteger(depth) && splits! >= 1 &&
    depth! >= 1 && depth! % tile!.step === 0;
}
