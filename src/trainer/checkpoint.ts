/**
 * Checkpoints: folders from which training continues exactly.
 *
 * A checkpoint is a Hugging Face GPT-2 folder with F32 parameters, which `loadWeights` and
 * `transformers` load, and beside them AdamW's moments (`adamw_m`, `adamw_v`) in the same layout and
 * `trainer_state.json`. It is written as `<folder>.partial`, flushed to disk, and only then put in the
 * place of the checkpoint before, which for that moment is called `<folder>.previous`: whenever the
 * process is killed, one whole checkpoint can be found.
 *
 * @module
 */

import { sha256 } from "../digest.ts";
import { exists, makeFolder, NotFound, remove, rename, syncFolder, writeFile } from "../disk.ts";
import type { ModelConfig } from "../model/config.ts";
import { parameterLayout } from "../model/parameters.ts";
import { openFolder, readJson, readTensorSet, writeTensorSet } from "../model/shards.ts";
import {
  checkTokenizer,
  GENERATION,
  type GenerationConfig,
  loadWeights,
  parametersFromTensors,
  tensorsFromParameters,
  writeDescription,
} from "../model/weights.ts";

/** Version of the folder's layout. */
const VERSION = 1;

const STATE_FILE = "trainer_state.json";

/** What a checkpoint holds. */
export interface Checkpoint {
  /** Shape of the model. */
  config: ModelConfig;
  /** Pool of parameters. */
  parameters: Float32Array<ArrayBuffer>;
  /** AdamW's running mean of the gradients, in the layout of the pool. */
  m: Float32Array<ArrayBuffer>;
  /** AdamW's running mean of their squares, in the layout of the pool. */
  v: Float32Array<ArrayBuffer>;
  /** Whatever else the trainer needs to go on; JSON. */
  state: Record<string, unknown>;
  /** Text of `tokenizer.json`. */
  tokenizerJson: string;
}

/** Options of {@linkcode saveCheckpoint}. */
export interface SaveCheckpointOptions {
  /** Most bytes of data in one file; one file per pool unless given. */
  maxShardSize?: number;
  /** How to generate unless told otherwise. */
  generation?: GenerationConfig;
}

/**
 * Writes a checkpoint and puts it in the place of the one before.
 *
 * @throws {RangeError} if something does not fit together or is not finite; the checkpoint before
 * stays.
 */
export async function saveCheckpoint(
  folder: string,
  checkpoint: Checkpoint & SaveCheckpointOptions,
): Promise<void> {
  const { config, parameters, m, v, state, tokenizerJson, maxShardSize } = checkpoint;
  const generation = checkpoint.generation ?? GENERATION;
  const { endOfText } = checkTokenizer(tokenizerJson, config);
  const sets = Object.entries({ model: parameters, adamw_m: m, adamw_v: v })
    .map(([stem, pool]) => ({ stem, tensors: tensorsFromParameters(pool, config, "F32") }));
  const place = folder.replace(/\/+$/, "");
  const partial = `${place}.partial`, previous = `${place}.previous`;
  await remove(partial);
  await makeFolder(partial);
  try {
    const metadata = { format: "pt", tokenizer: await sha256(tokenizerJson) };
    for (const { stem, tensors } of sets) {
      await writeTensorSet(partial, stem, tensors, metadata, maxShardSize);
    }
    const text = JSON.stringify(state);
    const stateFile = { version: VERSION, sha256: await sha256(text), state };
    await writeFile(`${partial}/${STATE_FILE}`, [JSON.stringify(stateFile) + "\n"]);
    await writeDescription(partial, { config, tokenizerJson, generation, dtype: "F32", endOfText });
    await syncFolder(partial);
  } catch (error) {
    await remove(partial);
    throw error;
  }
  if (await exists(place)) {
    await remove(previous);
    await rename(place, previous);
  }
  await rename(partial, place);
  await syncFolder(`${place}/..`);
  await remove(previous);
}

/**
 * Reads a checkpoint. If a kill left only `<folder>.previous`, that one is read; a `.partial` one is
 * never looked at.
 *
 * @throws {Deno.errors.NotFound} if there is no checkpoint or a file of it is missing.
 * @throws {SyntaxError} if a file cannot be parsed.
 * @throws {RangeError} if the files do not fit together or were damaged.
 */
export async function loadCheckpoint(folder: string): Promise<Checkpoint> {
  let place = folder.replace(/\/+$/, "");
  if (!await exists(place)) {
    if (!await exists(`${place}.previous`)) {
      throw new NotFound(
        `Cannot resume: there is no checkpoint ${place}; give the folder that training wrote.`,
      );
    }
    place = `${place}.previous`;
  }
  const files = openFolder(place);
  const { config, parameters, tokenizerJson } = await loadWeights(place);
  const layout = parameterLayout(config);
  const pool = async (stem: string): Promise<Float32Array<ArrayBuffer>> => {
    const set = await readTensorSet(files, stem, 4 * layout.count);
    if (!set) throw missing(place, `${stem}.safetensors`);
    return parametersFromTensors(set.tensors, layout);
  };
  const state = await readJson(files, STATE_FILE);
  if (!state) throw missing(place, STATE_FILE);
  if (state.version !== VERSION) {
    throw new RangeError(
      `Cannot resume: ${place} has layout ${state.version}, expected ${VERSION}; use the release that wrote it.`,
    );
  }
  if (state.sha256 !== await sha256(JSON.stringify(state.state) ?? "")) {
    throw new RangeError(
      `Cannot resume: ${place}/${STATE_FILE} has changed since it was written (SHA-256 differs); go back to another checkpoint.`,
    );
  }
  return {
    config,
    parameters,
    m: await pool("adamw_m"),
    v: await pool("adamw_v"),
    state: state.state as Record<string, unknown>,
    tokenizerJson,
  };
}

const missing = (folder: string, file: string): Error =>
  new NotFound(
    `Cannot resume: there is no ${file} in ${folder}; give a whole checkpoint, or start from its weights.`,
  );
