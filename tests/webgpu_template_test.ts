import { assertEquals, assertThrows } from "@std/assert";
import { planMatmul } from "../src/backend/webgpu/matmul_plan.ts";
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

Deno.test("planMatmul() covers k and keeps within its parts on many shapes", () => {
  const lengths = [1, 3, 64, 65, 384, 1152, 8000, 8192];
  for (const m of lengths) {
    for (const n of lengths) {
      for (const k of lengths) {
        const maxParts = 1 << 22;
        const { side, splits, depth } = planMatmul(m, n, k, maxParts);
        assertEquals(depth % side, 0, `${m} ${n} ${k}`);
        assertEquals(splits * depth >= k && (splits - 1) * depth < k, true, `${m} ${n} ${k}`);
        assertEquals(splits === 1 || splits * m * n <= maxParts, true, `${m} ${n} ${k}`);
      }
    }
  }
});

Deno.test("planMatmul() splits the weight gradients of a small model and no large product", () => {
  assertEquals(planMatmul(384, 1536, 8192, 1 << 25), { side: 16, splits: 7, depth: 1184 });
  assertEquals(planMatmul(8192, 1536, 384, 1 << 25), { side: 16, splits: 1, depth: 384 });
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
