/**
 * Listens for a host that was lost, for as long as an outage lasts, whatever comes of the attempts to
 * connect meanwhile: what is heard between two of them is there for the next.
 */
import { formatAddress } from '../transport/address.js';
import type { Address } from '../transport/address.js';
import { heardAddresses } from './discovered-addresses.js';
import type { WantedHosts } from './discovered-addresses.js';

/** Longer than the ten seconds between two announcements of a host whose firewall lets no question in. */
export const LOOK_MS = 12_000;

export class HostSearch implements Disposable {
  readonly #wanted: WantedHosts;
  readonly #onNews: () => void;
  readonly #over = new AbortController();
  /** What is heard now, and what was in the look before: an address that nobody tells of any more goes. */
  #heard = new Map<string, Address>();
  #before: ReadonlyMap<string, Address> = new Map();
  #isLooking = false;
  #hasNews = false;
  #wake: () => void = () => undefined;

  /** Nothing is listened for before the first call of {@link addresses}. */
  constructor(wanted: WantedHosts, onNews: () => void) {
    this.#wanted = wanted;
    this.#onNews = onNews;
  }

  /** True once after an address has been heard that no attempt was told of. */
  takeNews(): boolean {
    const had = this.#hasNews;
    this.#hasNews = false;
    return had;
  }

  /** What has been heard so far, then each further address as it is heard, until the signal is aborted. */
  async *addresses(over: AbortSignal): AsyncGenerator<Address, void> {
    // An upgrade may have taken away what has to be loaded: what is remembered is left then.
    if (!this.#isLooking) this.#look().catch(() => undefined);
    over.addEventListener('abort', () => this.#wake());
    const given = new Set<string>();
    while (!over.aborted && !this.#over.signal.aborted) {
      this.#hasNews = false;
      const next = [...this.#heard, ...this.#before].find(([key]) => !given.has(key));
      if (next === undefined) {
        await new Promise<void>((resolve) => (this.#wake = resolve));
        continue;
      }
      given.add(next[0]);
      yield next[1];
    }
  }

  [Symbol.dispose](): void {
    this.#over.abort();
    this.#wake();
  }

  async #look(): Promise<void> {
    this.#isLooking = true;
    const abortSignal = this.#over.signal;
    while (!abortSignal.aborted) {
      for await (const address of heardAddresses(this.#wanted, { abortSignal, timeoutMs: LOOK_MS }))
        this.#note(address);
      this.#before = this.#heard;
      this.#heard = new Map();
    }
  }

  #note(address: Address): void {
    const key = formatAddress(address);
    this.#heard.set(key, address);
    if (this.#before.has(key)) return;
    this.#hasNews = true;
    this.#wake();
    this.#onNews();
  }
}
