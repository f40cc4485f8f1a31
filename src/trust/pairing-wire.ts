/**
 * Pairing messages on a byte stream: a u32 big-endian length, then that many bytes of JSON. The
 * deadline is absolute and covers the whole exchange: a peer that trickles a byte now and then gains
 * nothing (an idle timer would let it hold the connection for ever).
 */
import type { Duplex } from 'node:stream';
import { RmtxError } from '../errors.js';
import { createDeferred } from '../util/deferred.js';
import type { Deferred } from '../util/deferred.js';

/** No message comes near it; what a stranger can make us hold for him is this. */
export const MAX_MESSAGE_BYTES = 4096;
/** Two round trips, 0.4 s of scrypt and points on each side, on a slow machine behind a slow link. */
export const PAIRING_DEADLINE_MS = 10_000;
const HEADER_BYTES = 4;

/**
 * One side's end of a pairing connection. Owns the stream from now on: the end is always `finish` or
 * `destroy`. Not for concurrent receives.
 */
export class PairingWire {
  readonly #stream: Duplex;
  readonly #timer: NodeJS.Timeout;
  #waiter: Deferred<void> | undefined;
  #hasTimedOut = false;

  constructor(stream: Duplex, deadlineMs: number) {
    this.#stream = stream;
    this.#timer = setTimeout(() => {
      this.#hasTimedOut = true;
      this.destroy();
    }, deadlineMs);
    for (const event of ['readable', 'end', 'close']) stream.on(event, this.#wake);
    // Stays to the end: an error of the stream shows as its close, and must never be unhandled.
    stream.on('error', this.#wake);
    stream.once('close', () => clearTimeout(this.#timer));
  }

  /** Queues a message. A stream that is gone is noticed by the next `receive`. */
  send(message: object): void {
    this.#stream.write(encodeFrame(message));
  }

  /**
   * The next message, any JSON value. Throws FRAME_TOO_LARGE before reading a body over the limit,
   * BAD_MESSAGE where it is not JSON in UTF-8, CONNECTION_LOST where the stream ends first, TIMED_OUT.
   */
  async receive(): Promise<unknown> {
    const header = await this.#take(HEADER_BYTES);
    const length = header.readUInt32BE(0);
    if (length > MAX_MESSAGE_BYTES)
      throw new RmtxError(
        'ERR_RMTX_FRAME_TOO_LARGE',
        `a pairing message of ${length} bytes, limit ${MAX_MESSAGE_BYTES}`,
      );
    if (length === 0) throw new RmtxError('ERR_RMTX_BAD_MESSAGE', 'an empty pairing message');
    return decodeBody(await this.#take(length));
  }

  /**
   * Ends the stream after what was sent. What the peer still sends is thrown away: closing with unread
   * bytes would reset the connection and could take our last message with it. The deadline goes on
   * until the stream is closed.
   */
  finish(): void {
    for (const event of ['readable', 'end', 'close']) this.#stream.off(event, this.#wake);
    this.#timer.unref();
    this.#stream.resume();
    this.#stream.end();
  }

  destroy(): void {
    clearTimeout(this.#timer);
    this.#stream.destroy();
    this.#wake();
  }

  /** Exactly `count` bytes; the stream holds back the peer beyond what was asked for. */
  async #take(count: number): Promise<Buffer> {
    for (;;) {
      if (this.#hasTimedOut)
        throw new RmtxError('ERR_RMTX_TIMED_OUT', 'pairing took too long and was given up');
      // At the end of the stream read() returns what is left, though it is less.
      const bytes = this.#stream.read(count) as Buffer | null;
      if (bytes !== null && bytes.length === count) return bytes;
      if (bytes !== null || this.#stream.destroyed || this.#stream.readableEnded)
        throw new RmtxError(
          'ERR_RMTX_CONNECTION_LOST',
          'the other side closed the connection while pairing',
        );
      this.#waiter = createDeferred();
      await this.#waiter.promise;
    }
  }

  readonly #wake = (): void => {
    this.#waiter?.resolve();
    this.#waiter = undefined;
  };
}

/** The bytes of one message. */
export function encodeFrame(message: object): Buffer {
  const body = Buffer.from(JSON.stringify(message));
  if (body.length > MAX_MESSAGE_BYTES) throw new Error(`pairing message of ${body.length} bytes`);
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32BE(body.length, 0);
  return Buffer.concat([header, body]);
}

function decodeBody(body: Buffer): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch (cause) {
    throw new RmtxError('ERR_RMTX_BAD_MESSAGE', 'a pairing message is not JSON', { cause });
  }
}
