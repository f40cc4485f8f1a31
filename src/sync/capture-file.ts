import { closeSync, fstatSync } from 'node:fs';
import type { Stats } from 'node:fs';
import { systemErrorCode } from '../errors.js';
import type { BlobStore } from '../store/blob-store.js';
import { LARGE_BLOB_BYTES } from '../store/chunk-list.js';
import { hashBytes, toDigest } from '../store/digest.js';
import type { Digest } from '../store/digest.js';
import { ctimeUsOf, nowUs } from '../util/microseconds.js';
import { isGone } from './fresh-entry.js';
import { readFileAt } from './hash-file.js';
import { signatureOf } from './stat-signature.js';
import type { StatSignature } from './stat-signature.js';
import { hashWorkspaceFile } from './workspace-scan.js';
import type { WorkspaceFiles } from './workspace-files.js';

export interface CapturedContent {
  readonly digest: Digest;
  readonly size: number;
  readonly signature: StatSignature;
}

/**
 * Reads a file and puts what was read into the store, unless it is `known`. Undefined where no regular
 * file is there any more; throws the system error where it cannot be read, DISK_FULL where it does not fit.
 */
export function captureFile(
  places: { readonly files: WorkspaceFiles; readonly store: BlobStore },
  path: string,
  known?: { readonly digest: Digest; readonly size: number },
): CapturedContent | undefined {
  const { files, store } = places;
  const stats = files.lstat(path);
  if (stats?.isFile() !== true) return undefined;
  if (stats.size >= LARGE_BLOB_BYTES) {
    // Read twice if it has changed, but not copied if it has not.
    const hashed = known?.size === stats.size ? hashWorkspaceFile(files, path) : undefined;
    return hashed !== undefined && hashed.digest === known?.digest
      ? hashed
      : captureLarge(places, path);
  }
  const read = readSmall(files, path);
  if (read === undefined) return undefined;
  if (read === 'too-large') return captureLarge(places, path);
  const digest = toDigest(hashBytes(read.bytes));
  if (digest !== known?.digest) store.putBytes(digest, read.bytes);
  return { digest, size: read.size, signature: read.signature };
}

type ReadResult = ReturnType<typeof readFileAt>;

function readSmall(files: WorkspaceFiles, path: string): ReadResult {
  const read = (): ReadResult =>
    files.reach(path, () => readFileAt(files.root, path, LARGE_BLOB_BYTES));
  try {
    return read();
  } catch (error) {
    if (isGone(error)) return undefined;
    if (systemErrorCode(error) !== 'EACCES') throw error;
    const found = files.whileReadable(path, read);
    const stats = files.lstat(path);
    if (found === undefined || found === 'too-large' || stats === undefined) return found;
    // Giving the file its mode back was the last change to it.
    return { ...found, signature: signatureOf(stats, nowUs()) };
  }
}

function captureLarge(
  { files, store }: { readonly files: WorkspaceFiles; readonly store: BlobStore },
  path: string,
): CapturedContent | undefined {
  const fd = files.openFile(path);
  if (fd === undefined) return undefined;
  try {
    const clockUs = nowUs();
    const before = fstatSync(fd);
    const { digest, size } = store.putFromFd(fd, before.size);
    const signature = signatureOf(before, clockUs);
    const isWhole = size === before.size && isUntouched(before, fstatSync(fd));
    return { digest, size, signature: isWhole ? signature : { ...signature, isRacy: true } };
  } finally {
    closeSync(fd);
  }
}

function isUntouched(before: Stats, after: Stats): boolean {
  return before.size === after.size && ctimeUsOf(before) === ctimeUsOf(after);
}
