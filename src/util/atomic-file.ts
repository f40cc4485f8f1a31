import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';
import { systemErrorCode } from '../errors.js';

/** Directories of ours are for their owner alone; so are the files in them. */
export const PRIVATE_DIRECTORY_MODE = 0o700;
export const PRIVATE_FILE_MODE = 0o600;

export interface AtomicWriteOptions {
  readonly mode?: number;
  /**
   * Waits until the bytes are on disk. For what must survive a power cut (keys, trust, journals);
   * about 400 µs. Without it a crash of the machine may leave the old or an empty file, never a torn
   * one in a crash of the process.
   */
  readonly isDurable?: boolean;
}

/**
 * Replaces a file in one step: readers see the old or the new bytes, never a part. The temporary name
 * is unpredictable and made with O_EXCL, so nothing planted there is followed or reused.
 */
export function writeFileAtomic(
  file: string,
  data: string | Uint8Array,
  options: AtomicWriteOptions = {},
): void {
  // Loaded by the first write: whoever only reads, as on the way to exec's first packet, does without.
  const { randomBytes } = process.getBuiltinModule('node:crypto');
  const temporary = path.join(
    path.dirname(file),
    `.${path.basename(file)}.${randomBytes(6).toString('hex')}.tmp`,
  );
  const fd = openSync(temporary, 'wx', options.mode ?? PRIVATE_FILE_MODE);
  try {
    try {
      writeFully(fd, typeof data === 'string' ? Buffer.from(data) : data);
      if (options.isDurable === true) fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(temporary, file);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
  if (options.isDurable === true) fsyncDirectory(path.dirname(file));
}

/** Writes every byte: one `write` may take only a part. */
export function writeFully(fd: number, data: Uint8Array): void {
  let offset = 0;
  while (offset < data.length) offset += writeSync(fd, data, offset, data.length - offset);
}

/** The file's bytes, or undefined where there is none. */
export function readFileIfExists(file: string): Buffer | undefined {
  try {
    return readFileSync(file);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/**
 * Makes it, and what is missing above it. By hand, as mkdir's own `recursive` never returns where a file
 * system makes no directories and calls that ENOENT (/proc, automounts), and calls a read-only one ENOENT, too.
 */
export function ensurePrivateDirectory(directory: string): void {
  if (isDirectory(directory)) return;
  try {
    makeDirectory(directory);
  } catch (error) {
    const parent = path.dirname(directory);
    const isAboveMissing = parent !== directory && !isDirectory(parent);
    if (systemErrorCode(error) !== 'ENOENT' || !isAboveMissing) throw error;
    ensurePrivateDirectory(parent);
    makeDirectory(directory);
  }
}

function makeDirectory(directory: string): void {
  try {
    mkdirSync(directory, { mode: PRIVATE_DIRECTORY_MODE });
  } catch (error) {
    // Another process was first.
    if (systemErrorCode(error) !== 'EEXIST' || !isDirectory(directory)) throw error;
  }
}

function isDirectory(name: string): boolean {
  return statSync(name, { throwIfNoEntry: false })?.isDirectory() === true;
}

/** Makes a rename in this directory survive a power cut. */
export function fsyncDirectory(directory: string): void {
  // Windows has no way to open a directory for this, and orders its metadata itself.
  if (process.platform === 'win32') return;
  const fd = openSync(directory, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
