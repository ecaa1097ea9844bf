import { assert, assertEquals, assertRejects } from "@std/assert";
import type { ModelConfig } from "../src/model/config.ts";
import { initialParameters } from "../src/model/parameters.ts";
import { loadWeights } from "../src/model/weights.ts";
import { type Checkpoint, loadCheckpoint, saveCheckpoint } from "../src/trainer/checkpoint.ts";

const CONFIG: ModelConfig = { vocabSize: 3, contextLength: 8, layers: 1, width: 8, heads: 2 };

function checkpoint(seed: number): Checkpoint {
  return {
    config: CONFIG,
    parameters: initialParameters(CONFIG, seed),
    m: initialParameters(CONFIG, seed + 1),
    v: initialParameters(CONFIG, seed + 2).map((x) => x * x),
    state: { step: seed, stream: { pending: [[0, 1], [1, 2]] }, loss: 1 / 3 },
    tokenizerJson: JSON.stringify({
      added_tokens: [{ id: 2, content: "<|endoftext|>" }],
      model: { type: "BPE", vocab: { a: 0, b: 1 }, merges: [] },
    }),
  };
}

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

Deno.test("loadCheckpoint() gives back what saveCheckpoint() was given, sharded or not", async () => {
  await inFolder(async (folder) => {
    await saveCheckpoint(`${folder}/a/b`, checkpoint(1));
    assertEquals(await loadCheckpoint(`${folder}/a/b/`), checkpoint(1));
    await saveCheckpoint(`${folder}/a/b/`, { ...checkpoint(2), maxShardSize: 2000 });
    assertEquals(await loadCheckpoint(`${folder}/a/b`), checkpoint(2));
    assertEquals(await names(`${folder}/a`), ["b"]);
    assert((await names(`${folder}/a/b`)).includes("adamw_v.safetensors.index.json"));
  });
});

Deno.test("loadWeights() loads the weights of a checkpoint", async () => {
  await inFolder(async (folder) => {
    await saveCheckpoint(`${folder}/x`, checkpoint(1));
    const { parameters, config, tokenizerJson } = await loadWeights(`${folder}/x`);
    assertEquals({ parameters, config, tokenizerJson }, {
      parameters: checkpoint(1).parameters,
      config: CONFIG,
      tokenizerJson: checkpoint(1).tokenizerJson,
    });
  });
});

Deno.test("saveCheckpoint() keeps the checkpoint before when the new one cannot be written", async () => {
  await inFolder(async (folder) => {
    await saveCheckpoint(`${folder}/x`, checkpoint(1));
    const bad = checkpoint(2);
    bad.v[0] = Infinity;
    await assertRejects(() => saveCheckpoint(`${folder}/x`, bad), RangeError, "not finite");
    await assertRejects(
      () => saveCheckpoint(`${folder}/x`, { ...checkpoint(2), maxShardSize: 0 }),
      RangeError,
      "give a size above 0",
    );
    assertEquals(await loadCheckpoint(`${folder}/x`), checkpoint(1));
    assertEquals(await names(folder), ["x"]);
  });
});

Deno.test("loadCheckpoint() finds a whole checkpoint wherever a kill fell", async () => {
  await inFolder(async (folder) => {
    const x = `${folder}/x`;
    // While the new one was being written:
    await saveCheckpoint(x, checkpoint(1));
    await Deno.mkdir(`${x}.partial`);
    await Deno.writeTextFile(`${x}.partial/model.safetensors`, "half");
    assertEquals(await loadCheckpoint(x), checkpoint(1));
    // Between the two renames:
    await Deno.rename(x, `${x}.previous`);
    assertEquals(await loadCheckpoint(x), checkpoint(1));
    // The next save clears up, in either state.
    await saveCheckpoint(x, checkpoint(2));
    assertEquals(await names(folder), ["x"]);
    await saveCheckpoint(`${x}.previous`, checkpoint(3));
    await saveCheckpoint(x, checkpoint(4));
    assertEquals(await names(folder), ["x"]);
    assertEquals(await loadCheckpoint(x), checkpoint(4));
  });
});

Deno.test("saveCheckpoint() leaves a whole checkpoint when it is killed", async () => {
  await inFolder(async (folder) => {
    const script = `
      import { loadCheckpoint, saveCheckpoint } from ${
      JSON.stringify(new URL("../src/trainer/checkpoint.ts", import.meta.url).href)
    };
      const folder = Deno.args[0];
      const checkpoint = await loadCheckpoint(folder);
      for (let step = 2;; step++) {
        checkpoint.parameters.fill(step);
        checkpoint.m.fill(step);
        await saveCheckpoint(folder, { ...checkpoint, state: { step } });
        console.log(step);
      }`;
    const x = `${folder}/x`;
    await saveCheckpoint(x, { ...checkpoint(1), state: { step: 1 } });
    await Deno.writeTextFile(`${folder}/writer.ts`, script);
    const config = new URL("../deno.json", import.meta.url).pathname;
    for (let kill = 0; kill < 3; kill++) {
      const child = new Deno.Command(Deno.execPath(), {
        args: ["run", "--no-check", "-c", config, "-RW", `${folder}/writer.ts`, x],
        stdout: "piped",
        stderr: "null",
      }).spawn();
      const reader = child.stdout.getReader();
      let steps = 0;
      while (steps < 4 + 3 * kill) {
        const { value, done } = await reader.read();
        assert(!done, "the writer ended by itself");
        steps += value!.filter((byte) => byte === 10).length;
      }
      child.kill("SIGKILL");
      await child.status;
      await reader.cancel();
      const { parameters, m, state } = await loadCheckpoint(x);
      assert((state.step as number) >= steps);
      assertEquals([parameters[0], m[0]], [state.step, state.step]);
    }
  });
});

Deno.test("loadCheckpoint() throws one sentence with a remedy when a file is wrong", async () => {
  await inFolder(async (folder) => {
    const x = `${folder}/x`;
    await assertRejects(() => loadCheckpoint(x), Deno.errors.NotFound, "there is no checkpoint");
    const cases: [() => Promise<void>, new () => Error, string][] = [
      [
        () => Deno.remove(`${x}/adamw_m.safetensors`),
        Deno.errors.NotFound,
        "no adamw_m.safetensors",
      ],
      [() => Deno.remove(`${x}/trainer_state.json`), Deno.errors.NotFound, "no trainer_state.json"],
      [() => Deno.truncate(`${x}/trainer_state.json`, 20), SyntaxError, "is no JSON object"],
      [
        async () => {
          const text = await Deno.readTextFile(`${x}/trainer_state.json`);
          await Deno.writeTextFile(`${x}/trainer_state.json`, text.replace('"step":1', '"step":3'));
        },
        RangeError,
        "has changed since it was written",
      ],
      [
        () => Deno.writeTextFile(`${x}/trainer_state.json`, '{"version":9}'),
        RangeError,
        "has layout 9, expected 1",
      ],
      [
        async () => {
          const bytes = await Deno.readFile(`${x}/adamw_v.safetensors`);
          bytes[bytes.length - 1] ^= 64;
          await Deno.writeFile(`${x}/adamw_v.safetensors`, bytes);
        },
        RangeError,
        "its data has changed",
      ],
      [() => Deno.truncate(`${x}/adamw_v.safetensors`, 999), RangeError, "adamw_v.safetensors"],
    ];
    for (const [damage, type, message] of cases) {
      await saveCheckpoint(x, checkpoint(1));
      await damage();
      const error = await assertRejects(() => loadCheckpoint(x), type, message);
      assert(/[;:,] [^;]+\.$/.test(error.message), error.message);
    }
  });
});
