/**
 * Compares a backend with the reference on the table of op cases.
 */

import { assert, assertEquals } from "@std/assert";
import type { Backend, Tensor } from "../src/backend/backend.ts";
import { ReferenceBackend } from "../src/backend/reference/reference_backend.ts";
import { Random } from "../src/random.ts";
import { type DrawnCase, dtypeOf, type OpCase } from "./op_case.ts";

/** Elements of a guard on either side of a tensor; writing one means writing out of bounds. */
const GUARD = 128;
const GUARD_VALUE = 7.25;

/**
 * Allowed besides a case's own tolerance where the result is f16: two results of f32 that differ in
 * their last bits may be rounded to neighbours, which are up to 2^-10 of their value apart.
 */
const F16_TOLERANCE = 2 ** -10;

/** Runs a drawn case on a backend; returns its outputs, and checks the guards around them. */
async function run(backend: Backend, drawn: DrawnCase): Promise<Record<string, Float32Array>> {
  const whole: Record<string, Tensor> = {}, parts: Record<string, Tensor> = {};
  for (const [name, tensor] of Object.entries(drawn.tensors)) {
    const { shape, data } = tensor, dtype = dtypeOf(tensor);
    const padded = Math.ceil(data.length / GUARD) * GUARD + 2 * GUARD;
    const guarded = dtype === "u32" ? new Uint32Array(padded) : new Float32Array(padded);
    guarded.fill(dtype === "u32" ? 0 : GUARD_VALUE).set(data, GUARD);
    whole[name] = backend.tensor([padded], dtype);
    backend.write(whole[name], guarded);
    parts[name] = backend.view(whole[name], GUARD, shape);
  }
  backend.run(backend.record((ops) => drawn.record(ops, parts)));
  const results: Record<string, Float32Array> = {};
  const readable = Object.keys(whole).filter((name) => whole[name].dtype !== "u32");
  // Side by side, as a readback takes Deno 11.5 ms.
  const read = await Promise.all(readable.map((name) => backend.read(whole[name])));
  for (const [i, name] of readable.entries()) {
    const data = read[i];
    const { size } = parts[name];
    data.forEach((value, i) => {
      if (i < GUARD || i >= GUARD + size) {
        assertEquals(value, GUARD_VALUE, `${name} was written at ${i - GUARD} of ${size}`);
      }
    });
    const part = data.subarray(GUARD, GUARD + size);
    if (drawn.outputs.includes(name)) results[name] = part;
    else if (!drawn.tensors[name].data.every((x, i) => Object.is(x, part[i]))) {
      // Attention's backward case computes its own forward outputs; nothing else may change.
      assert(["out", "lse"].includes(name), `${name} is an input and was changed`);
    }
  }
  for (const tensor of Object.values(whole)) backend.free(tensor);
  return results;
}

/** Draws a case several times; every output must agree with the reference's within its tolerance. */
export async function checkParity(backend: Backend, opCase: OpCase, draws: number): Promise<void> {
  using reference = new ReferenceBackend();
  for (let draw = 0; draw < draws; draw++) {
    const drawn = opCase.draw(new Random(draw * 7919 + opCase.name.length));
    const expected = await run(reference, drawn);
    const actual = await run(backend, drawn);
    for (const name of drawn.outputs) {
      const isHalf = dtypeOf(drawn.tensors[name]) === "f16";
      const tolerance = opCase.tolerance + (isHalf ? F16_TOLERANCE : 0);
      for (let i = 0; i < expected[name].length; i++) {
        const [a, e] = [actual[name][i], expected[name][i]];
        assert(
          Math.abs(a - e) <= tolerance * (1 + Math.abs(e)), // false for NaN
          `${opCase.name}, draw ${draw}: ${name} (${drawn.tensors[name].shape}) at ${i} is ${a}, ` +
            `expected ${e}`,
        );
      }
    }
  }
}
