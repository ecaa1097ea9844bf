/**
 * Decoding with a key/value cache in jax-js: a peer of the decoding benchmark.
 *
 * @module
 */

import { type Array as JaxArray, jit, nn, numpy as np } from "npm:@jax-js/jax@0.1.25";
import type { ModelConfig } from "../../../src/model/config.ts";
import { int32, keep, layernorm, startJax, type Tree, treeOf } from "./jax_gpt.ts";

/** Keys and values of each layer, each (1, L, NH, HS), under `k0`, `v0`, `k1` …. */
type Cache = Tree;

type Result = { logits: JaxArray; cache: Cache };

/** One token: writes its keys and values into the cache, and gives logits (V). */
function stepOf(
  params: Tree,
  cache: Cache,
  token: JaxArray,
  position: JaxArray,
  config: ModelConfig,
): Result {
  const { heads: NH, width: C, layers, contextLength: L } = config;
  const linear = (x: JaxArray, name: string) =>
    np.matmul(x, params[`${name}.weight`]).add(params[`${name}.bias`]);
  const norm = (x: JaxArray, name: string) =>
    layernorm(x, params[`${name}.weight`], params[`${name}.bias`]);
  const here = nn.oneHot(position.ref, L).reshape([1, L, 1, 1]);
  const unseen = np.arange(L).greater(position.ref).astype(np.float32);
  const bias = unseen.mul(-1e9).reshape([1, 1, 1, L]);

  const wte = params["transformer.wte.weight"];
  let x = np.take(wte.ref, token, 0)
    .add(np.take(params["transformer.wpe.weight"], position, 0));
  const after: Cache = {};
  for (let layer = 0; layer < layers; layer++) {
    const h = `transformer.h.${layer}`;
    const qkv = linear(norm(x.ref, `${h}.ln_1`), `${h}.attn.c_attn`);
    const [q, k, v] = np.split(qkv, 3, 1).map((part) => part.reshape([1, 1, NH, C / NH]));
    const write = (old: JaxArray, row: JaxArray) =>
      old.mul(np.array(1).sub(here.ref)).add(row.mul(here.ref));
    const keys = after[`k${layer}`] = write(cache[`k${layer}`], k);
    const values = after[`v${layer}`] = write(cache[`v${layer}`], v);
    const att = nn.dotProductAttention(q, keys.ref, values.ref, { bias: bias.ref });
    x = x.add(linear(att.reshape([1, C]), `${h}.attn.c_proj`));
    const fc = nn.gelu(linear(norm(x.ref, `${h}.ln_2`), `${h}.mlp.c_fc`), { approximate: true });
    x = x.add(linear(fc, `${h}.mlp.c_proj`));
  }
  here.dispose();
  bias.dispose();
  const logits = np.matmul(norm(x, "transformer.ln_f"), wte.transpose());
  return { logits: logits.reshape([-1]), cache: after };
}

/** One stream with a cache of L positions; the interface of `Decoder`. */
export class JaxDecoder implements Disposable {
  readonly #params: Tree;
  readonly #step;
  #cache: Cache;

  private constructor(config: ModelConfig, pool: Float32Array) {
    const { heads: NH, width: C, layers, contextLength: L } = config;
    this.#params = treeOf(config, pool);
    const names = Array.from({ length: layers }, (_, layer) => [`k${layer}`, `v${layer}`]).flat();
    this.#cache = Object.fromEntries(names.map((name) => [name, np.zeros([1, L, NH, C / NH])]));
    this.#step = jit((params: Tree, cache: Cache, token: JaxArray, position: JaxArray) =>
      stepOf(params, cache, token, position, config)
    );
  }

  /** @throws {Error} if jax-js cannot start its wasm backend here. */
  static async create(config: ModelConfig, pool: Float32Array): Promise<JaxDecoder> {
    await startJax("wasm");
    return new JaxDecoder(config, pool);
  }

  #advance(token: number, position: number): JaxArray {
    const [at, place] = [token, position].map((id) => int32(Uint32Array.of(id)));
    const result = this.#step(keep(this.#params), this.#cache, at, place) as Result;
    this.#cache = result.cache;
    return result.logits;
  }

  prefill(_slot: number, tokens: Uint32Array, start: number = 0): void {
    tokens.forEach((token, i) => this.#advance(token, start + i).dispose());
  }

  async step(tokens: Uint32Array, positions: Uint32Array): Promise<Float32Array> {
    return await this.#advance(tokens[0], positions[0]).data() as Float32Array;
  }

  [Symbol.dispose](): void {
    for (const array of Object.values({ ...this.#params, ...this.#cache })) array.dispose();
    this.#step.dispose();
  }
}
