/**
 * The peer of the cold start: loads a GGUF file into llama.cpp, reads a prompt and prints the
 * first token that it draws. In a process of its own, started by cold.ts.
 *
 * @module
 */

import { LlamaDecoder } from "./peers/llama_decode.ts";

if (import.meta.main) {
  const [path, contextLength, ids] = Deno.args;
  const prompt = Uint32Array.from(ids.split(","), Number), last = prompt.length - 1;
  // One thread: starting more costs as much as they save on one token.
  const decoder = await LlamaDecoder.open(path, {
    contextLength: Number(contextLength),
    threads: 1,
  });
  await decoder.prefill(prompt.subarray(0, last));
  const [token] = await decoder.decode(prompt[last], last, 1);
  console.log(token);
  Deno.exit();
}
