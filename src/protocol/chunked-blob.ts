import { closeSync, fstatSync, ftruncateSync, rmSync } from 'node:fs';
import { systemErrorCode } from '../errors.js';
import {
  chunkCountFor,
  chunkLength,
  chunkSizeFor,
  hashFile,
  readExactly,
} from '../store/chunk-list.js';
import { DIGEST_BYTES, digestBytes, hashBytes } from '../store/digest.js';
import type { Digest } from '../store/digest.js';
import { digestMismatch, reopenFile, writeAt } from './blob-file.js';
import type { BlobSink } from './blob-receiver.js';

export interface ChunkedBlobOptions {
  readonly digest: Digest;
  readonly size: number;
  readonly sink: BlobSink;
  /** Asks the sender for a run of chunks. */
  readonly ask: (firstIndex: number, count: number) => void;
}

/**
 * A large blob of which parts are here already: those are found by their digests and used, only the
 * others are asked for. No file stays open between two calls, so any number may be under way.
 */
export class ChunkedBlob {
  readonly #options: ChunkedBlobOptions;
  readonly #chunkSize: number;
  readonly #chunkCount: number;
  /** How many chunks have been listed, and how many of those looked for. */
  #listedCount = 0;
  #comparedCount = 0;
  /** The digest of each chunk that was asked for and is not here yet, by its index. */
  readonly #awaited = new Map<number, Buffer>();
  #path: string | undefined;

  constructor(options: ChunkedBlobOptions) {
    this.#options = options;
    this.#chunkSize = chunkSizeFor(options.size);
    this.#chunkCount = chunkCountFor(options.size);
  }

  get digest(): Digest {
    return this.#options.digest;
  }

  /** Where the finished file is. */
  get path(): string {
    if (this.#path === undefined) throw new Error('Internal error: no file yet');
    return this.#path;
  }

  get hasAllChunks(): boolean {
    return this.#comparedCount === this.#chunkCount && this.#awaited.size === 0;
  }

  awaitsListed(firstIndex: number, count: number): boolean {
    return firstIndex === this.#listedCount && firstIndex + count <= this.#chunkCount;
  }

  awaitsChunk(index: number, length: number): boolean {
    const whole = { size: this.#options.size, chunkSize: this.#chunkSize };
    return this.#awaited.has(index) && length === chunkLength(whole, index);
  }

  /**
   * Looks for the next chunks, of which these are the digests, in the file itself and in its basis, takes over
   * what is there, and asks for the rest. Yields after each chunk.
   */
  compare(digests: Buffer): Generator<undefined, void> {
    // At once, not at the first step: the same are refused from here on.
    const first = this.#listedCount;
    this.#listedCount += digests.length / DIGEST_BYTES;
    return this.#compare(first, digests);
  }

  /** Writes a chunk that is awaited. Throws DIGEST_MISMATCH where its bytes are wrong, and DISK_FULL. */
  put(index: number, bytes: Buffer): void {
    if (this.#awaited.get(index)?.equals(hashBytes(bytes)) !== true)
      throw digestMismatch(this.#options.digest);
    const { path } = this;
    const fd = reopenFile(path);
    try {
      writeAt({ fd, path, offset: index * this.#chunkSize }, bytes);
    } finally {
      closeSync(fd);
    }
    this.#awaited.delete(index);
  }

  /**
   * Hashes the whole: that each chunk is the list's does not make the list the blob's. Yields every MiB.
   * Throws DIGEST_MISMATCH, and removes the file then.
   */
  *verify(): Generator<undefined, void> {
    const { digest, size } = this.#options;
    const fd = reopenFile(this.path);
    let found: Buffer | undefined;
    try {
      found = yield* hashFile(fd, size);
    } finally {
      closeSync(fd);
    }
    if (found?.equals(digestBytes(digest)) === true) return;
    this.abandon();
    throw digestMismatch(digest);
  }

  /** The sender took it back: what came is worth nothing. */
  abandon(): void {
    if (this.#path !== undefined) rmSync(this.#path, { force: true });
    this.#path = undefined;
  }

  /** The transfer was cut. */
  leave(): void {
    if (this.#path !== undefined) this.#options.sink.unfinished?.(this.#options.digest, this.#path);
  }

  *#compare(first: number, digests: Buffer): Generator<undefined, void> {
    const { digest, size, sink } = this.#options;
    const { fd, path } = this.#open();
    let basis: number | undefined;
    try {
      basis = sink.basis(digest, size);
      yield* this.#compareWith({ first, digests, fd, path, basis });
    } finally {
      closeSync(fd);
      if (basis !== undefined) closeSync(basis);
    }
    this.#comparedCount += digests.length / DIGEST_BYTES;
  }

  #open(): { readonly fd: number; readonly path: string } {
    if (this.#path !== undefined) return { fd: reopenFile(this.#path), path: this.#path };
    const { digest, size, sink } = this.#options;
    const { fd, path } = sink.createLarge(digest, size);
    this.#path = path;
    if (fstatSync(fd).size > size) ftruncateSync(fd, size);
    return { fd, path };
  }

  *#compareWith(listed: {
    readonly first: number;
    readonly digests: Buffer;
    readonly fd: number;
    readonly path: string;
    readonly basis: number | undefined;
  }): Generator<undefined, void> {
    const { first, digests, fd, path, basis } = listed;
    const end = first + digests.length / DIGEST_BYTES;
    const buffer = Buffer.allocUnsafeSlow(this.#chunkSize);
    const digestOf = (index: number): Buffer =>
      digests.subarray((index - first) * DIGEST_BYTES, (index - first + 1) * DIGEST_BYTES);
    // Nothing of it is there past its end, and that this looks for.
    const isResumed = fstatSync(fd).size > first * this.#chunkSize;
    let missing: number | undefined;
    for (let index = first; index < end; index++) {
      const where = { offset: index * this.#chunkSize, size: this.#options.size };
      const chunk = { digest: digestOf(index), where, buffer };
      let isHere = isResumed && readGoodChunk(fd, chunk) !== undefined;
      if (!isHere && basis !== undefined) {
        const found = readGoodChunk(basis, chunk);
        if (found !== undefined) writeAt({ fd, path, offset: where.offset }, found);
        isHere = found !== undefined;
      }
      if (isHere) {
        this.#askFor(missing, index, digestOf);
        missing = undefined;
      } else {
        missing ??= index;
      }
      yield undefined;
    }
    this.#askFor(missing, end, digestOf);
  }

  /** Asks for the chunks from `start`, if there is one, up to but not including `end`. */
  #askFor(start: number | undefined, end: number, digestOf: (index: number) => Buffer): void {
    if (start === undefined) return;
    for (let index = start; index < end; index++) this.#awaited.set(index, digestOf(index));
    this.#options.ask(start, end - start);
  }
}

/** A chunk of the file, if the file has it as the list says and can be read. */
function readGoodChunk(
  fd: number,
  chunk: {
    readonly digest: Buffer;
    readonly where: { readonly offset: number; readonly size: number };
    readonly buffer: Buffer;
  },
): Buffer | undefined {
  const { digest, where, buffer } = chunk;
  let bytes: Buffer | undefined;
  try {
    bytes = readExactly(fd, buffer, where);
  } catch (error) {
    // An older version on a bad disk is no older version.
    if (systemErrorCode(error) === undefined) throw error;
  }
  return bytes !== undefined && hashBytes(bytes).equals(digest) ? bytes : undefined;
}
