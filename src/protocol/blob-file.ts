/** The file that a large blob is built in. */
import { constants, openSync, rmSync, writeSync } from 'node:fs';
import { RmtxError } from '../errors.js';
import type { Digest } from '../store/digest.js';
import { explainWriteError } from '../store/disk-full.js';

const REOPEN_FLAGS = constants.O_RDWR | constants.O_NOFOLLOW;

/** Opens it again, for reading and writing. */
export function reopenFile(path: string): number {
  return openSync(path, REOPEN_FLAGS);
}

export interface FilePlace {
  readonly fd: number;
  readonly path: string;
  readonly offset: number;
}

/**
 * Writes all of the bytes at an offset. Where the disk is full the file is removed, as it is most of
 * what fills it, and DISK_FULL thrown.
 */
export function writeAt(place: FilePlace, bytes: Uint8Array): void {
  let done = 0;
  try {
    while (done < bytes.length)
      done += writeSync(place.fd, bytes, done, bytes.length - done, place.offset + done);
  } catch (error) {
    const explained = explainWriteError(error, place.path);
    if (explained !== error) rmSync(place.path, { force: true });
    throw explained;
  }
}

export function digestMismatch(digest: Digest): RmtxError {
  return new RmtxError(
    'ERR_RMTX_DIGEST_MISMATCH',
    `the other side sent bytes that are not those of ${digest}`,
  );
}
