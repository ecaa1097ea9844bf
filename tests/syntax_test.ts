import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { Random } from "../src/random.ts";
import { checkSyntax, Syntax } from "../src/syntax/syntax.ts";
import { bashComplaints } from "./bash_check.ts";
import {
  agreement,
  concat,
  drawPiece,
  excerpt,
  mutant,
  ownScripts,
  randomScript,
} from "./syntax_fuzz.ts";

const utf8 = new TextEncoder();
const scripts = ownScripts();

/** The state after a text, which has to be viable. */
function after(text: string): Syntax {
  const syntax = new Syntax();
  assert(syntax.push(utf8.encode(text)), `${JSON.stringify(text)}: ${syntax.fault?.message}`);
  return syntax;
}

/** Commands to put a script into. */
const AROUND = [
  ["if :; then :\n", "\nfi\n"],
  ["while :; do :\n", "\ndone\n"],
  ["(:\n", "\n)\n"],
  ["{ :\n", "\n}\n"],
  ["case _ in _) :\n", "\n;; esac\n"],
];

/** Lets bash check scripts that `Syntax` takes for valid. */
async function assertValid(scripts: readonly Uint8Array[]): Promise<void> {
  const complaints = await bashComplaints(scripts);
  const bad = complaints.findIndex((complaint) => complaint !== undefined);
  assert(bad < 0, `${complaints[bad]}: ${new TextDecoder().decode(scripts[bad])}`);
}

const VALID = [
  "",
  "\n\n# nothing\n",
  "echo hi; echo ho & echo hu && echo he || echo ha |& cat | cat\n",
  "echo if then fi } ]] {a,b} a=1 ! time",
  'a=1 b+=2 c[i + 1]=3 d=(1 "2 3" [4]=5 # six\n7) cmd',
  "declare -a a=(1) b=(2); local c=(3); export d=(4)",
  ">x <y a=1 2>&1 cmd {fd}>z 3<&- &>w &>>v >|u <>t <<<s",
  "if a; then b; elif c; then d; else e; fi >x 2>&1 | f",
  "if (a) then { b; } fi; while [[ a ]] do (b) done",
  "while a; do b; done; until a\ndo\nb\ndone < x &",
  "for x in a b; do c; done; for x; do c; done; for x do c; done",
  "for x\ndo a; done; for x in a\ndo b; done; for x in; do c; done",
  "for ((i = 0; i < ${#a[@]}; i++)); do b; done; for ((;;)) { b; }",
  "select x in a b; do c; done",
  "case x in a|'b c') d;; (e) ;; f) g;& h) i;;& *) j; esac >k",
  "case $x in esac; case x in\n\n#c\na) ;;\nesac; case in in esac",
  "f() { a; }; f-g () ( a ) >x; function h { a; }; function i() [[ a ]]; j()\n\nif a; then b; fi",
  "! a; time -p b | c; ! ! d; time { e; }; e && ! f",
  "coproc a; coproc N { b; }; coproc { c; } 2>x",
  "[[ a == b* && ! -f c || ( d -nt e ) ]]; [[ -n $a\n&&\nb < c ]]",
  "[[ $a =~ ^(a|b c)+$ ]]; [[ $a =~ $r|x ]]; [[ a != @(b|c)* ]]; [[ a == !(b) ]]",
  "(( a = (b + 1) * 2 )); x=$((1 + $(a))) y=$[1+2]; ((a)) && ((b++))",
  'echo $(a; b) `c \'d` "$(e "f" `g`)" <(h) >(i) $() x<(j)y',
  'echo "${a:-"b c"}" ${a//\'}\'/\\}} ${a:-$(b})} $\'a\\\'b\' $"c" "$" "$\'a" $$',
  "cat <<A <<-'B' >x\n$(a\nA\n\tb\\\n\tB\necho",
  "cat <<A\na\\\nA\nA\n",
  "if cat <<A; then\nx\nA\nb; fi; x=$(cat <<A | c\nx)\nA\n)",
  "a |\nb &&\n\n# c\nd |\\\n e; f \\\n g &\\\n& h",
  "i\\\nf a; then b; fi; (a; (b)); { { a; } }",
  "echo a#b #c ' d\necho é ü=1",
  "a\r\n",
];

