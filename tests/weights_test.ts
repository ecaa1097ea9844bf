import { assert, assertEquals, assertRejects } from "@std/assert";
import type { ModelConfig } from "../src/model/config.ts";
import { initialParameters, parameterLayout } from "../src/model/parameters.ts";
import { readSafetensors, writeSafetensors } from "../src/model/safetensors.ts";
import { GENERATION, loadWeights, saveWeights, type Weights } from "../src/model/weights.ts";

const CONFIG: ModelConfig = { vocabSize: 5, contextLength: 8, layers: 1, width: 8, heads: 2 };

/** A `tokenizer.json` with `size` tokens, the last being `<|endoftext|>`. */
function tokenizerJson(size: number, name = "t"): string {
  const vocab = Object.fromEntries(Array.from({ length: size - 1 }, (_, i) => [`${name}${i}`, i]));
  return JSON.stringify({
    added_tokens: [{ id: size - 1, content: "<|endoftext|>", special: true }],
    model: { type: "BPE", vocab, merges: [] },
  });
}

const weights = (): Omit<Weights, "generation"> => ({
  config: CONFIG,
  parameters: initialParameters(CONFIG, 1),
  tokenizerJson: tokenizerJson(5),
});

async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const names = async (folder: string): Promise<string[]> =>
  (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name).sort();

const rounded = (pool: Float32Array): Float32Array<ArrayBuffer> =>
  Float32Array.from(new Float16Array(pool));

Deno.test("loadWeights() gives back what saveWeights() was given, F16 rounded and F32 exactly", async () => {
  await inFolder(async (folder) => {
    const saved = weights();
    await saveWeights(folder, saved);
    const generation = { ...GENERATION };
    const { fingerprint, ...loaded } = await loadWeights(folder);
    assertEquals(loaded, { ...saved, parameters: rounded(saved.parameters), generation });
    assert(/^[0-9a-f]{64}$/.test(fingerprint));
    const mine = { maxTokens: 7, temperature: 0.5, topK: 3, topP: 1 };
    await saveWeights(`${folder}/new/deep`, { ...saved, generation: mine }, { dtype: "F32" });
    const { fingerprint: other, ...exact } = await loadWeights(`${folder}/new/deep/`);
    assertEquals(exact, { ...saved, generation: mine });
    assert(other !== fingerprint);
  });
});

Deno.test("saveWeights() writes the folder that transformers expects", async () => {
  await inFolder(async (folder) => {
    await saveWeights(folder, weights());
    assertEquals(await names(folder), [
      "config.json",
      "generation_config.json",
      "model.safetensors",
      "tokenizer.json",
      "tokenizer_config.json",
    ]);
    const config = JSON.parse(await Deno.readTextFile(`${folder}/config.json`));
    assertEquals(config, {
      model_type: "gpt2",
      architectures: ["GPT2LMHeadModel"],
      vocab_size: 5,
      n_positions: 8,
      n_ctx: 8,
      n_embd: 8,
      n_layer: 1,
      n_head: 2,
      n_inner: null,
      activation_function: "gelu_new",
      layer_norm_epsilon: 0.00001,
      initializer_range: 0.02,
      resid_pdrop: 0,
      embd_pdrop: 0,
      attn_pdrop: 0,
      scale_attn_weights: true,
      tie_word_embeddings: true,
      bos_token_id: 4,
      eos_token_id: 4,
      torch_dtype: "float16",
    });
    const { tensors, metadata } = readSafetensors(
      await Deno.readFile(`${folder}/model.safetensors`),
    );
    assertEquals(metadata.format, "pt");
    assertEquals(tensors.get("transformer.h.0.mlp.c_fc.weight")!.shape, [8, 32]);
    assertEquals(tensors.size, parameterLayout(CONFIG).specs.length);
  });
});

