/**
 * The way of a command's output: out of its FIFO, into the spool, and from there to whoever visits.
 *
 * With a visitor the command is held back as a local pipe would: not more than a window is read ahead
 * of what the visitor took. With nobody there it writes on into the spool.
 */
import type { Readable } from 'node:stream';
import { RmtxError } from '../errors.js';
import type { SendChannel } from '../protocol/connection.js';
import { createDeferred } from '../util/deferred.js';
import type { Deferred } from '../util/deferred.js';
import type { Spool } from './spool.js';

/** Read ahead of the visitor: enough to keep a fast link busy, little enough to feel like a pipe. */
const READ_AHEAD_BYTES = 1024 * 1024;
const PIECE_BYTES = 256 * 1024;
/**
 * What was sent may be lost with the connection; a client has at most a channel's window (1 MiB) that it
 * was sent and did not take, and asks for that again when it comes back.
 */
const UNCERTAIN_BYTES = 1024 * 1024;

/** How far one reader has come. */
interface Delivery {
  offset: number;
}

export interface DeliveryOptions {
  /** The first byte that is wanted; one that is dropped must not be asked for. */
  readonly offset: number;
  /** Aborted when the reader is gone: an output that says nothing for hours would not tell. */
  readonly abortSignal: AbortSignal;
}

/** One of the two output streams of a run. */
export class RunOutput {
  readonly spool: Spool;
  #source: Readable | undefined;
  /** The visitor's. */
  #delivery: Delivery | undefined;
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
    } catch (error) {
      this.spool.makeRoom();
      throw error;
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

  /** The first byte from `offset` on that is still here. */
  firstFrom(offset: number): number {
    return Math.max(offset, this.spool.firstOffset);
  }

  /**
   * To the visitor, then the end. A later call takes the place of an earlier one, which ends with its
   * connection. The command's output is closed where the visitor wants no more of it.
   */
  async deliver(channel: SendChannel, { offset, abortSignal }: DeliveryOptions): Promise<void> {
    const delivery: Delivery = { offset };
    this.#delivery = delivery;
    this.#wake();
    void channel.cancelled.then(() => {
      if (this.#delivery === delivery) this.#closeByReader();
    });
    try {
      await this.#send(channel, { abortSignal, delivery, end: Infinity }, () => {
        this.spool.retain(delivery.offset - UNCERTAIN_BYTES);
        this.#wake();
      });
    } finally {
      if (this.#delivery === delivery) this.#delivery = undefined;
      this.#wake();
    }
  }

  /**
   * To one who only watches: nobody waits for them, and what they leave behind may be dropped before they
   * come to it; then it rejects with CONNECTION_LOST, because at the next visit they are told how much.
   * Without `tail` it ends with what there is now.
   */
  async show(
    channel: SendChannel,
    options: DeliveryOptions & { readonly tail: boolean },
  ): Promise<void> {
    const delivery: Delivery = { offset: options.offset };
    const end = options.tail ? Infinity : this.spool.length;
    const enough = new AbortController();
    void channel.cancelled.then(() => enough.abort());
    const abortSignal = AbortSignal.any([options.abortSignal, enough.signal]);
    await this.#send(channel, { abortSignal, delivery, end });
  }

  /** Nobody reads it at the moment and nothing more will come: it lives on disk alone. */
  rest(): void {
    if (this.spool.isEnded) this.spool.rest();
  }

  async #send(
    channel: SendChannel,
    options: Pick<DeliveryOptions, 'abortSignal'> & {
      readonly delivery: Delivery;
      readonly end: number;
    },
    onMoved?: () => void,
  ): Promise<void> {
    const { delivery, end, abortSignal } = options;
    while (delivery.offset < end) {
      if (onMoved === undefined && channel.isCancelled) break;
      if (abortSignal.aborted) throw readerGone();
      const piece = this.#piece(delivery.offset, Math.min(PIECE_BYTES, end - delivery.offset));
      if (piece.length === 0) {
        if (this.spool.isEnded) break;
        await this.spool.waitForMore(delivery.offset, abortSignal);
        continue;
      }
      await channel.write(piece);
      delivery.offset += piece.length;
      onMoved?.();
    }
    channel.end();
  }

  #piece(offset: number, maxBytes: number): Buffer {
    if (offset < this.spool.firstOffset) throw readerGone('what came next was dropped');
    return this.spool.read(offset, maxBytes);
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
      this.#delivery !== undefined &&
      this.spool.length - this.#delivery.offset > READ_AHEAD_BYTES
    )
      await this.#moved.promise;
  }

  #wake(): void {
    this.#moved.resolve(undefined);
    this.#moved = createDeferred();
  }
}

function readerGone(why = 'it was closed'): RmtxError {
  return new RmtxError('ERR_RMTX_CONNECTION_LOST', `the connection was lost: ${why}`);
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
