/**
 * The way of a command's output: out of its FIFO, into the spool, and from there to whoever visits.
 *
 * With a visitor the command is held back as a local pipe would: not more than a window is read ahead
 * of what the visitor took. With nobody there it writes on into the spool.
 */
import type { Readable } from 'node:stream';
import type { SendChannel } from '../protocol/connection.js';
import { createDeferred } from '../util/deferred.js';
import type { Deferred } from '../util/deferred.js';
import type { Spool } from './spool.js';

/** Read ahead of the visitor: enough to keep a fast link busy, little enough to feel like a pipe. */
const READ_AHEAD_BYTES = 1024 * 1024;
const PIECE_BYTES = 256 * 1024;

/** One of the two output streams of a run. */
export class RunOutput {
  readonly spool: Spool;
  #source: Readable | undefined;
  #delivered = 0;
  #hasVisitor = false;
  #isClosedByReader = false;
  #isHeldBack = true;
  #moved: Deferred<undefined> = createDeferred();

  constructor(spool: Spool) {
    this.spool = spool;
  }

  /**
   * Drains the command's stream into the spool; resolves at its end, also where the reader went away or
   * the end was cut. Rejects where the spool cannot be written (DISK_FULL).
   */
  async pump(source: Readable): Promise<void> {
    this.#source = source;
    if (this.#isClosedByReader) source.destroy();
    try {
      for await (const piece of whileReadable(source)) {
        this.spool.append(piece);
        await this.#untilThereIsRoom();
      }
    } finally {
      this.spool.end();
    }
  }

  /**
   * The command is gone: what is left in the pipe (64 KiB at most) goes to the spool at once, however
   * slowly the visitor reads.
   */
  finish(): void {
    this.#isHeldBack = false;
    this.#wake();
  }

  /** Sends everything from `offset` on to the visitor, then the end. */
  async deliver(channel: SendChannel, offset: number): Promise<void> {
    this.#delivered = offset;
    this.#hasVisitor = true;
    void channel.cancelled.then(() => this.#closeByReader());
    try {
      for (;;) {
        const piece = this.spool.read(this.#delivered, PIECE_BYTES);
        if (piece.length === 0) {
          if (this.spool.isEnded && this.#delivered >= this.spool.length) break;
          await this.spool.waitForMore(this.#delivered);
          continue;
        }
        await channel.write(piece);
        this.#delivered += piece.length;
        this.spool.retain(this.#delivered);
        this.#wake();
      }
      channel.end();
    } finally {
      this.#hasVisitor = false;
      this.#wake();
    }
  }

  /** The visitor's own stdout is closed: the command gets SIGPIPE at its next write, as locally. */
  #closeByReader(): void {
    this.#isClosedByReader = true;
    this.#source?.destroy();
    this.#wake();
  }

  async #untilThereIsRoom(): Promise<void> {
    while (
      this.#isHeldBack &&
      this.#hasVisitor &&
      this.spool.length - this.#delivered > READ_AHEAD_BYTES
    )
      await this.#moved.promise;
  }

  #wake(): void {
    this.#moved.resolve(undefined);
    this.#moved = createDeferred();
  }
}

/** The stream's pieces; one that is destroyed under the reader has simply ended. */
async function* whileReadable(source: Readable): AsyncGenerator<Buffer> {
  const pieces = (source as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
  for (;;) {
    const next = await pieces.next().catch(() => undefined);
    if (next === undefined || next.done === true) return;
    yield next.value;
  }
}
