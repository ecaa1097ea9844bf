/**
 * `deno task bench`: speed and memory beside the peers, in one run on one machine. A table, then
 * one JSON line; with `--json` such a line also whenever a case has ended, with all rows so far, so that
 * whoever stops the run keeps them.
 *
 * @module
 */

import { type AdapterKind, adapterKind, reason, type Result, table } from "./measure.ts";
import { type Case, cases, type Options, parse, PROMPT_LENGTH, USAGE, wanted } from "./options.ts";

/**
 * Runs one benchmark. What it needs is loaded only then: a bundle has not all of it.
 * @param tell Called with the rows of each case that has ended, where there are several.
 */
async function run(
  bench: string,
  options: Options,
  adapter: AdapterKind,
  tell: (rows: Result[]) => void,
): Promise<Result[]> {
  const { rounds, threads, python, weights } = options;
  const isGpu = adapter === "real";
  const shared = { rounds, threads, python, steps: options.steps ?? (isGpu ? 10 : 1) };
  const each = async (
    list: Case[],
    measure: (one: Case) => Promise<Result[]>,
  ): Promise<Result[]> => {
    const results: Result[] = [];
    for (const one of list) {
      const rows = (await measure(one)).map((result): Result => {
        return { ...result, input: [one.preset, result.input].filter(Boolean).join(", ") };
      });
      results.push(...rows);
      tell(rows);
    }
    return results;
  };
  const all = cases(options, adapter);
  switch (bench) {
    case "train": {
      const { benchTrain, TRAINEES } = await import("./train.ts");
      const contenders = wanted(TRAINEES, options);
      return await each(all, (one) => benchTrain({ ...shared, ...one, contenders }));
    }
    case "decode": {
      const { benchDecode, DECODERS } = await import("./decode.ts");
      const contenders = wanted(DECODERS, options), { tokens } = options;
      const task = { ...shared, contenders, tokens, promptLength: PROMPT_LENGTH };
      const counts = options.streams ?? (isGpu ? [1, 64] : [1]);
      const models = cases({ ...options, batchSizes: [1], lengths: [1] }, adapter);
      const results: Result[] = [];
      for (const streams of counts) {
        results.push(...await each(models, (one) => benchDecode({ ...task, ...one, streams })));
      }
      return results;
    }
    case "generate": {
      const { benchGenerate } = await import("./generate.ts");
      return await benchGenerate({ rounds, threads, weights });
    }
    case "streams": {
      const { benchStreams, STREAM_COUNTS } = await import("./streams.ts");
      const llama = options.peers.includes("llama.cpp");
      const counts = options.streams ?? STREAM_COUNTS;
      return await benchStreams({ counts, rounds, threads, weights, llama });
    }
    case "cold": {
      const { benchCold } = await import("./cold.ts");
      const llama = options.peers.includes("llama.cpp");
      return await benchCold({ rounds, threads, weights, llama });
    }
    case "matmul": {
      const { benchMatmul, MULTIPLIERS } = await import("./matmul.ts");
      const contenders = wanted(MULTIPLIERS, options);
      return await each(
        all,
        ({ config, batchSize, sequenceLength }) =>
          benchMatmul({ ...shared, config, contenders, rows: batchSize * sequenceLength }),
      );
    }
    case "tokenizer": {
      const { benchTokenizer, ENCODERS } = await import("./tokenizer.ts");
      const contenders = Object.keys(ENCODERS).filter((contender, i) =>
        i === 0 || options.peers.includes(contender)
      );
      return await benchTokenizer({ contenders, rounds, text: options.text });
    }
    case "memory": {
      const { benchMemory } = await import("./memory.ts");
      const [{ preset, config }] = all;
      // The size of the promise: a batch of 8 whole contexts.
      const task = { preset, batchSize: 8, sequenceLength: config.contextLength };
      return await benchMemory({ ...task, growthSteps: options.growth, threads, weights });
    }
    case "roofline": {
      const { benchRoofline } = await import("./roofline.ts");
      return await benchRoofline();
    }
    case "profile": {
      const { benchProfile } = await import("./profile.ts");
      return await each(all, (one) => benchProfile({ ...shared, ...one }));
    }
    case "count": {
      const { benchCount } = await import("./count.ts");
      return await each(all, benchCount);
    }
    case "cost": {
      const { benchCost } = await import("./cost.ts");
      return await benchCost(options, adapter, tell);
    }
    default: {
      const { benchGpu } = await import("./gpu.ts");
      return await benchGpu(options);
    }
  }
}

if (import.meta.main) {
  let options: Options | "help";
  try {
    options = parse(Deno.args);
  } catch (error) {
    console.error(`${reason(error)} See deno task bench --help.`);
    Deno.exit(2);
  }
  if (options === "help") {
    console.log(USAGE);
    Deno.exit();
  }
  const adapter = await adapterKind();
  const machine = {
    deno: Deno.version.deno,
    target: Deno.build.target,
    cores: navigator.hardwareConcurrency,
    adapter,
  };
  const json = (results: Result[]) =>
    console.log(JSON.stringify({ machine, command: Deno.args.join(" "), results }));
  const results: Result[] = [];
  let failed = false;
  for (const bench of options.benches) {
    console.error(`${bench} …`);
    const told = [...results];
    const tell = (rows: Result[]): void => {
      told.push(...rows);
      if (options.json) json(told);
    };
    try {
      results.push(...await run(bench, options, adapter, tell));
    } catch (error) {
      failed = true;
      console.error(`${bench} failed: ${reason(error)}`);
    }
  }
  if (!options.json) console.log(`${table(results)}\n`);
  json(results);
  Deno.exit(failed ? 1 : 0); // peers leave workers behind
}
