import type { Duplex } from 'node:stream';
import type { Address } from '../transport/address.js';
import { directTcp } from '../transport/direct-tcp.js';

export const DIAL_TIMEOUT_MS = 10_000;

/**
 * A dial that is under way before there is anybody to take it: the system connects while the rest of a run is
 * still loaded. It connects and no more; who is there is asked, and the first byte sent, by whoever takes it.
 */
export class BegunDial implements Disposable {
  readonly #ends = new AbortController();
  readonly #stream: Promise<Duplex>;
  #isTaken = false;

  constructor(address: Address) {
    const abortSignal = this.#ends.signal;
    this.#stream = directTcp(address).dial({ timeoutMs: DIAL_TIMEOUT_MS, abortSignal });
    // Whoever takes it hears of it.
    this.#stream.catch(() => undefined);
  }

  /** What the dial comes to, as if it were begun now. Once. */
  take(abortSignal: AbortSignal | undefined): Promise<Duplex> {
    this.#isTaken = true;
    const end = (): void => this.#ends.abort(abortSignal?.reason);
    if (abortSignal?.aborted === true) end();
    else abortSignal?.addEventListener('abort', end, { once: true });
    return this.#stream;
  }

  /** Ends one that nobody took. */
  [Symbol.dispose](): void {
    if (!this.#isTaken) this.#ends.abort();
  }
}
