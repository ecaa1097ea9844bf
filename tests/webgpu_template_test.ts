import { assertEquals, assertThrows } from "@std/assert";
import {
  candidatePlans,
  fitsShape,
  MATMUL_TILES,
  planMatmul,
  tileConstants,
  tileSize,
} from "../src/backend/webgpu/matmul_plan.ts";
import { float, fold } from "../src/backend/webgpu/program.ts";
import { specialize } from "../src/backend/webgpu/template.ts";

Deno.test("specialize() keeps the part of @if that its flag chooses, nested ones too", () => {
  const source = "// @if A\na\n// @if B\nb\n// @end\n// @else\nno a\n// @end\nlast";
  assertEquals(specialize(source, {}), "no a\nlast");
  assertEquals(specialize(source, { flags: ["A"] }), "a\nlast");
  assertEquals(specialize(source, { flags: ["A", "B"] }), "a\nb\nlast");
});

Deno.test("specialize() repeats @each with its number when nested", () => {
  const source = "// @each i N\n// @each j 2\nx[$i] += y[$j][$iu];\n// @end\n// @end";
  assertEquals(
    specialize(`override N: u32;\n${source}`, { constants: { N: 2 } }),
    [
      "const N: u32 = 2;",
      "x[0] += y[0][0u];",
      "x[0] += y[1][0u];",
      "x[1] += y[0][1u];",
      "x[1] += y[1][1u];",
    ].join("\n"),
  );
});

Deno.test("specialize() names how a tensor is stored and enables f16 where one is", () => {
  const source = "// @stored A F16_A\n// @stored B F16_B";
  assertEquals(specialize(source, {}), "alias A = f32;\nalias B = f32;");
  assertEquals(
    specialize(source, { flags: ["F16_B"] }),
    "enable f16;\nalias A = f32;\nalias B = f16;",
  );
  assertEquals(
    specialize(source, { flags: ["VEC4", "F16_A"] }),
    "enable f16;\nalias A = vec4h;\nalias B = vec4f;",
  );
});

Deno.test("specialize() throws when directives or constants do not fit", () => {
  const thrown = (source: string, constants = {}) =>
    assertThrows(() => specialize(source, { constants }), SyntaxError);
  thrown("// @if A\na");
  thrown("a\n// @end");
  thrown("override N: u32;");
  thrown("a", { N: 1 });
  thrown("// @each i N\na\n// @end");
});

const shape = (m: number, n: number, k: number) => ({ m, n, k, flags: [] });

Deno.test("planMatmul() and candidatePlans() cover k and keep within their parts", () => {
  const lengths = [1, 3, 64, 65, 384, 1152, 8000, 8192], maxParts = 1 << 22;
  for (const m of lengths) {
    for (const n of lengths) {
      for (const k of lengths) {
        const plans = candidatePlans(shape(m, n, k), maxParts);
        assertEquals(plans[0], planMatmul(shape(m, n, k), maxParts));
        assertEquals(new Set(plans.map((plan) => JSON.stringify(plan))).size, plans.length);
        for (const plan of plans) {
          assertEquals(fitsShape(plan, shape(m, n, k), maxParts), true, `${m} ${n} ${k}`);
          assertEquals(plan.depth % plan.tile.step, 0, `${m} ${n} ${k}`);
        }
      }
    }
  }
});

Deno.test("planMatmul() splits the weight gradients of a small model and no large product", () => {
  const tile = { rows: 16, columns: 16, high: 2, wide: 2, step: 16 };
  assertEquals(planMatmul(shape(384, 1536, 8192), 1 << 25), { tile, splits: 7, depth: 1184 });
  assertEquals(planMatmul(shape(8192, 1536, 384), 1 << 25), { tile, splits: 1, depth: 384 });
});

Deno.test("candidatePlans() has flat tiles alone for few rows, and the large one for many", () => {
  const heights = (m: number) =>
    new Set(candidatePlans(shape(m, 1152, 384), 1 << 25).map(({ tile }) => tileSize(tile).m));
  assertEquals([...heights(16)], [16]);
  assertEquals(heights(8192).has(128), true);
});

Deno.test("tiles stage no more than 16 KiB, and threads take no more blocks than they need", () => {
  for (const tile of MATMUL_TILES) {
    const { m, n } = tileSize(tile), { FETCHES } = tileConstants(tile);
    const threads = tile.rows * tile.columns, elements = (m + n) * tile.step;
    assertEquals(4 * elements <= 16384, true);
    assertEquals(threads <= 256, true);
    assertEquals(16 * threads * FETCHES >= elements, true);
    assertEquals(16 * threads * (FETCHES - 1) < elements, true);
  }
});

Deno.test("fold() keeps each dimension within the limit and loses no workgroup", () => {
  for (const groups of [1, 7, 10, 11, 99, 100]) {
    const [x, y, z] = fold(groups, 10);
    assertEquals(x <= 10 && y <= 10 && z === 1 && x * y >= groups, true, String(groups));
  }
});

Deno.test("float() gives the bits of an f32", () => {
  assertEquals([1, -2.5, 0].map(float), [0x3f800000, 0xc0200000, 0]);
});
