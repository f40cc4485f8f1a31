import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, linkSync, openSync, rmSync } from 'node:fs';
import path from 'node:path';
import { systemErrorCode } from '../errors.js';
import { PRIVATE_FILE_MODE, fsyncDirectory, writeFully } from './atomic-file.js';

/** What a file system without hard links answers (exFAT, some network and FUSE mounts). */
const NO_LINKS = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'];

/**
 * Puts a new private file in place unless one is there already: of several processes that try at
 * once, one wins, and no reader ever sees a part of the file. Returns true for the winner; the others
 * read what the winner wrote. Waits until the bytes are on disk.
 *
 * The complete temporary file is linked to the name, because link, unlike rename, never replaces.
 * Where the file system has no links the name itself is created exclusively: still one winner, but a
 * reader in that very moment can see an unfinished file.
 */
export function createFileOnce(file: string, data: string): boolean {
  const temporary = path.join(
    path.dirname(file),
    `.${path.basename(file)}.${randomBytes(6).toString('hex')}.tmp`,
  );
  try {
    writeNewFile(temporary, data);
    linkSync(temporary, file);
  } catch (error) {
    const code = systemErrorCode(error) ?? '';
    if (code === 'EEXIST') return false;
    if (!NO_LINKS.includes(code)) throw error;
    return createInPlace(file, data);
  } finally {
    rmSync(temporary, { force: true });
  }
  fsyncDirectory(path.dirname(file));
  return true;
}

function createInPlace(file: string, data: string): boolean {
  try {
    writeNewFile(file, data);
    return true;
  } catch (error) {
    if (systemErrorCode(error) === 'EEXIST') return false;
    throw error;
  }
}

function writeNewFile(file: string, data: string): void {
  const fd = openSync(file, 'wx', PRIVATE_FILE_MODE);
  try {
    writeFully(fd, Buffer.from(data));
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
