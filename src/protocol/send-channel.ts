import { createDeferred } from '../util/deferred.js';
import type { Deferred } from '../util/deferred.js';
import { DATA_PIECE_BYTES, WHOLE_DATA_BYTES, encodeEnd } from './frame.js';
import type { FrameWriter } from './frame-writer.js';

export interface WriteOptions {
  /** The DATA_HEAD_BYTES before the bytes, in their memory, may be overwritten. */
  readonly hasHeadroom?: boolean;
}

/** A link of the chain of writes: ten thousand small ones in a turn are no reason for quadratic work. */
interface QueuedWrite {
  readonly bytes: Uint8Array;
  readonly hasHeadroom: boolean;
  readonly taken: Deferred<undefined>;
  offset: number;
  next: QueuedWrite | undefined;
}

/** The sending end of a channel. Never has more bytes on their way than the receiver asked for. */
export class SendChannel {
  readonly number: number;
  readonly #writer: FrameWriter;
  readonly #cancelled: Deferred<undefined> = createDeferred();
  readonly #ended: Deferred<undefined> = createDeferred();
  #first: QueuedWrite | undefined;
  #last: QueuedWrite | undefined;
  /** Written to the stream, but not yet taken by it: rejected when the connection goes. */
  readonly #unconfirmed = new Set<Deferred<undefined>>();
  #credit = 0;
  #isWaitingForRoom = false;
  #isEnding = false;
  #hasEnded = false;
  #isCancelled = false;
  #failure: Error | undefined;

  constructor(number: number, writer: FrameWriter) {
    this.number = number;
    this.#writer = writer;
  }

  /** Resolves when the receiver wants no more. Stays open when the connection ends before that. */
  get cancelled(): Promise<void> {
    return this.#cancelled.promise;
  }

  get isCancelled(): boolean {
    return this.#isCancelled;
  }

  /** Resolves when the receiver has been told the end. Stays open when the connection ends before that. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /**
   * Sends bytes; calls may overlap and keep their order. Resolves when the system has taken all of
   * them, so that their memory may be reused, or when the receiver has cancelled and they are dropped.
   * Waits for as long as the receiver does not read. Rejects when the connection is gone; whoever does
   * not wait for the promise need not handle that, the connection's end says the same.
   */
  write(bytes: Uint8Array, { hasHeadroom = false }: WriteOptions = {}): Promise<void> {
    const taken: Deferred<undefined> = createDeferred();
    if (this.#failure !== undefined) {
      taken.reject(this.#failure);
    } else if (bytes.length === 0 || this.#isCancelled) {
      taken.resolve(undefined);
    } else if (this.#isEnding) {
      taken.reject(new Error(`Internal error: write on ended channel ${this.number}`));
    } else {
      this.#enqueue({ bytes, hasHeadroom, taken, offset: 0, next: undefined });
    }
    return taken.promise;
  }

  /** Says that nothing follows what was written so far. May be called more than once. */
  end(): void {
    this.#isEnding = true;
    this.#pump();
  }

  /** Ends the channel at once: what is queued is dropped, and what is written from here on. */
  abandon(): void {
    if (this.#isCancelled || this.#hasEnded) return;
    this.#isCancelled = true;
    for (const { taken } of this.#takeQueue()) taken.resolve(undefined);
    this.#sendEnd();
  }

  /** @internal The receiver allows this many bytes more. */
  addCredit(byteCount: number): void {
    this.#credit += byteCount;
    this.#pump();
  }

  /** @internal The receiver wants no more: what is queued is dropped and the channel ends. */
  acceptCancel(): void {
    if (this.#isCancelled || this.#hasEnded) return;
    this.abandon();
    this.#cancelled.resolve(undefined);
  }

  /** @internal The connection is gone. */
  fail(error: Error): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    for (const { taken } of this.#takeQueue()) taken.reject(error);
    for (const taken of this.#unconfirmed) taken.reject(error);
    this.#unconfirmed.clear();
  }

  #enqueue(write: QueuedWrite): void {
    if (this.#first !== undefined && this.#last !== undefined) {
      this.#last.next = write;
      this.#last = write;
      return;
    }
    this.#first = write;
    this.#last = write;
    this.#pump();
  }

  #takeQueue(): QueuedWrite[] {
    const writes: QueuedWrite[] = [];
    for (let write = this.#first; write !== undefined; write = write.next) writes.push(write);
    this.#first = undefined;
    return writes;
  }

  #pump(): void {
    if (this.#failure !== undefined || this.#isWaitingForRoom) return;
    for (let write = this.#first; write !== undefined; write = this.#first) {
      if (this.#credit === 0) return;
      if (!this.#writer.hasRoom) {
        this.#waitForRoom();
        return;
      }
      this.#sendPiece(write);
    }
    if (this.#isEnding) this.#sendEnd();
  }

  #sendPiece(write: QueuedWrite): void {
    const { bytes, taken, offset } = write;
    if (write.hasHeadroom && offset === 0 && this.#mayGoWhole(bytes)) {
      this.#credit -= bytes.length;
      this.#first = write.next;
      this.#writer.wholeData(this.number, bytes, this.#confirming(taken));
      return;
    }
    const end = Math.min(bytes.length, offset + this.#credit, offset + DATA_PIECE_BYTES);
    this.#credit -= end - offset;
    write.offset = end;
    const piece = bytes.subarray(offset, end);
    if (end < bytes.length) {
      this.#writer.data(this.number, piece, undefined);
      return;
    }
    this.#first = write.next;
    this.#writer.data(this.number, piece, this.#confirming(taken));
  }

  #mayGoWhole(bytes: Uint8Array): boolean {
    return bytes.length <= WHOLE_DATA_BYTES && bytes.length <= this.#credit;
  }

  #confirming(taken: Deferred<undefined>): () => void {
    this.#unconfirmed.add(taken);
    return () => {
      this.#unconfirmed.delete(taken);
      taken.resolve(undefined);
    };
  }

  #waitForRoom(): void {
    this.#isWaitingForRoom = true;
    this.#writer.whenRoom(() => {
      this.#isWaitingForRoom = false;
      this.#pump();
    });
  }

  #sendEnd(): void {
    this.#isEnding = true;
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#writer.frame(encodeEnd(this.number));
    this.#ended.resolve(undefined);
  }
}
