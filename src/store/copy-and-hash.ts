import { closeSync, constants, copyFileSync, openSync, readSync, rmSync } from 'node:fs';
import { PRIVATE_FILE_MODE, writeFully } from '../util/atomic-file.js';
import { SAFE_CREATE_FLAGS, SAFE_READ_FLAGS } from '../util/safe-path.js';
import { LARGE_BLOB_BYTES } from './chunk-list.js';
import { createDigestStream, hashBytes } from './digest.js';

const COPY_BUFFER_BYTES = 1024 * 1024;
/** One for this thread: the work is synchronous, so two copies never overlap. */
let copyBuffer: Buffer | undefined;

export interface CopiedFile {
  /** Raw digest of what the copy holds. */
  readonly digest: Buffer;
  readonly size: number;
}

/**
 * Copies an open file to a new one and hashes the copy, so that both agree whatever happens to the
 * original meanwhile. Leaves no file behind when it throws.
 */
export function copyAndHash(fd: number, target: string, expectedSize: number): CopiedFile {
  if (expectedSize >= LARGE_BLOB_BYTES && cloneFile(fd, target)) {
    const clone = openSync(target, SAFE_READ_FLAGS);
    try {
      return hashFrom(clone, () => undefined);
    } finally {
      closeSync(clone);
    }
  }
  const copy = openSync(target, SAFE_CREATE_FLAGS, PRIVATE_FILE_MODE);
  try {
    return hashFrom(fd, (piece) => writeFully(copy, piece));
  } catch (error) {
    rmSync(target, { force: true });
    throw error;
  } finally {
    closeSync(copy);
  }
}

/**
 * Shares the blocks where the file system can (Btrfs, XFS): a gigabyte in a millisecond. For small files
 * it gains nothing over copying.
 */
function cloneFile(fd: number, target: string): boolean {
  if (process.platform !== 'linux') return false;
  try {
    copyFileSync(
      `/proc/self/fd/${fd}`,
      target,
      constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE_FORCE,
    );
    return true;
  } catch {
    // Not this file system, or not within one: the caller copies.
    rmSync(target, { force: true });
    return false;
  }
}

function hashFrom(fd: number, onPiece: (piece: Buffer) => void): CopiedFile {
  copyBuffer ??= Buffer.allocUnsafeSlow(COPY_BUFFER_BYTES);
  let size = 0;
  const read = (buffer: Buffer): Buffer => {
    const piece = buffer.subarray(0, readSync(fd, buffer, 0, buffer.length, size));
    size += piece.length;
    onPiece(piece);
    return piece;
  };
  const first = read(copyBuffer);
  // A short read is the end of the file. One call then: a digest stream costs four times as much.
  if (first.length < copyBuffer.length) return { digest: hashBytes(first), size };
  const stream = createDigestStream();
  for (let piece = first; piece.length > 0; piece = read(copyBuffer)) stream.update(piece);
  return { digest: stream.finish(), size };
}