const INVALID = [
  ...[
    "fi",
    "done",
    "}",
    ")",
    "in",
    "]]",
    "then a",
    ";",
    "&",
    "| a",
    "&& a",
    "a;;",
    "a; ; b",
    "a & ; b",
  ],
  ...[
    "a && ; b",
    "a | | b",
    "a & & b",
    "a ||| b",
    "{ }",
    "( )",
    "if a; then fi",
    "while; do a; done",
  ],
  ...["if a then b; fi; fi", "if a; then; b; fi", "if a; then b; else c; elif d; then e; fi"],
  ...[
    "for x in a do b; done",
    "for x y; do a; done",
    "for x in a & do b; done",
    "for\nx; do a; done",
  ],
  ...[
    "for ((;)); do a; done",
    "for ((;;;)); do a; done",
    "while a do b; done",
    "select x in a; done",
  ],
  ...[
    "case x in a b) c;; esac",
    "case x in; a) b;; esac",
    "case x in a) b;; ;; esac",
    "case x y in",
  ],
  ...["case x in a |\nb) c;; esac", "case x in a) if b; then c;; esac", "case\nx in a) b;; esac"],
  ...[
    "f() a",
    "f( a ) { b; }",
    "a b() { c; }",
    "f() { a; } b",
    "function f; { a; }",
    "f() g() { a; }",
  ],
  ...["(a) b", "(a) (b)", "{ a; } a=1", "((a)) b", "((a)))", "[[ a ]] b", "{ a; } 2", "(a)2<(b)"],
  ...[
    "[[ ]]",
    "[[ a b ]]",
    "[[ -f ]]",
    "[[ a -foo b ]]",
    "[[ a == ]]",
    "[[ a; ]]",
    "[[ a\n== b ]]",
  ],
  ...["[[ a & b ]]", "[[ ( a ]]", "[[ a ) ]]", "[[ a == (b) ]]", "[[ @(a) == b ]]", "[[ 2<3 ]]"],
  ...["a >", "a > > b", "a >\nb", "a >1>2", "a <<2>b", "a &>&b", "cat <<\nA", "a <<<", "cat <<A >"],
  ...["echo (a)", "a (b)", "$x(a)", "a=b(c)", "x a=(1)", "a=(b; c)", "a=(b (c))", "a= (1)", "@(a)"],
  ...[
    "echo *(a)",
    "echo !(a)",
    "echo $$(a)",
    "a | ! b",
    "time | a",
    "! && a",
    "$(a;;)",
    "$(time (a))",
  ],
  ...[
    "x=$(cat <<A)\nA\n",
    "x=$(cat <<A\nA)\n",
    "$(if a; then b)",
    "echo $(a",
    'echo "a',
    "echo 'a",
  ],
  ...["echo ${a", "echo `a", "a=(", "a[", "((a)", "$((1", "x=$(( ${a:-)} ))", 'echo "${a:-it\'s}"'],
  ...[
    "cat <<A\n",
    "cat <<A\nx",
    "cat <<A\n A\n",
    "cat <<'A'\nx\\\nAA\n",
    "a && ",
    "a |",
    "if a",
    "case x in",
  ],
];

Deno.test("Syntax accepts what bash accepts", async () => {
  const complaints = await bashComplaints(VALID.map((text) => utf8.encode(text)));
  VALID.forEach((text, i) => {
    assertEquals(complaints[i], undefined, text);
    assertEquals(checkSyntax(text), { valid: true }, text);
  });
});

Deno.test("Syntax refuses what bash refuses", async () => {
  const complaints = await bashComplaints(INVALID.map((text) => utf8.encode(text)));
  INVALID.forEach((text, i) => {
    assert(complaints[i] !== undefined || text === "[[ ]]", `bash accepts ${text}`);
    assert(!checkSyntax(text).valid, `accepted: ${text}`);
  });
});

Deno.test("Syntax says where and why", () => {
  assertEquals(checkSyntax("echo\n\ndone\n"), {
    valid: false,
    incomplete: false,
    line: 3,
    message: "`done` does not belong in the script",
  });
  const unfinished = checkSyntax("if a; then\nb");
  assert(!unfinished.valid && unfinished.incomplete && unfinished.line === 2);
  assertStringIncludes(unfinished.message, "fi");
  const syntax = after("a\nb\n");
  assertEquals([syntax.line, syntax.fault], [3, undefined]);
  assert(!syntax.push(utf8.encode(";")) && !syntax.push(utf8.encode("a")));
});

Deno.test("Syntax closes what is open with little text", async () => {
  const closings: [text: string, closing: string][] = [
    ["echo", ""],
    ["for f in *; do echo", "; done"],
    ["for f in *; do\n  echo\n", "done"],
    ["if", " :; then :; fi"],
    ["if a; then b\nel", "; fi"],
    ["case $1 in a) b", ";; esac"],
    ['echo "$(date', ')"'],
    ["echo ${", "_}"],
    ["[[ -f a", " ]]"],
    ["f() {", " :; }"],
    ["cat <<EOF\ntext", "\nEOF"],
    ["x=$(cat <<EOF", "\nEOF\n)"],
    ["a &&", " :"],
    ["a >", "/dev/null"],
    ["for", " _; do :; done"],
    ["fi", "_"],
    ["echo 'a", "'"],
    ["a=(1", ")"],
    ["echo \\", "\n"],
  ];
  for (const [text, closing] of closings) {
    const got = after(text).closing();
    assertEquals(got.replace(/(?<=&&|>) /, ""), closing.replace(/^ (?=:$)/, ""), text);
  }
  const whole = closings.map(([text]) => utf8.encode(text + after(text).closing()));
  assertEquals(await bashComplaints(whole), closings.map(() => undefined));
});

