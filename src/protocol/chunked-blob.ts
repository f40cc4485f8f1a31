import { closeSync, fstatSync, ftruncateSync, rmSync } from 'node:fs';
import { systemErrorCode } from '../errors.js';
import {
  chunkCountFor,
  chunkDigest,
  chunkLength,
  hashFile,
  readExactly,
} from '../store/chunk-list.js';
import type { ChunkList } from '../store/chunk-list.js';
import { digestBytes, hashBytes } from '../store/digest.js';
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

/** Asked for at once, so that the first chunks come while the others are still compared. */
const MAX_RUN_CHUNKS = 64;

/**
 * A large blob of which parts are here already: those are found by their digests and used, only the
 * others are asked for. No file stays open between two calls, so any number may be under way.
 */
export class ChunkedBlob {
  readonly #options: ChunkedBlobOptions;
  #list: ChunkList | undefined;
  /** One byte a chunk: 1 while it is awaited. */
  #awaited = new Uint8Array(0);
  #awaitedCount = 0;
  #isCompared = false;
  #path: string | undefined;

  constructor(options: ChunkedBlobOptions) {
    this.#options = options;
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
    return this.#isCompared && this.#awaitedCount === 0;
  }

  awaitsList(size: number): boolean {
    return this.#list === undefined && size === this.#options.size;
  }

  awaitsChunk(index: number, length: number): boolean {
    return (
      this.#list !== undefined &&
      this.#awaited[index] === 1 &&
      length === chunkLength(this.#list, index)
    );
  }

  /**
   * Looks for each chunk in the file itself and in its basis, takes over what is there, and asks for the
   * rest. Yields after each chunk.
   */
  compare(list: ChunkList): Generator<undefined, void> {
    // At once, not at the first step: a second list is refused from here on.
    this.#list = list;
    this.#awaited = new Uint8Array(chunkCountFor(list.size));
    return this.#compare(list);
  }

  /** Writes a chunk that is awaited. Throws DIGEST_MISMATCH where its bytes are wrong, and DISK_FULL. */
  put(index: number, bytes: Buffer): void {
    const list = this.#list;
    if (list === undefined || !hashBytes(bytes).equals(chunkDigest(list, index)))
      throw digestMismatch(this.#options.digest);
    const { path } = this;
    const fd = reopenFile(path);
    try {
      writeAt({ fd, path, offset: index * list.chunkSize }, bytes);
    } finally {
      closeSync(fd);
    }
    this.#awaited[index] = 0;
    this.#awaitedCount -= 1;
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

  *#compare(list: ChunkList): Generator<undefined, void> {
    const { digest, size, sink } = this.#options;
    const { fd, path } = sink.createLarge(digest, size);
    this.#path = path;
    let basis: number | undefined;
    try {
      basis = sink.basis(digest, size);
      const isResumed = fstatSync(fd).size > 0;
      if (fstatSync(fd).size > size) ftruncateSync(fd, size);
      yield* this.#compareWith({ list, fd, path, isResumed, basis });
    } finally {
      closeSync(fd);
      if (basis !== undefined) closeSync(basis);
    }
    this.#isCompared = true;
  }

  *#compareWith(files: {
    readonly list: ChunkList;
    readonly fd: number;
    readonly path: string;
    readonly isResumed: boolean;
    readonly basis: number | undefined;
  }): Generator<undefined, void> {
    const { list, fd, path, isResumed, basis } = files;
    const buffer = Buffer.allocUnsafeSlow(list.chunkSize);
    let runStart = 0;
    for (let index = 0; index < this.#awaited.length; index++) {
      const where = { list, index, buffer };
      let isHere = isResumed && readGoodChunk(fd, where) !== undefined;
      if (!isHere && basis !== undefined) {
        const chunk = readGoodChunk(basis, where);
        if (chunk !== undefined) writeAt({ fd, path, offset: index * list.chunkSize }, chunk);
        isHere = chunk !== undefined;
      }
      const end = isHere ? index : index + 1;
      if (isHere || end - runStart >= MAX_RUN_CHUNKS) {
        this.#askFor(runStart, end);
        runStart = index + 1;
      }
      yield undefined;
    }
    this.#askFor(runStart, this.#awaited.length);
  }

  /** Asks for the chunks from `start` up to but not including `end`. */
  #askFor(start: number, end: number): void {
    if (end <= start) return;
    this.#awaited.fill(1, start, end);
    this.#awaitedCount += end - start;
    this.#options.ask(start, end - start);
  }
}

/** A chunk of the file, if the file has it as the list says and can be read. */
function readGoodChunk(
  fd: number,
  where: { readonly list: ChunkList; readonly index: number; readonly buffer: Buffer },
): Buffer | undefined {
  const { list, index, buffer } = where;
  let chunk: Buffer | undefined;
  try {
    chunk = readExactly(fd, buffer, { offset: index * list.chunkSize, size: list.size });
  } catch (error) {
    // An older version on a bad disk is no older version.
    if (systemErrorCode(error) === undefined) throw error;
  }
  if (chunk === undefined || !hashBytes(chunk).equals(chunkDigest(list, index))) return undefined;
  return chunk;
}
