import type { Duplex } from 'node:stream';

/**
 * A way to reach an rmtx host: yields a raw byte stream and says why it could not. What runs on the
 * stream (TLS, both identities pinned) is the same for every transport and is not its concern, so a
 * transport is trusted with nothing.
 */
export interface Transport {
  /** For people: what was dialled. */
  readonly description: string;
  /**
   * Connects. Rejects with an RmtxError of the family `connection` that names the address and the
   * likely cause. The stream is the caller's to destroy.
   */
  dial(options: {
    readonly timeoutMs: number;
    readonly abortSignal?: AbortSignal;
  }): Promise<Duplex>;
}