Deno.test("Syntax refuses at once what can no longer become valid", () => {
  const refused: [viable: string, byte: string][] = [
    ["a;", ";"],
    ["if a; then ", ";"],
    ["for x i", "f"],
    ["for x in a; do b; done ", "x"],
    ["case x in a", ";"],
    ["[[ a ", "b"],
    ["echo a ", "("],
    ["f()", "x"],
    ["((a)", " "],
    ["x=$(cat <<A", ")"],
    ["echo \u0009", "\0"],
  ];
  for (const [viable, byte] of refused) {
    assert(!after(viable).push(utf8.encode(byte)), `${viable}${byte}`);
  }
});

Deno.test("Syntax accepts this repository's scripts, and closes any beginning of them", async () => {
  const random = new Random(1);
  const closed: Uint8Array[] = [];
  const together: Uint8Array[] = [];
  for (const script of scripts) {
    assertEquals(checkSyntax(script), { valid: true });
    const bytes = utf8.encode(script);
    const parts: Uint8Array[] = [];
    for (let i = 0; i < 40; i++) {
      const beginning = bytes.subarray(0, random.below(bytes.length));
      const syntax = new Syntax();
      assert(syntax.push(beginning));
      const whole = concat([beginning, utf8.encode(syntax.closing())]);
      closed.push(whole);
      // In turn in all kinds of commands, so that what ends too late or early collides.
      const [open, close] = AROUND[i % AROUND.length];
      parts.push(utf8.encode(open), whole, utf8.encode(close));
    }
    together.push(concat(parts));
  }
  await assertValid(together);
  await assertValid(closed.filter((_, i) => i % 8 === 0));
});

Deno.test("Syntax.closing() throws when no valid script begins so", () => {
  const syntax = new Syntax();
  assertEquals(syntax.push(utf8.encode("if a; fi\n")), false);
  assertThrows(() => syntax.closing(), RangeError, "wrong in line 1");
  assertEquals(syntax.complete, false);
});

Deno.test("Syntax does not care how a text is split", () => {
  const random = new Random(2);
  for (const script of [...VALID, ...INVALID, ...scripts.slice(0, 20)]) {
    const bytes = utf8.encode(script);
    const whole = new Syntax(), single = new Syntax(), pieces = new Syntax();
    const accepted = whole.push(bytes);
    assertEquals(bytes.every((_, i) => single.push(bytes.subarray(i, i + 1))), accepted);
    let viable = true;
    for (let from = 0, to = 0; from < bytes.length && viable; from = to) {
      to = from + 1 + random.below(9);
      viable = pieces.push(bytes.subarray(from, to));
    }
    assertEquals(viable, accepted);
    for (const other of [single, pieces]) {
      assertEquals([other.complete, other.fault], [whole.complete, whole.fault]);
      if (accepted) assertEquals([other.line, other.closing()], [whole.line, whole.closing()]);
    }
  }
});

Deno.test("Syntax clones are independent", () => {
  const syntax = after("if a; then\ncat <<EOF; case $(b");
  const closing = syntax.closing();
  const clone = syntax.clone();
  assert(clone.push(utf8.encode(") in c) d;; esac\nEOF\nfi")));
  assert(clone.complete && !syntax.complete);
  const bad = syntax.clone();
  assert(!bad.push(utf8.encode(";;")));
  assertEquals([syntax.closing(), syntax.fault, syntax.line], [closing, undefined, 2]);
});

Deno.test("Syntax accepts no damaged script that bash refuses, and few refused ones are valid", async () => {
  const random = new Random(3);
  const mutants = Array.from({ length: 1500 }, () => {
    const script = scripts[random.below(scripts.length)];
    return mutant(random, random.below(3) === 0 ? script : excerpt(random, script));
  });
  const { valid, refused, unsound } = await agreement(mutants);
  assertEquals(unsound, []);
  assert(valid > 300, `only ${valid} are valid`);
  assert(refused.length <= valid / 30, `${refused.length} of ${valid} refused: ${refused[0]}`);
});

Deno.test("Syntax makes valid scripts of random pieces", async () => {
  const random = new Random(4);
  const samples: Uint8Array[] = [];
  while (samples.length < 1200) {
    const length = 5 + random.below(150);
    samples.push(...randomScript(random, length, drawPiece));
  }
  await assertValid(samples);
});
