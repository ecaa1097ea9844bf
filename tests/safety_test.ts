import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Random } from "../src/random.ts";
import { loadParser } from "../src/safety/parser.ts";
import { Scope } from "../src/safety/scope.ts";
import { classify } from "../src/safety/verdict.ts";
import { expandFields, expandWord, render, type Word } from "../src/safety/words.ts";
import { HARMLESS } from "./harmless_cases.ts";
import { DANGEROUS } from "./dangerous_cases.ts";

const CORPUS = new URL("../src/corpus/bash/", import.meta.url);

async function corpus(): Promise<{ name: string; text: string }[]> {
  const scripts: { name: string; text: string }[] = [];
  for await (const family of Deno.readDir(CORPUS)) {
    if (!family.isDirectory) continue;
    for await (const file of Deno.readDir(new URL(`${family.name}/`, CORPUS))) {
      const name = `${family.name}/${file.name}`;
      if (!name.endsWith(".sh")) continue;
      scripts.push({ name, text: await Deno.readTextFile(new URL(name, CORPUS)) });
    }
  }
  return scripts.sort((a, b) => a.name < b.name ? -1 : 1);
}

/** The reasons of level `destructive`, each with its line. */
async function destructive(script: string): Promise<string[]> {
  const { findings } = await classify(script);
  return findings.filter((finding) => finding.level === "destructive")
    .map(({ line, reason }) => `${line}: ${reason}`);
}

Deno.test("classify() finds what every dangerous script does, and where", async () => {
  assertEquals(DANGEROUS.length, 60);
  const missed: string[] = [];
  for (const { name, script, line, reason } of DANGEROUS) {
    const { level, findings } = await classify(script);
    const hit = findings.some((finding) =>
      finding.level === "destructive" && finding.line === line && reason.test(finding.reason)
    );
    if (level !== "destructive" || !hit) missed.push(`${name}: ${JSON.stringify(findings)}`);
  }
  assertEquals(missed, []);
});

Deno.test("classify() leaves harmless scripts alone", async () => {
  assertEquals(HARMLESS.length, 62);
  const wrong: string[] = [];
  for (const { name, script, level } of HARMLESS) {
    const verdict = await classify(script);
    if (verdict.level !== level) wrong.push(`${name}: ${JSON.stringify(verdict)}`);
  }
  assertEquals(wrong, []);
});

Deno.test("classify() calls these scripts of the corpus destructive and no others", async () => {
  const found: Record<string, string[]> = {};
  for (const { name, text } of await corpus()) {
    const reasons = await destructive(text);
    if (reasons.length > 0) found[name] = reasons.map((reason) => reason.replace(/^\d+: /, ""));
  }
  assertEquals(found, {
    "databases/copy-production-to-staging.sh": ["changes every row of a table"],
    "databases/restore-mysql.sh": ["drops a database"],
    "databases/restore-postgres.sh": ["drops a database"],
    "devops-ci/prune-docker.sh": ["removes volumes with their data"],
    "networking-security/configure-ufw-web-server.sh": ["drops the firewall"],
    "system-administration/remove-user.sh": [
      "removes all cron jobs of a user",
      "removes a user: $1",
    ],
  });
});

Deno.test("classify() says something about any text", async () => {
  const random = new Random(5);
  for (const { text } of await corpus()) {
    const start = random.below(text.length), end = start + random.below(text.length - start);
    const { level } = await classify(text.slice(random.below(2) * start, end));
    assert(["safe", "caution", "destructive"].includes(level));
  }
});

Deno.test("classify() reports lines in order, texts in short, and the worst level", async () => {
  const verdict = await classify(`ls\nsudo rm -rf \\\n  / ${"x ".repeat(200)}\nrm -f a\n`);
  assertEquals(verdict.level, "destructive");
  assertEquals(verdict.findings.map(({ line }) => line), [2, 2, 4]);
  assertEquals(verdict.findings[2], {
    level: "caution",
    line: 4,
    reason: "removes a",
    text: "rm -f a",
  });
  assert(verdict.findings.every(({ text }) => text.length <= 120 && !text.includes("\n")));
  assertEquals(await classify("# nothing\n"), { level: "safe", findings: [] });
});

Deno.test("classify() reports code in a here-document at its own lines", async () => {
  const script = "cat <<'EOF' | sudo bash\necho one\n\nrm -rf /usr\nEOF\n";
  assertEquals(await destructive(script), ["4: removes everything under /usr"]);
});

Deno.test("classify() finds commands in scripts that do not parse", async () => {
  for (
    const script of ["if true; then\n  rm -rf /\n", "echo $((\nrm -rf /\n)", "ls ?(a\nrm -rf /"]
  ) {
    const { level, findings } = await classify(script);
    assertEquals(level, "destructive", script);
    assert(findings.some(({ line }) => line === 2), script);
  }
});

