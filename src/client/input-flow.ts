import type { Readable } from 'node:stream';
import { badMessage } from '../protocol/bad-message.js';
import { CHANNEL } from '../protocol/messages.js';
import { orAborted } from '../util/or-aborted.js';
import { RecentBytes } from '../util/recent-bytes.js';
import type { HostConnection } from './connect.js';

/** What a host allows before it has taken any of it (a channel's window), and the piece after that. */
const KEPT_BYTES = 1024 * 1024 + 256 * 1024;

/**
 * Our stdin on its way to the command. It is read once; what the host may not have when a connection
 * breaks is kept, so that the next one can go on at the byte.
 */
export class InputFlow {
  readonly #source: Readable;
  readonly #pieces: AsyncIterator<Buffer, unknown>;
  /** Undefined until it is known where ours begins: another process may have sent what is before. */
  #recent: RecentBytes | undefined;
  /** A piece that was asked for when a connection broke is the next one's. */
  #asked: Promise<IteratorResult<Buffer, unknown>> | undefined;
  #isAtEnd = false;
  #isUnwanted = false;

  constructor(source: Readable) {
    this.#source = source;
    this.#pieces = (source as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
  }

  /** Sends everything from `offset` on, to its end or the connection's. Throws BAD_MESSAGE for an offset not kept. */
  send(host: HostConnection, offset: number): void {
    this.#recent ??= new RecentBytes(KEPT_BYTES, offset);
    if (offset < this.#recent.start || offset > this.#recent.end)
      throw badMessage(`stdin wanted from byte ${offset}`);
    void this.#send(host, this.#recent.from(offset));
  }

  /** Nobody wants it any more. */
  end(): void {
    this.#isUnwanted = true;
    this.#source.destroy();
  }

  async #send(host: HostConnection, again: Buffer): Promise<void> {
    const channel = host.connection.openSend(CHANNEL.stdin);
    // The command has closed its stdin.
    void channel.cancelled.then(() => this.end());
    try {
      await channel.write(again);
      for (;;) {
        const piece = await this.#next(host.lost);
        if (piece === undefined) break;
        await channel.write(piece);
      }
      if (this.#isAtEnd) channel.end();
    } catch {
      // The connection is gone: whoever watches it says so.
    }
  }

  /** Undefined at the end, when nobody wants more, and when the connection broke. */
  async #next(lost: AbortSignal): Promise<Buffer | undefined> {
    if (this.#isAtEnd || this.#isUnwanted) return undefined;
    this.#asked ??= this.#pieces.next();
    // A source that fails has ended.
    const next = await orAborted(
      this.#asked.catch(() => ({ done: true, value: undefined }) as const),
      lost,
    );
    if (next === undefined) return undefined;
    this.#asked = undefined;
    if (next.done === true) {
      this.#isAtEnd = true;
      return undefined;
    }
    this.#recent?.append(next.value);
    return next.value;
  }
}
