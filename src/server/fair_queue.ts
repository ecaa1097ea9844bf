/**
 * A bounded queue that is fair between clients: whoever has fewest items at work is served next, so
 * that one client's thousand requests cost another no more than a turn.
 *
 * @module
 */

/** Items that wait, each of some client. */
export class FairQueue<Item> {
  /** Most items that may wait. */
  readonly limit: number;
  /** Items of each client in the order in which they came. A client without any is not in it. */
  readonly #waiting = new Map<string, Set<Item>>();
  /** Items of each client that were taken and are not done. */
  readonly #taken = new Map<string, number>();
  #size = 0;

  /** @param limit Most items that may wait. */
  constructor(limit: number) {
    this.limit = limit;
  }

  /** Items that wait. */
  get size(): number {
    return this.#size;
  }

  /** Clients that have items waiting or at work. */
  get clients(): number {
    return new Set([...this.#waiting.keys(), ...this.#taken.keys()]).size;
  }

  /** Whether `count` more items of a client may wait. None may have more than half of the places. */
  hasRoom(client: string, count: number): boolean {
    const own = this.#waiting.get(client)?.size ?? 0;
    return this.#size + count <= this.limit &&
      own + count <= Math.max(count, Math.ceil(this.limit / 2));
  }

  /** Puts an item at the end of its client's. */
  push(client: string, item: Item): void {
    let own = this.#waiting.get(client);
    if (!own) this.#waiting.set(client, own = new Set());
    own.add(item);
    this.#size++;
  }

  /** Takes the next item out; {@linkcode FairQueue.done} is to be called when it is done with. */
  take(): { client: string; item: Item } | undefined {
    let next: string | undefined, least = Infinity;
    for (const client of this.#waiting.keys()) {
      const taken = this.#taken.get(client) ?? 0;
      if (taken < least) [next, least] = [client, taken];
    }
    if (next === undefined) return undefined;
    const own = this.#waiting.get(next)!;
    const [item] = own;
    this.remove(next, item);
    // Whoever was served goes to the end of those with as many items at work.
    if (own.size > 0) {
      this.#waiting.delete(next);
      this.#waiting.set(next, own);
    }
    this.#taken.set(next, least + 1);
    return { client: next, item };
  }

  /** Takes an item out that need not be served any more; returns whether it waited. */
  remove(client: string, item: Item): boolean {
    const own = this.#waiting.get(client);
    if (!own?.delete(item)) return false;
    this.#size--;
    if (own.size === 0) this.#waiting.delete(client);
    return true;
  }

  /** Tells that an item of a client, taken earlier, is done with. */
  done(client: string): void {
    const taken = this.#taken.get(client)! - 1;
    if (taken > 0) this.#taken.set(client, taken);
    else this.#taken.delete(client);
  }

  /** Takes all items out. */
  clear(): Item[] {
    const items = [...this.#waiting.values()].flatMap((own) => [...own]);
    this.#waiting.clear();
    this.#size = 0;
    return items;
  }
}
