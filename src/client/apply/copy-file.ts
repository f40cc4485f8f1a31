import { closeSync, fchmodSync, fstatSync, futimesSync, openSync, readSync, rmSync } from 'node:fs';
import type { Stats } from 'node:fs';
import { writeFully } from '../../util/atomic-file.js';
import { mtimeUsOf, toUtimesSeconds } from '../../util/microseconds.js';
import { SAFE_CREATE_FLAGS } from '../../util/safe-path.js';

const PIECE_BYTES = 1024 * 1024;
const PRIVATE_WHILE_WRITING = 0o600;

export interface FileAttributes {
  readonly mode: number;
  readonly mtimeUs: number;
}

let sharedBuffer: Buffer | undefined;

/** Makes a new file with what `write` puts in it, and removes it again if that fails. */
export function createFile(
  target: string | Buffer,
  attributes: FileAttributes,
  write: (fd: number) => void,
): void {
  const fd = openSync(target, SAFE_CREATE_FLAGS, PRIVATE_WHILE_WRITING);
  try {
    try {
      write(fd);
      setAttributes(fd, attributes);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    rmSync(target, { force: true });
    throw error;
  }
}

/** Exactly these bits, whatever the umask is, and this time. */
export function setAttributes(fd: number, { mode, mtimeUs }: FileAttributes): void {
  fchmodSync(fd, mode);
  futimesSync(fd, Date.now() / 1000, toUtimesSeconds(mtimeUs));
}

/** Copies an open file from its start to its end; `onPiece` sees the bytes. */
export function copyBytes(source: number, target: number, onPiece?: (piece: Buffer) => void): void {
  const buffer = (sharedBuffer ??= Buffer.allocUnsafeSlow(PIECE_BYTES));
  for (let position = 0; ;) {
    const count = readSync(source, buffer, 0, buffer.length, position);
    if (count === 0) return;
    const piece = buffer.subarray(0, count);
    onPiece?.(piece);
    writeFully(target, piece);
    position += count;
  }
}

/** Copies an open file with its mode and time; returns what it was. Closes nothing. */
export function copyWithAttributes(source: number, target: string | Buffer): Stats {
  const stats = fstatSync(source);
  const attributes = { mode: stats.mode & 0o777, mtimeUs: mtimeUsOf(stats) };
  createFile(target, attributes, (fd) => copyBytes(source, fd));
  return stats;
}
