import { closeSync, ftruncateSync, rmSync } from 'node:fs';
import { createDigestStream } from '../store/digest.js';
import { badRecord } from './blob-record-head.js';
import { writeAt } from './blob-file.js';

/** A file that comes as a stream, from its first byte on, hashed as it is written. */
export class StreamedFile {
  readonly path: string;
  readonly #fd: number;
  readonly #limit: number;
  readonly #hash = createDigestStream();
  #size = 0;

  /** Empties the open file, which is its own from here on. Of more than `limit` bytes nothing is written. */
  constructor(file: { readonly fd: number; readonly path: string }, limit: number) {
    this.#fd = file.fd;
    this.path = file.path;
    this.#limit = limit;
    ftruncateSync(this.#fd, 0);
  }

  /** Throws BAD_MESSAGE on more than the limit, DISK_FULL. */
  append(bytes: Buffer): void {
    if (this.#size + bytes.length > this.#limit)
      throw badRecord(`more than the ${this.#limit} bytes of a file`);
    this.#hash.update(bytes);
    writeAt({ fd: this.#fd, path: this.path, offset: this.#size }, bytes);
    this.#size += bytes.length;
  }

  /** Closes the file. Returns what came: its bytes and their raw digest. */
  finish(): { readonly size: number; readonly digest: Buffer } {
    closeSync(this.#fd);
    return { size: this.#size, digest: this.#hash.finish() };
  }

  /** Closes the file as it is. */
  close(): void {
    closeSync(this.#fd);
  }

  /** What came is worth nothing. */
  abandon(): void {
    this.close();
    this.remove();
  }

  remove(): void {
    rmSync(this.path, { force: true });
  }
}
