/**
 * A large blob as fixed-size chunks, each with a digest of its own. A chunk list is a help for the
 * transfer only: it tells which parts of an older version or of an interrupted transfer can be used
 * again. The blob's name stays the digest of the whole.
 */
import { readSync } from 'node:fs';
import { DIGEST_BYTES, createDigestStream, hashBytes } from './digest.js';

/** Below this a blob travels whole, in one piece of memory. */
export const LARGE_BLOB_BYTES = 4 * 1024 * 1024;
export const MIN_CHUNK_BYTES = 1024 * 1024;
/** A chunk is held in memory by both sides. */
export const MAX_CHUNK_BYTES = 16 * 1024 * 1024;
/** 16 TiB, ext4's largest file, has a list of 32 MiB. Anything larger travels without one. */
export const MAX_CHUNKED_BYTES = 2 ** 44;

const CHUNKS_AIMED_AT = 65_536;

export interface ChunkList {
  readonly size: number;
  readonly chunkSize: number;
  /** One raw digest after the other. */
  readonly digests: Buffer;
}

/** Both sides compute it from the blob's size: a power of two from 1 to 16 MiB. */
export function chunkSizeFor(size: number): number {
  let chunkSize = MIN_CHUNK_BYTES;
  while (chunkSize * CHUNKS_AIMED_AT < size && chunkSize < MAX_CHUNK_BYTES) chunkSize *= 2;
  return chunkSize;
}

export function chunkCountFor(size: number): number {
  return Math.ceil(size / chunkSizeFor(size));
}

/** Bytes of chunk `index`: the last one may be short. */
export function chunkLength(list: Pick<ChunkList, 'size' | 'chunkSize'>, index: number): number {
  return Math.min(list.chunkSize, list.size - index * list.chunkSize);
}

export function chunkDigest(list: ChunkList, index: number): Buffer {
  return list.digests.subarray(index * DIGEST_BYTES, (index + 1) * DIGEST_BYTES);
}

/** A list for a blob of this size, in which no digest is right yet. */
export function createChunkList(size: number): ChunkList {
  const digests = Buffer.alloc(chunkCountFor(size) * DIGEST_BYTES);
  return { size, chunkSize: chunkSizeFor(size), digests };
}

/**
 * Hashes a file whole and in chunks, in one pass. Yields how many chunks are in the list so far, after each
 * (16 MiB at most), so that the caller can let others run. Returns the raw digest of the whole, undefined where
 * the file does not have the list's size.
 */
export function* listChunks(fd: number, list: ChunkList): Generator<number, Buffer | undefined> {
  const { size, chunkSize, digests } = list;
  const count = chunkCountFor(size);
  const whole = createDigestStream();
  const buffer = Buffer.allocUnsafeSlow(chunkSize);
  for (let index = 0; index < count; index++) {
    const chunk = readExactly(fd, buffer, { offset: index * chunkSize, size });
    if (chunk === undefined) return undefined;
    whole.update(chunk);
    digests.set(hashBytes(chunk), index * DIGEST_BYTES);
    yield index + 1;
  }
  return hasMoreThan(fd, size) ? undefined : whole.finish();
}

/** Hashes a file of `size` bytes, yielding every few MiB; undefined where it has another size. */
export function* hashFile(fd: number, size: number): Generator<undefined, Buffer | undefined> {
  const whole = createDigestStream();
  const buffer = Buffer.allocUnsafeSlow(Math.max(1, Math.min(MIN_CHUNK_BYTES, size)));
  for (let offset = 0; offset < size; offset += buffer.length) {
    const piece = readExactly(fd, buffer, { offset, size });
    if (piece === undefined) return undefined;
    whole.update(piece);
    yield undefined;
  }
  return hasMoreThan(fd, size) ? undefined : whole.finish();
}

/**
 * Fills the buffer from `offset` on, as far as a file of `size` bytes goes; undefined where the file
 * is shorter.
 */
export function readExactly(
  fd: number,
  buffer: Buffer,
  where: { readonly offset: number; readonly size: number },
): Buffer | undefined {
  const wanted = Math.min(buffer.length, where.size - where.offset);
  let done = 0;
  while (done < wanted) {
    const count = readSync(fd, buffer, done, wanted - done, where.offset + done);
    if (count === 0) return undefined;
    done += count;
  }
  return buffer.subarray(0, wanted);
}

/** True where the file is longer than `size`. */
export function hasMoreThan(fd: number, size: number): boolean {
  return readSync(fd, Buffer.allocUnsafe(1), 0, 1, size) > 0;
}
