/**
 * A TCP socket joined to both directions of a channel: one connection to a forwarded port, as each side has
 * it. What comes on one leaves on the other, no faster than its reader takes it, and each direction ends by
 * itself. What broke is never made to look as if it had ended: what came before is handed over, then the
 * socket is reset.
 */
import type { Socket } from 'node:net';
import { createDeferred } from '../util/deferred.js';
import { drained } from '../util/drained.js';
import type { ChannelPair } from './connection.js';

export interface BridgeOptions {
  readonly pair: ChannelPair;
  /** This side's socket broke: the other side has to hear it before the channel ends. */
  readonly onBroken: () => void;
  /** Called with what is handed to the socket. */
  readonly onTaken?: (byteCount: number) => void;
}

/** Read from the socket and not yet sent: enough to keep a fast link busy. */
const MAX_UNSENT_BYTES = 256 * 1024;

export class Bridge {
  readonly #options: BridgeOptions;
  readonly #closed = createDeferred<undefined>();
  #socket: Socket | undefined;
  #unsentBytes = 0;
  /** All that came is handed over. */
  #isDelivered = false;
  #isBroken = false;
  #isBrokenThere = false;

  constructor(options: BridgeOptions) {
    this.#options = options;
  }

  /**
   * Resolves when both directions have ended and the socket is closed: then the number can be released. Stays
   * open where the connection to the peer goes before that.
   */
  get over(): Promise<unknown> {
    const { sender, receiver } = this.#options.pair;
    return Promise.all([sender.ended, receiver.ended, this.#closed.promise]);
  }

  /** Takes the socket over. It must allow half-open connections, and may have been written to already. */
  join(socket: Socket): void {
    this.#socket = socket;
    // What is the matter with it comes as `close`.
    socket.on('error', () => undefined);
    socket.once('close', () => this.#onClose(socket));
    socket.on('end', () => this.#onEnd(socket));
    socket.on('data', (piece: Buffer) => this.#send(socket, piece));
    void this.#deliver(socket);
  }

  /** The other side's socket broke, or the connection to it: what came is handed over, then ours is reset. */
  brokeThere(): void {
    if (this.#isBrokenThere) return;
    this.#isBrokenThere = true;
    this.#options.pair.sender.abandon();
    if (this.#isDelivered) this.#reset();
  }

  /** This side has no socket (any more): the other is told, gets what was sent before, and sends no more. */
  break(): void {
    const { pair, onBroken } = this.#options;
    if (!this.#isBroken && !this.#isBrokenThere) {
      this.#isBroken = true;
      onBroken();
    }
    pair.sender.end();
    pair.receiver.cancel();
    if (this.#socket === undefined) this.#closed.resolve(undefined);
  }

  /** Resets the socket at once. */
  destroy(): void {
    const socket = this.#socket;
    if (socket === undefined || socket.destroyed) return;
    socket.resetAndDestroy();
  }

  #send(socket: Socket, piece: Buffer): void {
    this.#unsentBytes += piece.length;
    if (this.#unsentBytes > MAX_UNSENT_BYTES) socket.pause();
    this.#options.pair.sender.write(piece).then(
      () => {
        this.#unsentBytes -= piece.length;
        if (socket.isPaused() && this.#unsentBytes <= MAX_UNSENT_BYTES / 2) socket.resume();
      },
      // The connection is gone, which its owner tells us.
      () => undefined,
    );
  }

  /**
   * Node takes a reset for an end where data came right before it (libuv #4997), but a write fails then, one of
   * nothing, too. A write that waits already fails by itself.
   */
  #onEnd(socket: Socket): void {
    const { sender } = this.#options.pair;
    if (socket.writable && socket.writableLength === 0)
      socket.write('', (error) => {
        if (!error) sender.end();
      });
    else
      setImmediate(() => {
        if (socket.errored === null) sender.end();
      });
  }

  async #deliver(socket: Socket): Promise<void> {
    const { pair, onTaken } = this.#options;
    try {
      await pair.receiver.onData((piece) => {
        onTaken?.(piece.length);
        return socket.write(piece) ? undefined : drained(socket);
      });
    } catch {
      this.#isBrokenThere = true;
    }
    this.#isDelivered = true;
    if (this.#isBrokenThere) this.#reset();
    else socket.end();
  }

  /** Behind what was handed over. */
  #reset(): void {
    const socket = this.#socket;
    if (socket === undefined) return;
    if (!socket.writableEnded) socket.write('', () => this.destroy());
    else if (socket.writableFinished) this.destroy();
    else socket.once('finish', () => this.destroy());
  }

  #onClose(socket: Socket): void {
    this.#closed.resolve(undefined);
    if (!socket.readableEnded || !socket.writableFinished) this.break();
  }
}
