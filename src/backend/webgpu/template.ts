/**
 * The few lines of preprocessing that WGSL kernels get, because WGSL has no conditional bindings,
 * no private arrays of `override` size, and no way to ask for an unrolled loop.
 *
 * A directive is a comment on a line of its own:
 *
 * - `// @if FLAG` … `// @else` … `// @end` keeps one of two parts;
 * - `// @each i COUNT` … `// @end` repeats its lines for i = 0 … COUNT − 1, writing the number
 *   for `$i`; COUNT is a number or the name of a constant;
 * - `// @stored Name FLAG` becomes `alias Name = …;`, how a tensor lies in memory: `f16` where FLAG is
 *   set, else `f32`; with VEC4 four of them. Kernels compute in f32: what is loaded they convert to
 *   `f32` or `vec4f`, which changes nothing in the second case, and what is stored to `Name`;
 * - `override NAME: type;` becomes `const NAME: type = value;`.
 *
 * @module
 */

/** What a kernel is specialised by. */
export interface Specialization {
  /** Values of its `override` declarations. */
  constants?: Readonly<Record<string, number>>;
  /** Flags that `@if` finds set. */
  flags?: readonly string[];
}

/**
 * Expands the directives of a kernel.
 * @throws {SyntaxError} if they are not balanced, or if a constant is missing or not used.
 */
export function specialize(source: string, { constants = {}, flags = [] }: Specialization): string {
  const lines = source.split("\n");
  const unused = new Set(Object.keys(constants));
  const has = (flag: string) => flags.includes(flag);
  let usesHalf = false;
  let at = 0;

  const constant = (name: string): number => {
    if (!Object.hasOwn(constants, name)) {
      throw new SyntaxError(`Kernel needs the constant ${name}, which was not given.`);
    }
    return constants[name];
  };

  // Expands up to the directive that closes this block, and steps over it.
  const block = (isOpen: boolean): { lines: string[]; closing: string } => {
    const result: string[] = [];
    while (at < lines.length) {
      const line = lines[at++];
      const [, directive, first, second] = /^\s*\/\/ @(\w+)(?: (\w+))?(?: (\w+))?$/.exec(line) ??
        [];
      if (directive === "if") {
        const yes = block(true);
        const no = yes.closing === "else" ? block(true).lines : [];
        result.push(...(has(first) ? yes.lines : no));
      } else if (directive === "stored") {
        const types = has("VEC4") ? ["vec4f", "vec4h"] : ["f32", "f16"];
        usesHalf ||= has(second);
        result.push(`alias ${first} = ${types[has(second) ? 1 : 0]};`);
      } else if (directive === "each") {
        const count = /^\d/.test(second) ? Number(second) : constant(second);
        const body = block(true).lines;
        for (let i = 0; i < count; i++) {
          // `$iu` is the number as u32; `$i` an index that must be a literal.
          result.push(...body.map((text) => text.replaceAll(`$${first}`, String(i))));
        }
      } else if (directive === "else" || directive === "end") {
        if (isOpen) return { lines: result, closing: directive };
        throw new SyntaxError(`Kernel has @${directive} at line ${at} without @if or @each.`);
      } else {
        result.push(line.replace(/^override (\w+): (\w+);/, (_, name: string, type: string) => {
          unused.delete(name);
          return `const ${name}: ${type} = ${constant(name)};`;
        }));
      }
    }
    if (isOpen) throw new SyntaxError("Kernel ends inside @if or @each.");
    return { lines: result, closing: "" };
  };

  const { lines: expanded } = block(false);
  if (unused.size > 0) {
    throw new SyntaxError(`Kernel has no override called ${[...unused].join(" or ")}.`);
  }
  return (usesHalf ? ["enable f16;", ...expanded] : expanded).join("\n");
}
