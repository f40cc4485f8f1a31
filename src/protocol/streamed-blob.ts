import { digestBytes } from '../store/digest.js';
import type { Digest } from '../store/digest.js';
import { badRecord } from './blob-record-head.js';
import { digestMismatch } from './blob-file.js';
import type { BlobSink } from './blob-receiver.js';
import { StreamedFile } from './streamed-file.js';

/** A large blob that comes whole, hashed as it is written. */
export class StreamedBlob {
  readonly digest: Digest;
  readonly #size: number;
  readonly #sink: BlobSink;
  readonly #file: StreamedFile;

  constructor(digest: Digest, size: number, sink: BlobSink) {
    this.digest = digest;
    this.#size = size;
    this.#sink = sink;
    this.#file = new StreamedFile(sink.createLarge(digest, size), size);
  }

  get path(): string {
    return this.#file.path;
  }

  /** Throws BAD_MESSAGE on more than the blob's size. */
  append(bytes: Buffer): void {
    this.#file.append(bytes);
  }

  /** Closes the file. Verifies the whole, and removes it where it is wrong. */
  finish(): void {
    const { size, digest } = this.#file.finish();
    if (size === this.#size && digest.equals(digestBytes(this.digest))) return;
    this.#file.remove();
    if (size < this.#size) throw badRecord(`less than the ${this.#size} bytes of ${this.digest}`);
    throw digestMismatch(this.digest);
  }

  /** The sender took it back: what came is worth nothing. */
  abandon(): void {
    this.#file.abandon();
  }

  /** The transfer was cut. */
  leave(): void {
    this.#file.close();
    this.#sink.unfinished?.(this.digest, this.path);
  }
}
