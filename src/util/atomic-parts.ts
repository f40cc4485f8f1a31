import { randomBytes } from 'node:crypto';
import { closeSync, openSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { PRIVATE_FILE_MODE, writeFully } from './atomic-file.js';

/**
 * As `writeFileAtomic`, for data that lies in many pieces and is too large to be put together first.
 * Not durable: a crash of the machine may leave the old or an empty file.
 */
export function writePartsAtomic(file: string, parts: Iterable<Uint8Array>): void {
  const temporary = path.join(
    path.dirname(file),
    `.${path.basename(file)}.${randomBytes(6).toString('hex')}.tmp`,
  );
  const fd = openSync(temporary, 'wx', PRIVATE_FILE_MODE);
  try {
    try {
      for (const part of parts) writeFully(fd, part);
    } finally {
      closeSync(fd);
    }
    renameSync(temporary, file);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}
