export function benchGpu(..._: unknown[]): never {
  throw new Error("todo");
}
