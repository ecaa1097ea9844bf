export function benchCost(..._: unknown[]): never {
  throw new Error("todo");
}
