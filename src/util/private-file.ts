/**
 * Reading what only its owner may touch: keys, trust, secrets. Windows has neither owners nor modes in
 * Node's stat; there the checks that need them pass.
 */
import { chmodSync, closeSync, fchmodSync, fstatSync, openSync, readSync, statSync } from 'node:fs';
import type { Stats } from 'node:fs';
import { RmtxError, systemErrorCode } from '../errors.js';
import {
  PRIVATE_DIRECTORY_MODE,
  PRIVATE_FILE_MODE,
  ensurePrivateDirectory,
} from './atomic-file.js';
import { printable } from './printable.js';
import { SAFE_READ_FLAGS } from './safe-path.js';

const OTHERS_MASK = 0o077;
const OTHERS_WRITE_MASK = 0o022;
/** No private file of ours comes near this; a larger one is not ours. */
const MAX_PRIVATE_FILE_BYTES = 64 * 1024;

export interface PrivateFileOptions {
  /** Told the path whose mode was too open and has been closed. */
  readonly onRepair?: ((path: string) => void) | undefined;
}

/**
 * The file's bytes, or undefined where there is none. Refuses (STATE_UNSAFE) a symbolic link, anything
 * but a regular file, a file of another user, and one that others could write: its content may be
 * theirs. A file that others could only read is closed to them and reported through `onRepair`.
 */
export function readPrivateFile(
  file: string,
  options: PrivateFileOptions = {},
): Buffer | undefined {
  const fd = openWithoutFollowing(file);
  if (fd === undefined) return undefined;
  try {
    const stats = fstatSync(fd);
    if (!stats.isFile()) throw unsafe(file, 'is not a regular file');
    refuseOtherOwner(file, stats);
    if (hasModes() && (stats.mode & OTHERS_WRITE_MASK) !== 0)
      throw unsafe(file, 'can be written by other users', `check it, then chmod 600 ${file}`);
    if (hasModes() && (stats.mode & OTHERS_MASK) !== 0) {
      fchmodSync(fd, PRIVATE_FILE_MODE);
      options.onRepair?.(file);
    }
    return readAtMost(fd, file);
  } finally {
    closeSync(fd);
  }
}

/**
 * Makes the directory where it is missing. Refuses one of another user; closes one that others can
 * enter, and reports it. The directory itself may be reached through a link: people keep theirs
 * elsewhere, and what counts is who owns the place.
 */
export function openPrivateDirectory(directory: string, options: PrivateFileOptions = {}): void {
  ensurePrivateDirectory(directory);
  const stats = statSync(directory);
  if (!stats.isDirectory()) throw unsafe(directory, 'is not a directory');
  refuseOtherOwner(directory, stats);
  if (!hasModes() || (stats.mode & OTHERS_MASK) === 0) return;
  chmodSync(directory, PRIVATE_DIRECTORY_MODE);
  options.onRepair?.(directory);
}

function openWithoutFollowing(file: string): number | undefined {
  try {
    return openSync(file, SAFE_READ_FLAGS);
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === 'ENOENT') return undefined;
    // O_NOFOLLOW on a link: ELOOP on Linux and macOS, EMLINK on FreeBSD. ENXIO: a socket.
    if (code === 'ELOOP' || code === 'EMLINK') throw unsafe(file, 'is a symbolic link');
    if (code === 'ENXIO') throw unsafe(file, 'is not a regular file');
    throw error;
  }
}

/** One byte beyond the limit is enough to know that there is more. */
function readAtMost(fd: number, file: string): Buffer {
  const bytes = Buffer.allocUnsafe(MAX_PRIVATE_FILE_BYTES + 1);
  let length = 0;
  for (;;) {
    const count = readSync(fd, bytes, length, bytes.length - length, null);
    if (count === 0) return Buffer.from(bytes.subarray(0, length));
    length += count;
    if (length > MAX_PRIVATE_FILE_BYTES)
      throw new RmtxError('ERR_RMTX_STATE_CORRUPT', `${printable(file)} is far too large`);
  }
}

function refuseOtherOwner(file: string, stats: Stats): void {
  const user = process.geteuid?.();
  if (user !== undefined && stats.uid !== user)
    throw unsafe(file, `belongs to another user (uid ${stats.uid}, this process runs as ${user})`);
}

function hasModes(): boolean {
  return process.platform !== 'win32';
}

function unsafe(file: string, reason: string, hint?: string): RmtxError {
  return new RmtxError('ERR_RMTX_STATE_UNSAFE', `${printable(file)} ${reason}`, { hint });
}