Deno.test("saveWeights() writes shards that loadWeights() reads, and removes those before", async () => {
  await inFolder(async (folder) => {
    const saved = weights();
    await Deno.writeTextFile(`${folder}/README.md`, "kept");
    for (const maxShardSize of [600, 2000, 1, Infinity]) {
      await saveWeights(folder, saved, { dtype: "F32", maxShardSize });
      const shards = (await names(folder)).filter((name) => /^model.*tensors$/.test(name));
      const tensors = parameterLayout(CONFIG).specs.length;
      if (maxShardSize === 1) assertEquals(shards.length, tensors);
      else if (maxShardSize === Infinity) assertEquals(shards, ["model.safetensors"]);
      else assert(shards.length > 1 && shards.length < tensors);
      assertEquals((await loadWeights(folder)).parameters, saved.parameters);
    }
    assertEquals(await Deno.readTextFile(`${folder}/README.md`), "kept");
    await saveWeights(folder, saved, { maxShardSize: 600 });
    const [lost] = (await names(folder)).filter((name) => name.startsWith("model-00002-of-"));
    await Deno.remove(`${folder}/${lost}`);
    await assertRejects(
      () => loadWeights(folder),
      Deno.errors.NotFound,
      `shard ${lost} is missing`,
    );
  });
});