Deno.test("classify() does not get lost in scripts that are made to be long", async () => {
  const loops = Array.from({ length: 10 }, (_, i) => `for v${i} in 1 2 3 4 5 6 7 8; do`);
  const nested = `${loops.join(" ")} echo $v1; ${"done; ".repeat(10)}`;
  const calls = Array.from({ length: 20 }, (_, i) => `f${i}() { f${i + 1} a$1; f${i + 1} b$1; }`);
  const doubled = `x=ab\n${"x=$x$x\n".repeat(30)}`;
  for (const text of [nested, [...calls, "f20() { echo $1; }", "f0 x"].join("\n"), doubled]) {
    assertStringIncludes((await destructive(`${text}\nrm -rf /\n`)).join(), "everything under /");
  }
  for (const text of ["(".repeat(20_000), "{".repeat(20_000), "$(".repeat(2000)]) {
    assert((await classify(`echo ${text}`)).level !== "destructive");
  }
});

Deno.test("classify() merges what branches say", async () => {
  const branches = 'x=/tmp/a; if [ "$1" ]; then x=/; fi; rm -rf "$x"';
  assertEquals(await destructive(branches), ["1: removes everything under /"]);
  assertEquals(await destructive('x=/; x=/tmp/a; rm -rf "$x"'), []);
  assertEquals(await destructive('x=/; [ -d a ] || exit; x=b; rm -rf "$x"'), []);
  assertEquals(await destructive('x=/; (x=/tmp/a); rm -rf "$x"'), [
    "1: removes everything under /",
  ]);
});

Deno.test("classify() tells checked variables from others", async () => {
  const removal = 'rm -rf "$dir"/*';
  const level = async (script: string) => (await classify(script)).level;
  assertEquals(await level(removal), "destructive");
  for (
    const check of [
      "set -u",
      ': "${dir:?}"',
      'test -n "$dir" || exit 1',
      "[[ -d $dir ]] || exit 1",
      "dir=$(mktemp -d)",
      "dir=/srv/app/$1",
      'dir=$(cd "$(dirname "$0")" && pwd)',
    ]
  ) assertEquals(await level(`${check}\n${removal}`), "caution", check);
  for (const check of ["dir=", "dir=$(cat f)", "read -r dir", 'dir="${1:-}"']) {
    assertEquals(await level(`${check}\n${removal}`), "destructive", check);
  }
});

Deno.test("classify() trusts a download only once it is checked", async () => {
  const fetch = "curl -fsSLO https://example.com/setup.sh";
  assertEquals((await classify(`${fetch}\nbash setup.sh`)).level, "destructive");
  assertEquals((await classify(`${fetch}\nsha256sum -c sums\nbash setup.sh`)).level, "caution");
  assertEquals((await classify(fetch)).level, "safe");
});

