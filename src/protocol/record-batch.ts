import { ByteWriter } from '../util/bytes.js';
import { MAX_HEAD_BYTES } from './blob-record-head.js';
import { encodeDataHead } from './blob-records.js';
import type { BlobDataHead } from './blob-records.js';
import { DATA_HEAD_BYTES, WHOLE_DATA_BYTES } from './frame.js';
import type { WriteOptions } from './send-channel.js';

/** One frame: cheap to send, and small enough to stay in the processor's cache. */
const BATCH_BYTES = WHOLE_DATA_BYTES;

/** Sends bytes in order; resolves when their memory may be reused, which is also what holds the sender back. */
export type SendData = (bytes: Buffer, options?: WriteOptions) => Promise<void>;

/**
 * Data records put together in two buffers in turn: one is filled while the other is on its way, and
 * that is all the memory there is.
 */
export class RecordBatch {
  readonly #data: SendData;
  #filling = withHeadroom();
  #resting = withHeadroom();
  #length = 0;
  /** The other buffer's way out. */
  #onItsWay: Promise<void> = Promise.resolve();

  constructor(data: SendData) {
    this.#data = data;
  }

  get capacity(): number {
    return BATCH_BYTES;
  }

  /** Bytes that can still be put in without sending. */
  get room(): number {
    return BATCH_BYTES - this.#length;
  }

  /** The memory for the next record; see {@link commit}. Good until anything is sent. */
  free(): Buffer {
    return this.#filling.subarray(this.#length);
  }

  /** Counts what was put into {@link free}. */
  commit(byteCount: number): void {
    this.#length += byteCount;
  }

  encodeHead(head: BlobDataHead): Buffer {
    const writer = new ByteWriter(MAX_HEAD_BYTES);
    encodeDataHead(writer, head);
    return writer.view();
  }

  /** Puts a record in that is a head alone. */
  async addHead(head: BlobDataHead): Promise<void> {
    if (this.room < MAX_HEAD_BYTES) await this.flush();
    this.commit(this.encodeHead(head).copy(this.free()));
  }

  /** Sends what was put in; resolves when there is a buffer to fill. */
  async flush(): Promise<void> {
    if (this.#length === 0) return;
    const full = this.#filling.subarray(0, this.#length);
    await this.#onItsWay;
    [this.#filling, this.#resting] = [this.#resting, this.#filling];
    this.#length = 0;
    this.#onItsWay = this.#data(full, { hasHeadroom: true });
    // Whoever flushes next waits for it and sees the error; until then nobody does.
    this.#onItsWay.catch(() => undefined);
  }

  /** Sends a record too large for a batch after all before it; resolves when its memory is free. */
  async sendAlone(record: Buffer): Promise<void> {
    await this.flush();
    await this.#data(record);
  }

  /** Sends all, and resolves when it is gone. */
  async finish(): Promise<void> {
    await this.flush();
    await this.#onItsWay;
  }
}

function withHeadroom(): Buffer {
  return Buffer.allocUnsafeSlow(DATA_HEAD_BYTES + BATCH_BYTES).subarray(DATA_HEAD_BYTES);
}
