import { closeSync, ftruncateSync, rmSync } from 'node:fs';
import { createDigestStream, digestBytes } from '../store/digest.js';
import type { Digest } from '../store/digest.js';
import { badRecord } from './blob-record-head.js';
import { digestMismatch, writeAt } from './blob-file.js';
import type { BlobSink } from './blob-receiver.js';

/** A large blob that comes whole, hashed as it is written. */
export class StreamedBlob {
  readonly digest: Digest;
  readonly path: string;
  readonly #size: number;
  readonly #sink: BlobSink;
  readonly #fd: number;
  readonly #hash = createDigestStream();
  #offset = 0;

  constructor(digest: Digest, size: number, sink: BlobSink) {
    this.digest = digest;
    this.#size = size;
    this.#sink = sink;
    const file = sink.createLarge(digest, size);
    this.#fd = file.fd;
    this.path = file.path;
    ftruncateSync(this.#fd, 0);
  }

  /** Throws BAD_MESSAGE on more than the blob's size. */
  append(bytes: Buffer): void {
    if (this.#offset + bytes.length > this.#size)
      throw badRecord(`more than the ${this.#size} bytes of ${this.digest}`);
    this.#hash.update(bytes);
    writeAt({ fd: this.#fd, path: this.path, offset: this.#offset }, bytes);
    this.#offset += bytes.length;
  }

  /** Closes the file. Verifies the whole, and removes it where it is wrong. */
  finish(): void {
    if (this.#offset < this.#size) {
      this.abandon();
      throw badRecord(`less than the ${this.#size} bytes of ${this.digest}`);
    }
    if (!this.#hash.finish().equals(digestBytes(this.digest))) {
      this.abandon();
      throw digestMismatch(this.digest);
    }
    closeSync(this.#fd);
  }

  /** The sender took it back: what came is worth nothing. */
  abandon(): void {
    closeSync(this.#fd);
    rmSync(this.path, { force: true });
  }

  /** The transfer was cut. */
  leave(): void {
    closeSync(this.#fd);
    this.#sink.unfinished?.(this.digest, this.path);
  }
}
