/**
 * Reads files whose content is wanted while anybody may be writing to them. What is returned always
 * belongs together: the bytes, their size, and a signature that is only trusted when nobody wrote.
 */
import { closeSync, fstatSync, readSync } from 'node:fs';
import type { Stats } from 'node:fs';
import { createDigestStream, hashBytes, toDigest } from '../store/digest.js';
import type { Digest } from '../store/digest.js';
import { ctimeUsOf, mtimeUsOf, nowUs } from '../util/microseconds.js';
import type { AnchoredRoot } from '../util/safe-path.js';
import { runAtOnce } from '../util/slices.js';
import type { Steps } from '../util/slices.js';
import { signatureOf } from './stat-signature.js';
import type { StatSignature } from './stat-signature.js';

export interface HashedFile {
  readonly mode: number;
  /** Of the bytes that were hashed. */
  readonly size: number;
  readonly mtimeUs: number;
  readonly digest: Digest;
  /** Racy where the file was still being written to, so that the next scan reads it again. */
  readonly signature: StatSignature;
  /** All bytes of a file that is small enough to be read at once; good until the next is hashed. */
  readonly bytes: Buffer | undefined;
}

/** Times a file that changes under the reader is read again before a snapshot has to do. */
const MAX_ATTEMPTS = 3;
/** One shot up to here, in pieces of this size above: the stream's set-up costs 9 µs a file. */
const PIECE_BYTES = 1024 * 1024;

let sharedBuffer: Buffer | undefined;

export interface HashedBytes {
  readonly size: number;
  readonly digest: Digest;
  /** All of them where they were read at once; good until the next file is hashed. */
  readonly bytes: Buffer | undefined;
}

/** Hashes the first `limit` bytes of an open file, or as far as it goes. */
type HashOpenFile<Y> = (fd: number, limit: number) => Generator<Y | undefined, HashedBytes>;

/**
 * Hashes a file, yielding between pieces. Undefined where it is missing or no regular file; throws the
 * system error where it cannot be read, PATH_ESCAPES_ROOT where a link stands in the way.
 *
 * A file that changes meanwhile is read again; one that never holds still is taken as the bytes of the
 * last reading, which is what anybody would see who copies it. One whose size `isPassedOver` is not read.
 */
export function hashFileInSteps(
  root: AnchoredRoot,
  path: string,
  isPassedOver: (size: number) => boolean = () => false,
): Generator<undefined, HashedFile | undefined> {
  return hashSteadily(root, path, { read: hashOpenFile, isPassedOver });
}

/** As {@link hashFileInSteps}; `readFirst` is what reads it the first time, whatever else it does with the bytes. */
export function hashFileWith(
  root: AnchoredRoot,
  path: string,
  readFirst: HashOpenFile<Promise<void>>,
): Steps<HashedFile | undefined> {
  return hashSteadily(root, path, { read: readFirst, isPassedOver: () => false });
}

function* hashSteadily<Y>(
  root: AnchoredRoot,
  path: string,
  first: { readonly read: HashOpenFile<Y>; readonly isPassedOver: (size: number) => boolean },
): Generator<Y | undefined, HashedFile | undefined> {
  // The clock before the stat, and that before the bytes: a write after either shows in the times.
  let clockUs = nowUs();
  const opened = root.openWithStats(path);
  if (opened === undefined) return undefined;
  const { fd } = opened;
  try {
    let before = opened.stats;
    if (first.isPassedOver(before.size)) return undefined;
    for (let attempt = 1; ; attempt++) {
      const read = attempt === 1 ? first.read : hashOpenFile;
      const { size, digest, bytes } = yield* read(fd, before.size);
      const isWhole = size === before.size && isUntouched(before, fstatSync(fd));
      if (!isWhole && attempt < MAX_ATTEMPTS) {
        clockUs = nowUs();
        before = fstatSync(fd);
        continue;
      }
      const signature = signatureOf(before, clockUs);
      return {
        mode: before.mode & 0o777,
        size,
        mtimeUs: signature.mtimeUs,
        digest,
        signature: isWhole ? signature : { ...signature, isRacy: true },
        bytes,
      };
    }
  } finally {
    closeSync(fd);
  }
}

/** As {@link hashFileInSteps}, at once: for small files and for workers. */
export function hashFileAt(root: AnchoredRoot, path: string): HashedFile | undefined {
  return runAtOnce(hashFileInSteps(root, path));
}

export interface ReadFile {
  readonly bytes: Buffer;
  readonly size: number;
  readonly signature: StatSignature;
}

/** The bytes of a small file under the same promises as {@link hashFileInSteps}. */
export function readFileAt(
  root: AnchoredRoot,
  path: string,
  maxBytes: number,
): ReadFile | 'too-large' | undefined {
  const fd = root.openFile(path);
  if (fd === undefined) return undefined;
  try {
    for (let attempt = 1; ; attempt++) {
      const clockUs = nowUs();
      const before = fstatSync(fd);
      if (before.size > maxBytes) return 'too-large';
      const buffer = Buffer.allocUnsafe(before.size);
      const size = readFully(fd, buffer, 0);
      const isWhole = size === before.size && isUntouched(before, fstatSync(fd));
      if (!isWhole && attempt < MAX_ATTEMPTS) continue;
      const signature = signatureOf(before, clockUs);
      return {
        bytes: buffer.subarray(0, size),
        size,
        signature: isWhole ? signature : { ...signature, isRacy: true },
      };
    }
  } finally {
    closeSync(fd);
  }
}

/** Hashes the first `limit` bytes, or as far as the file goes: one that grows all the time has an end, too. */
export function* hashOpenFile(fd: number, limit: number): Generator<undefined, HashedBytes> {
  // The buffer is free again at each yield: other work may use it meanwhile.
  const buffer = (sharedBuffer ??= Buffer.allocUnsafeSlow(PIECE_BYTES));
  if (limit <= PIECE_BYTES) {
    const size = readFully(fd, buffer.subarray(0, limit), 0);
    const bytes = buffer.subarray(0, size);
    return { size, digest: toDigest(hashBytes(bytes)), bytes };
  }
  const stream = createDigestStream();
  for (let size = 0; ;) {
    const wanted = Math.min(PIECE_BYTES, limit - size);
    const count = readFully(fd, buffer.subarray(0, wanted), size);
    stream.update(buffer.subarray(0, count));
    size += count;
    if (size === limit || count < wanted) {
      return { size, digest: toDigest(stream.finish()), bytes: undefined };
    }
    yield;
  }
}

/** Fills the buffer from this place in the file, or as far as the file goes. */
function readFully(fd: number, buffer: Buffer, position: number): number {
  let filled = 0;
  while (filled < buffer.length) {
    const count = readSync(fd, buffer, filled, buffer.length - filled, position + filled);
    if (count === 0) break;
    filled += count;
  }
  return filled;
}

function isUntouched(before: Stats, after: Stats): boolean {
  return (
    before.size === after.size &&
    mtimeUsOf(before) === mtimeUsOf(after) &&
    ctimeUsOf(before) === ctimeUsOf(after)
  );
}
