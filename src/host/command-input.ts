import type { Writable } from 'node:stream';
import type { ReceiveChannel } from '../protocol/connection.js';
import { drained } from '../util/drained.js';

/**
 * The command's stdin, written by one visitor after the other. It counts what it has taken, so that a
 * visitor who comes back goes on from that byte. A visitor's end of input ends it; a lost connection does
 * not.
 */
export class CommandInput {
  #stdin: Writable | undefined;
  #taken = 0;
  #hasEnded = false;
  /** The only one that may write. */
  #feeder: ReceiveChannel | undefined;

  /** Undefined where the command has no stdin. */
  connect(stdin: Writable | undefined): void {
    this.#stdin = stdin;
    stdin?.once('close', () => {
      this.#hasEnded = true;
      this.#feeder?.cancel();
    });
  }

  /** Bytes that are here: written to the command, or on their way into it. */
  get offset(): number {
    return this.#taken;
  }

  get isOpen(): boolean {
    return this.#stdin !== undefined && !this.#hasEnded && !this.#stdin.destroyed;
  }

  /** From now on no earlier visitor's bytes are taken: {@link offset} stands still. */
  detach(): void {
    this.#feeder = undefined;
  }

  /** Takes what comes on the channel, from {@link offset} on, until either side ends. Never rejects. */
  async feed(channel: ReceiveChannel): Promise<void> {
    const stdin = this.#stdin;
    if (stdin === undefined || !this.isOpen) {
      channel.cancel();
      return;
    }
    this.#feeder = channel;
    try {
      for await (const piece of channel) {
        // What came before its connection broke and was not taken in time comes again from its successor.
        if (this.#feeder !== channel) return;
        this.#taken += piece.length;
        if (!stdin.write(piece)) await drained(stdin);
      }
      if (this.#feeder === channel) this.end();
    } catch {
      // The connection is gone; its client may come back with the rest.
    }
  }

  /** No more input will come: the command reads what is there, then its end. */
  end(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#stdin?.end();
  }
}
