import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  type NamedTensor,
  parseHeader,
  readSafetensors,
  writeSafetensors,
} from "../src/model/safetensors.ts";
import { Random } from "../src/random.ts";

/** A file with this text as its header and `data` bytes after it. */
function fileOf(header: string, data = 0, claimed?: bigint): Uint8Array<ArrayBuffer> {
  const text = new TextEncoder().encode(header);
  const file = new Uint8Array(8 + text.length + data);
  new DataView(file.buffer).setBigUint64(0, claimed ?? BigInt(text.length), true);
  file.set(text, 8);
  return file;
}

const TENSORS: NamedTensor[] = [
  { name: "i64", shape: [1], data: new BigInt64Array([-5n]) },
  { name: "f32", shape: [2, 3], data: new Float32Array([1, -2, 3.5, 0, NaN, Infinity]) },
  { name: "u32", shape: [2], data: new Uint32Array([0, 0xffffffff]) },
  { name: "i32", shape: [], data: new Int32Array([-7]) },
  { name: "f16", shape: [3, 1], data: new Float16Array([1, 65504, 6e-8]) },
  { name: "u16", shape: [1], data: new Uint16Array([65535]) },
  { name: "empty", shape: [0, 4], data: new Float32Array(0) },
  { name: "i8", shape: [3], data: new Int8Array([-128, 0, 127]) },
  { name: "__proto__", shape: [1], data: new Uint8Array([9]) },
];

Deno.test("readSafetensors() gives back what writeSafetensors() was given", () => {
  const file = writeSafetensors(TENSORS, { format: "pt", note: "é" });
  const { tensors, metadata } = readSafetensors(file);
  assertEquals(metadata, { format: "pt", note: "é" });
  assertEquals([...tensors.keys()].sort(), TENSORS.map(({ name }) => name).sort());
  for (const { name, shape, data } of TENSORS) {
    assertEquals(tensors.get(name)!.shape, shape);
    assertEquals(tensors.get(name)!.data, data);
  }
});

Deno.test("writeSafetensors() writes the bytes that the format demands", () => {
  const file = writeSafetensors([{ name: "a", shape: [1], data: new Float32Array([1]) }]);
  const header = '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}  ';
  assertEquals([...file.subarray(0, 8)], [header.length, 0, 0, 0, 0, 0, 0, 0]);
  assertEquals(new TextDecoder().decode(file.subarray(8, 8 + header.length)), header);
  assertEquals([...file.subarray(8 + header.length)], [0, 0, 0x80, 0x3f]);
});

Deno.test("writeSafetensors() throws when a name or a shape cannot be", () => {
  const tensor = { name: "a", shape: [2], data: new Float32Array(2) };
  assertThrows(() => writeSafetensors([tensor, tensor]), RangeError, 'the name "a" is taken');
  assertThrows(
    () => writeSafetensors([{ ...tensor, shape: [3] }]),
    RangeError,
    "has 2 elements, expected 3",
  );
});

Deno.test("readSafetensors() throws one sentence with a remedy when a field is wrong", () => {
  const entry = (fields: object, data = 4): Uint8Array<ArrayBuffer> =>
    fileOf(
      JSON.stringify({ a: { dtype: "F32", shape: [1], data_offsets: [0, 4], ...fields } }),
      data,
    );
  assertEquals(readSafetensors(entry({})).tensors.size, 1);
  const ranges: [Uint8Array<ArrayBuffer>, string][] = [
    [new Uint8Array(7), "the file has 7 bytes, too few for a header"],
    [fileOf("{}", 0, 3n), "the header claims 3 bytes in a file of 10"],
    [fileOf("{}", 0, 1n << 63n), "claims 9223372036854775808 bytes"],
    [entry({ dtype: "F99" }), "has type F99"],
    [entry({ dtype: { toString: 1 } }), "has type object"],
    [entry({ dtype: "toString" }), "has type toString"],
    [entry({ shape: [-1] }), "short list of whole numbers"],
    [entry({ shape: [1.5] }), "short list of whole numbers"],
    [entry({ shape: [2 ** 53] }), "short list of whole numbers"],
    [entry({ shape: Array(9).fill(1) }), "short list of whole numbers"],
    [entry({ shape: Array(8).fill(2 ** 52) }), "bytes and has 4"],
    [entry({ shape: [2] }), "of shape [2] needs 8 bytes and has 4"],
    [entry({ data_offsets: [4, 0] }), "lies at bytes 4 to 0 of 4"],
    [entry({ data_offsets: [0, 8], shape: [2] }), "lies at bytes 0 to 8 of 4"],
    [entry({ data_offsets: [0] }), "two whole numbers"],
    [entry({ data_offsets: [4, 8] }, 8), "begins at byte"],
    [entry({}, 5), "bytes, expected"],
    [
      fileOf(
        JSON.stringify({
          a: { dtype: "U8", shape: [3], data_offsets: [0, 3] },
          b: { dtype: "U8", shape: [2], data_offsets: [2, 4] },
        }),
        4,
      ),
      'the data of "b" begins at byte',
    ],
  ];
  for (const [file, message] of ranges) {
    assertThrows(() => readSafetensors(file), RangeError, message);
  }
  const a = '"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}';
  const syntaxes: [Uint8Array<ArrayBuffer>, string][] = [
    [fileOf("{"), "the header is not JSON"],
    [fileOf("[]"), "the header is no object"],
    [fileOf("null"), "the header is no object"],
    [fileOf('{"a":[]}'), 'the entry of "a" is no object'],
    [fileOf('{"__metadata__":{"x":1}}'), 'metadata "x" is no text'],
    [fileOf(`{${a},${a}}`, 1), '"a" stands twice'],
    [fileOf(`{${a},${a.replace('"a"', '"\\u0061"')}}`, 1), '"a" stands twice'],
    [entry({ more: 1 }), 'an unknown field "more"'],
    [fileOf("[".repeat(1_000_000)), "the header is not JSON"],
    [fileOf(`{"a":${"[".repeat(500_000)}${"]".repeat(500_000)}}`), "no object"],
    [fileOf(`{"a":{"dtype":${"[".repeat(9e5)}1${"]".repeat(9e5)}}}`), "has type object"],
    [fileOf(`{"${"x".repeat(9_000_000)}":1}`), "x… "],
  ];
  for (const [file, message] of syntaxes) {
    const error = assertThrows(() => readSafetensors(file), Error, message.trim());
    assert(error instanceof SyntaxError || message === "has type object");
    assert(error.message.length < 400);
  }
  const bytes = fileOf("{}");
  bytes[8] = 0xff;
  assertThrows(() => readSafetensors(bytes), SyntaxError, "not UTF-8");
});