Deno.test("classify() loads the parser late and needs to read, nothing else", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const verdict = new URL("../src/safety/verdict.ts", import.meta.url).href;
    const config = new URL("../deno.json", import.meta.url).pathname;
    await Deno.writeTextFile(
      `${dir}/main.ts`,
      `import { classify } from "${verdict}";
       console.log(typeof classify);
       if (Deno.args[0]) console.log((await classify("rm -rf /")).level);`,
    );
    const run = async (...args: string[]) => {
      const command = new Deno.Command(Deno.execPath(), {
        args: ["run", "--quiet", "--no-prompt", "--config", config, ...args],
        stderr: "null",
      });
      return new TextDecoder().decode((await command.output()).stdout);
    };
    assertEquals(await run(`${dir}/main.ts`), "function\n");
    assertEquals(await run("--allow-read", `${dir}/main.ts`, "now"), "function\ndestructive\n");
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("loadParser() loads once", async () => {
  assert(await loadParser() === await loadParser());
});

/** A scope in which `$(…)` prints its own code, and these assignments were made. */
function scope(...assignments: string[]): Scope {
  const made = new Scope((code) => [`<${code}>`]);
  for (const assignment of assignments) made.assignment(assignment);
  return made;
}

function written(words: Word[]): string[] {
  return words.map(render);
}

Deno.test("expandFields() removes quotes and escapes", () => {
  const cases: [string, string[]][] = [
    [String.raw`r\m`, ["rm"]],
    [`'r'"m"`, ["rm"]],
    [String.raw`$'\x72\155\t'`, ["rm\t"]],
    ["r\\\nm", ["rm"]],
    [String.raw`"a\"b\$c\d"`, [String.raw`a"b$c\d`]],
    [`"it's"`, ["it's"]],
    ["''", [""]],
    [`"a  b"`, ["a  b"]],
  ];
  for (const [text, words] of cases) {
    assertEquals(written(expandFields(text, scope())), words, text);
  }
});

Deno.test("expandFields() expands braces before all else", () => {
  const cases: [string, string[]][] = [
    ["r{m,}", ["rm", "r"]],
    ["{rm,-rf,/}", ["rm", "-rf", "/"]],
    ["a{1..3}b", ["a1b", "a2b", "a3b"]],
    ["{c..a}", ["c", "b", "a"]],
    ["{a,b{c,d}}e", ["ae", "bce", "bde"]],
    ["{a}", ["{a}"]],
    ['"{a,b}"', ["{a,b}"]],
    ["{$x,/}", ["one", "/"]],
    ["${y:-{a,b}}", ["{a,b}"]],
  ];
  for (const [text, words] of cases) {
    assertEquals(written(expandFields(text, scope("x=one"))), words, text);
  }
});

Deno.test("expandFields() splits what is expanded without quotes", () => {
  const made = scope("x='rm -rf /'", "e=", "a=(1 '2 3')", "IFS_=x");
  const cases: [string, string[]][] = [
    ["$x", ["rm", "-rf", "/"]],
    ['"$x"', ["rm -rf /"]],
    ["rm${IFS}-rf$IFS/", ["rm", "-rf", "/"]],
    ["$e", []],
    ['"$e"', [""]],
    ["a$e", ["a"]],
    ["${a[@]}", ["1", "2", "3"]],
    ['"${a[@]}"', ["1", "2 3"]],
    ['"${a[*]}"', ["1 2 3"]],
    ["${a[1]}", ["2", "3"]],
    ["$(a b)", ["<a", "b>"]],
    ["`a`", ["<a>"]],
  ];
  for (const [text, words] of cases) assertEquals(written(expandFields(text, made)), words, text);
  made.assign("IFS", [","]);
  made.assign("c", ["rm,-rf"]);
  assertEquals(written(expandFields("$c", made)), ["rm", "-rf"]);
});

Deno.test("expandWord() computes parameter expansions", () => {
  const made = scope("x=/usr/local/a.tar.gz", "e=", "n=x", "a=(b c)");
  const cases: [string, string][] = [
    ["${x##*/}", "a.tar.gz"],
    ["${x%/*}", "/usr/local"],
    ["${x%%.*}", "/usr/local/a"],
    ["${x#*/}", "usr/local/a.tar.gz"],
    ["${x/local/share}", "/usr/share/a.tar.gz"],
    ["${x//a/A}", "/usr/locAl/A.tAr.gz"],
    ["${x:0:1}", "/"],
    ["${x: -2}", "gz"],
    ["${x:1:3}", "usr"],
    ["${x^^}", "/USR/LOCAL/A.TAR.GZ"],
    ["${#x}", "19"],
    ["${#a[@]}", "2"],
    ["${!n}", "/usr/local/a.tar.gz"],
    ["${e:-rm}", "rm"],
    ["${none:-'r'm}", "rm"],
    ["${x:+set}", "set"],
    ["${e:+set}", ""],
    ["${HOME:0:1}", "/"],
    ["$unknown", "$unknown"],
  ];
  for (const [text, word] of cases) assertEquals(render(expandWord(text, made)), word, text);
  expandWord("${new:=value}", made);
  assertEquals(render(expandWord("$new", made)), "value");
});

Deno.test("expandWord() keeps what is unknown, and whether it may be empty", () => {
  const cases: [string, string[]][] = [
    ['"$x"/*', ["may"]],
    ['"${x:?}"/*', ["never"]],
    ["~/a", ["never"]],
    ["$HOME$1", ["never", "may"]],
    ["$((1 + 1))", ["never"]],
    ["'$x'", []],
    ['"~"', []],
  ];
  for (const [text, empty] of cases) {
    const parts = expandWord(text, scope());
    const found = parts.flatMap((part) => typeof part === "string" ? [] : [part.empty]);
    assertEquals(found, empty, text);
  }
});

Deno.test("classify() comes to an end whatever the text is", async () => {
  // A # that begins no comment once held it for ever.
  assertEquals((await classify("echo $(cat a#b)\n")).level, "safe");
  const random = new Random(9);
  const parts =
    "$( ` ) ( { } ' \" # \n <<E\n E\n \\ a $ ${ (( )) [[ ]] | & ; rm <( = * $' if fi do done esac <<<"
      .split(" ").concat(" ", "case x in", "for i in", "rm -rf /");
  for (let i = 0; i < 2000; i++) {
    const length = 1 + Math.floor(random.uniform() * 30);
    const pick = () => parts[Math.floor(random.uniform() * parts.length)];
    await classify(Array.from({ length }, pick).join(""));
  }
});
