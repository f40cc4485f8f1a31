import { RmtxError } from '../errors.js';
import { createDeferred } from '../util/deferred.js';
import type { Deferred } from '../util/deferred.js';
import { PieceQueue } from './piece-queue.js';

export interface ReceiveChannelOptions {
  /** How many bytes the sender may have on their way; also the most this channel ever holds. */
  readonly windowBytes?: number;
}

/** What a channel tells its connection. */
export interface ReceiveChannelHooks {
  grant(byteCount: number): void;
  cancel(): void;
}

/** A reader of the `onData` kind. */
interface Pump {
  readonly handler: (piece: Buffer) => void | Promise<void>;
  readonly done: Deferred<undefined>;
  /** True while the handler works, and for good after it failed. */
  isBusy: boolean;
}

const DEFAULT_WINDOW_BYTES = 1024 * 1024;

/**
 * The receiving end of a channel, read either by `for await` or by `onData`, once. The sender is
 * allowed more as pieces are asked for, so a reader that stops, stops the sender.
 */
export class ReceiveChannel implements AsyncIterable<Buffer> {
  readonly number: number;
  readonly #hooks: ReceiveChannelHooks;
  readonly #queue = new PieceQueue();
  readonly #windowBytes: number;
  /** What the sender may still send. */
  #credit: number;
  /** Read, but not yet granted again. */
  #owedBytes = 0;
  #isInUse = false;
  #isCancelled = false;
  #hasEnded = false;
  #failure: Error | undefined;
  #changed: Deferred<undefined> | undefined;
  readonly #ended: Deferred<undefined> = createDeferred();
  #pump: Pump | undefined;

  constructor(number: number, hooks: ReceiveChannelHooks, options: ReceiveChannelOptions = {}) {
    this.number = number;
    this.#hooks = hooks;
    this.#windowBytes = options.windowBytes ?? DEFAULT_WINDOW_BYTES;
    this.#credit = this.#windowBytes;
    hooks.grant(this.#windowBytes);
  }

  /** Tells the sender to stop; a reader that waits sees the end. What is on its way is dropped. */
  cancel(): void {
    if (this.#isCancelled || this.#hasEnded || this.#failure !== undefined) return;
    this.#isCancelled = true;
    this.#queue.clear();
    this.#hooks.cancel();
    this.#wake();
  }

  /**
   * The pieces in order; throws CONNECTION_LOST after the last one that came where the connection
   * went before the sender's end. Leaving the loop early cancels the channel.
   */
  [Symbol.asyncIterator](): AsyncIterator<Buffer, undefined> {
    this.#claim();
    return {
      next: async () => {
        this.#repay();
        while (!this.#isReadable()) await this.#change();
        const value = this.#take();
        return value === undefined ? { done: true, value } : { done: false, value };
      },
      return: () => {
        this.cancel();
        return Promise.resolve({ done: true, value: undefined });
      },
    };
  }

  /**
   * Calls `handler` with each piece, one at a time; the sender is granted the piece's bytes again once
   * the handler is done with it. Resolves at the sender's end. Rejects with CONNECTION_LOST, or with
   * what the handler threw; the channel is cancelled then.
   */
  onData(handler: (piece: Buffer) => void | Promise<void>): Promise<void> {
    this.#claim();
    const pump: Pump = { handler, done: createDeferred(), isBusy: false };
    this.#pump = pump;
    this.#drain(pump);
    return pump.done.promise;
  }

  /** @internal Bytes from the wire. Throws BAD_MESSAGE on more than was granted. */
  deliver(piece: Buffer): void {
    if (this.#hasEnded || piece.length > this.#credit)
      throw new RmtxError(
        'ERR_RMTX_BAD_MESSAGE',
        `the other side sent more on channel ${this.number} than it was allowed to`,
      );
    this.#credit -= piece.length;
    if (this.#isCancelled) return;
    this.#queue.push(piece);
    this.#wake();
  }

  /** @internal The sender is done. */
  finish(): void {
    this.#hasEnded = true;
    this.#ended.resolve(undefined);
    this.#wake();
  }

  /** @internal The connection is gone. */
  fail(error: Error): void {
    if (this.#hasEnded || this.#failure !== undefined) return;
    this.#failure = error;
    this.#wake();
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /**
   * Resolves when the sender's end has come, after a {@link cancel}, too; pieces may still wait to be read.
   * Stays open when the connection ends before that.
   */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /**
   * Hands over what is there. No promise is made while the handler makes none: 65,000 pieces a gigabyte
   * come this way.
   */
  #drain(pump: Pump): void {
    if (pump.isBusy) return;
    try {
      while (this.#isReadable()) {
        const piece = this.#take();
        if (piece === undefined) {
          pump.done.resolve(undefined);
          return;
        }
        const handled = pump.handler(piece);
        if (handled !== undefined) {
          this.#await(pump, handled);
          return;
        }
        this.#repay();
      }
    } catch (error) {
      this.#stop(pump, error);
    }
  }

  #await(pump: Pump, handled: Promise<void>): void {
    pump.isBusy = true;
    handled.then(
      () => {
        pump.isBusy = false;
        this.#repay();
        this.#drain(pump);
      },
      (error: unknown) => this.#stop(pump, error),
    );
  }

  /** The handler is not called again. */
  #stop(pump: Pump, error: unknown): void {
    pump.isBusy = true;
    pump.done.reject(error);
    this.cancel();
  }

  /** True when there is a piece, or there never will be one again. */
  #isReadable(): boolean {
    return (
      !this.#queue.isEmpty || this.#hasEnded || this.#isCancelled || this.#failure !== undefined
    );
  }

  /** The next piece; undefined at the end. Pieces that came before a failure come first. */
  #take(): Buffer | undefined {
    const piece = this.#queue.shift();
    if (piece !== undefined) this.#owedBytes += piece.length;
    else if (this.#failure !== undefined && !this.#isCancelled) throw this.#failure;
    return piece;
  }

  #change(): Promise<void> {
    this.#changed ??= createDeferred();
    return this.#changed.promise;
  }

  /**
   * Grants again what was read, a quarter of the window at a time: the sender always has the other
   * three quarters, so this can wait without anybody waiting for it.
   */
  #repay(): void {
    if (this.#owedBytes * 4 < this.#windowBytes || this.#hasEnded || this.#isCancelled) return;
    this.#credit += this.#owedBytes;
    this.#hooks.grant(this.#owedBytes);
    this.#owedBytes = 0;
  }

  #wake(): void {
    if (this.#pump !== undefined) this.#drain(this.#pump);
    this.#changed?.resolve(undefined);
    this.#changed = undefined;
  }

  #claim(): void {
    if (this.#isInUse) throw new Error(`Internal error: channel ${this.number} is read twice`);
    this.#isInUse = true;
  }
}