Deno.test("parseHeader() survives 1,000 mutated headers", () => {
  const file = writeSafetensors(TENSORS, { format: "pt", sha256: "0123456789abcdef" });
  const length = Number(new DataView(file.buffer).getBigUint64(0, true));
  const text = new TextDecoder().decode(file.subarray(8, 8 + length));
  const data = file.length - 8 - length;
  const random = new Random(11);
  const numbers = ["-1", "1e308", "1e999", "9007199254740993", "0.5", "4294967296", "null", '"4"'];
  const mutants: (() => Uint8Array<ArrayBuffer>)[] = [
    () => { // one to four flipped bits, the length's included
      const mutant = file.slice();
      for (let i = random.below(4); i >= 0; i--) {
        mutant[random.below(8 + length)] ^= 1 << random.below(8);
      }
      return mutant;
    },
    () => fileOf(text, data, BigInt(random.uint32()) << BigInt(random.below(33))),
    () => file.slice(0, random.below(file.length)),
    () => fileOf(text, data + 1 + random.below(64)),
    () => { // one number becomes another
      const found = [...text.matchAll(/\d+/g)];
      const { index, 0: digits } = found[random.below(found.length)];
      const other = numbers[random.below(numbers.length)];
      return fileOf(text.slice(0, index) + other + text.slice(index + digits.length), data);
    },
    () => { // a span moves elsewhere, or is repeated many times
      const from = random.below(length), to = from + random.below(40);
      const at = random.below(length), span = text.slice(from, to);
      return fileOf(text.slice(0, at) + span.repeat(1 + random.below(50)) + text.slice(at), data);
    },
    () => { // deep JSON in place of a value
      const depth = 1 + random.below(20_000),
        [open, close] = ["[]", '{"a":}'][random.below(2)]
          .split(/(?=[\]}])/);
      const found = [...text.matchAll(/(?<=:)("\w+"|\[[\d,]*\])/g)];
      const { index, 0: value } = found[random.below(found.length)];
      const deep = open.repeat(depth) + "1" + close.repeat(depth);
      return fileOf(text.slice(0, index) + deep + text.slice(index + value.length), data);
    },
    () => { // bytes at random
      const mutant = file.slice();
      for (let i = 0; i < 16; i++) mutant[8 + random.below(length)] = random.below(256);
      return mutant;
    },
  ];
  let refused = 0;
  for (let i = 0; i < 1000; i++) {
    const mutant = mutants[i % mutants.length]();
    try {
      const { tensors } = parseHeader(mutant, mutant.length);
      let bytes = 0;
      for (const info of tensors.values()) {
        bytes += info.bytes;
        assert(info.offset + info.bytes <= mutant.length);
      }
      assert(bytes < mutant.length);
    } catch (error) {
      if (!(error instanceof SyntaxError || error instanceof RangeError)) throw error;
      assert(error.message.startsWith("Cannot read safetensors: "), error.message);
      refused++;
    }
  }
  // A flipped bit in a name or in the metadata makes another valid header.
  assert(refused > 800, `${refused} refused`);
});

Deno.test("F16 tensors round to the nearest, ties to even", () => {
  const ulp = 2 ** -10;
  const cases: [number, number][] = [
    [1 + ulp / 2, 1],
    [1 + ulp * 1.5, 1 + 2 * ulp],
    [1 + ulp * 0.5000001, 1 + ulp],
    [65519.99, 65504],
    [65520, Infinity],
    [2 ** -25, 0],
    [2 ** -25 * 1.001, 2 ** -24],
    [3 * 2 ** -25, 2 ** -23],
    [-0, -0],
  ];
  const half = new Float16Array(cases.map(([from]) => from));
  const file = writeSafetensors([{ name: "h", shape: [cases.length], data: half }]);
  const read = readSafetensors(file).tensors.get("h")!.data as Float16Array;
  assertEquals([...read], cases.map(([, to]) => to));
});