Deno.test("loadWeights() reads file: and http: URLs", async () => {
  await inFolder(async (folder) => {
    const saved = weights();
    await saveWeights(folder, saved, { dtype: "F32" });
    assertEquals((await loadWeights(new URL(`file://${folder}`))).parameters, saved.parameters);
    const server = Deno.serve({ port: 0, onListen: () => {} }, async (request) => {
      const { pathname } = new URL(request.url);
      if (pathname.startsWith("/broken/")) return new Response("", { status: 503 });
      const file = pathname.replace(/^\/model\//, "");
      try {
        return new Response(await Deno.readFile(`${folder}/${file}`));
      } catch {
        return new Response("", { status: 404 });
      }
    });
    const base = `http://localhost:${server.addr.port}`;
    assertEquals((await loadWeights(`${base}/model`)).parameters, saved.parameters);
    await assertRejects(() => loadWeights(`${base}/none`), Deno.errors.NotFound, "no config.json");
    await assertRejects(() => loadWeights(`${base}/broken`), Error, "the server answers 503");
    await server.shutdown();
    await assertRejects(() => loadWeights(`${base}/model`), Error, "cannot be reached");
  });
});

Deno.test("loadWeights() reads names without a prefix and passes over masks and the tied head", async () => {
  await inFolder(async (folder) => {
    const saved = weights();
    await saveWeights(folder, saved, { dtype: "F32" });
    const path = `${folder}/model.safetensors`;
    const { tensors } = readSafetensors(await Deno.readFile(path));
    const old = [...tensors.values()].map((tensor) => ({
      ...tensor,
      name: tensor.name.replace("transformer.", ""),
    }));
    old.push(
      {
        ...tensors.get("transformer.wte.weight")!,
        name: "lm_head.weight",
      },
      {
        ...tensors.get("transformer.wpe.weight")!,
        name: "h.0.attn.bias",
      },
    );
    await Deno.writeFile(path, writeSafetensors(old));
    assertEquals((await loadWeights(folder)).parameters, saved.parameters);
  });
});

Deno.test("loadWeights() throws one sentence with a remedy when a file is wrong", async () => {
  await inFolder(async (folder) => {
    const model = `${folder}/model.safetensors`;
    const saved = weights();
    const cases: [() => Promise<void>, new () => Error, string][] = [
      [() => Deno.remove(`${folder}/config.json`), Deno.errors.NotFound, "no config.json"],
      [() => Deno.remove(`${folder}/tokenizer.json`), Deno.errors.NotFound, "no tokenizer.json"],
      [() => Deno.remove(model), Deno.errors.NotFound, "there is no model.safetensors"],
      [() => Deno.writeTextFile(`${folder}/config.json`, "{"), SyntaxError, "no JSON object"],
      [() => Deno.truncate(model, 5), RangeError, "too few for a header"],
      [() => Deno.truncate(model, 5000), RangeError, "fetch or write it again"],
      [
        async () => await Deno.writeFile(model, new Uint8Array(3), { append: true }),
        RangeError,
        "bytes, expected",
      ],
      [() => Deno.truncate(model, 40_000_000), RangeError, "expected at most"],
      [
        async () => {
          const bytes = await Deno.readFile(model);
          bytes[bytes.length - 9] ^= 1;
          await Deno.writeFile(model, bytes);
        },
        RangeError,
        "its data has changed",
      ],
      [
        () => Deno.writeTextFile(`${folder}/tokenizer.json`, tokenizerJson(6)),
        RangeError,
        "the tokenizer has 6 tokens and the model 5",
      ],
      [
        () => Deno.writeTextFile(`${folder}/tokenizer.json`, tokenizerJson(5, "u")),
        RangeError,
        "tokenizer.json is another model's",
      ],
      [
        async () => { // weights of another program, without a fingerprint
          const { tensors } = readSafetensors(await Deno.readFile(model));
          await Deno.writeFile(model, writeSafetensors([...tensors.values()]));
          await Deno.writeTextFile(`${folder}/tokenizer.json`, tokenizerJson(4));
        },
        RangeError,
        "the tokenizer has 4 tokens and the model 5",
      ],
      [() => Deno.writeTextFile(`${folder}/tokenizer.json`, "{}"), SyntaxError, "no model with"],
      ...([
        [{ n_layer: 2 }, "file has 16 tensors, expected 28"],
        [{ n_positions: 9 }, "wpe.weight has shape [8,8], expected [9,8]"],
        [{ n_head: 3 }, "cannot be shared by 3 heads"],
        [{ n_embd: "8" }, "Model width is 8"],
        [{ n_positions: undefined }, "Model contextLength is undefined"],
        [{ model_type: "llama" }, 'model_type in config.json is "llama", expected "gpt2"'],
        [{ activation_function: "relu" }, "activation_function"],
        [{ tie_word_embeddings: false }, "tie_word_embeddings"],
        [{ n_inner: 16 }, "n_inner"],
      ] as [object, string][]).map(([change, message]): typeof cases[number] => [
        async () => {
          const config = JSON.parse(await Deno.readTextFile(`${folder}/config.json`));
          await Deno.writeTextFile(
            `${folder}/config.json`,
            JSON.stringify({ ...config, ...change }),
          );
        },
        RangeError,
        message,
      ]),
      [
        () => Deno.writeTextFile(`${folder}/generation_config.json`, '{"temperature":"hot"}'),
        RangeError,
        'temperature in generation_config.json is "hot"',
      ],
      ...([
        [{ data: new Float32Array(8).fill(NaN) }, "not finite"],
        [{ data: new Uint8Array(8) }, "holds whole numbers"],
        [{ name: "transformer.other" }, "no tensor transformer.ln_f.bias"],
      ] as [object, string][]).map(([change, message]): typeof cases[number] => [
        async () => {
          const { tensors } = readSafetensors(await Deno.readFile(model));
          const changed = [...tensors.values()].map((tensor) =>
            tensor.name === "transformer.ln_f.bias" ? { ...tensor, ...change } : tensor
          );
          changed.sort((a, b) => b.data.BYTES_PER_ELEMENT - a.data.BYTES_PER_ELEMENT);
          await Deno.writeFile(model, writeSafetensors(changed));
        },
        RangeError,
        message,
      ]),
    ];
    for (const [damage, type, message] of cases) {
      await saveWeights(folder, saved);
      await damage();
      const error = await assertRejects(() => loadWeights(folder), type, message);
      assert(/[;:,] [^;]+\.$/.test(error.message), error.message);
    }
  });
});

Deno.test("saveWeights() writes nothing when the weights are wrong", async () => {
  await inFolder(async (folder) => {
    const saved = weights();
    const nan = saved.parameters.slice();
    nan[3] = NaN;
    const large = saved.parameters.slice();
    large[3] = 70000;
    const refuse = async (change: Partial<Weights>, message: string): Promise<void> => {
      await assertRejects(
        () => saveWeights(`${folder}/x`, { ...saved, ...change }),
        RangeError,
        message,
      );
      assertEquals(await names(folder), []);
    };
    await refuse({ parameters: nan }, "not finite");
    await refuse({ parameters: large }, "too large for F16; save as F32");
    await refuse({ parameters: new Float32Array(9) }, "the pool has 9 elements");
    await refuse({ tokenizerJson: tokenizerJson(9) }, "the tokenizer has 9 tokens");
    await refuse({ config: { ...CONFIG, heads: 3 } }, "3 heads");
  });
});
