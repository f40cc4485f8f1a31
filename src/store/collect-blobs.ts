import { lstatSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { systemErrorCode } from '../errors.js';
import { BLOBS, PARTIALS, QUARANTINE, TEMPORARY, digestOfName } from './blob-names.js';
import type { Digest } from './digest.js';
import { isHeld } from './partial-blobs.js';

export interface StoredBlob {
  readonly digest: Digest;
  readonly size: number;
  /** When it was last put: a blob that is put again is young again. */
  readonly mtimeMs: number;
}

export interface CollectOptions {
  readonly isReferenced: (digest: Digest) => boolean;
  /** What was put or touched within this time stays, referenced or not. */
  readonly olderThanMs: number;
}

export interface CollectResult {
  readonly removed: number;
  readonly bytes: number;
}

/** A temporary file of a living writer is seconds old, of a very large one minutes. */
const STALE_TEMPORARY_MS = 24 * 3600 * 1000;

/** Every blob, in no order. May be left early. What comes and goes meanwhile may be listed or not. */
export function* listBlobs(directory: string): Generator<StoredBlob> {
  const blobs = path.join(directory, BLOBS);
  for (const prefix of namesIn(blobs)) {
    for (const name of namesIn(path.join(blobs, prefix))) {
      const digest = digestOfName(name);
      if (digest === undefined) continue;
      const stats = lstatSync(path.join(blobs, prefix, name), { throwIfNoEntry: false });
      if (stats?.isFile() === true) yield { digest, size: stats.size, mtimeMs: stats.mtimeMs };
    }
  }
}

/**
 * The sweep of mark and sweep: removes old blobs that nothing refers to, and what crashes and bad disks
 * left behind. Yields after each file. A blob put again meanwhile is young and stays; a reader that
 * has one open keeps it.
 */
export function* collectBlobs(
  directory: string,
  options: CollectOptions,
): Generator<undefined, CollectResult> {
  const oldest = Date.now() - options.olderThanMs;
  let removed = 0;
  let bytes = 0;
  for (const { digest, mtimeMs } of listBlobs(directory)) {
    yield undefined;
    if (mtimeMs > oldest || options.isReferenced(digest)) continue;
    const hex = digest.slice(-64);
    const freed = removeIfOld(path.join(directory, BLOBS, hex.slice(0, 2), hex), oldest);
    removed += freed === undefined ? 0 : 1;
    bytes += freed ?? 0;
  }
  for (const file of leftovers(directory)) {
    yield undefined;
    const limit = file.isWorkInProgress ? Date.now() - STALE_TEMPORARY_MS : oldest;
    bytes += removeIfOld(file.path, limit) ?? 0;
  }
  return { removed, bytes };
}

function* leftovers(directory: string): Generator<{ path: string; isWorkInProgress: boolean }> {
  for (const folder of [PARTIALS, QUARANTINE, TEMPORARY])
    for (const name of namesIn(path.join(directory, folder)))
      yield {
        path: path.join(directory, folder, name),
        isWorkInProgress: folder === TEMPORARY || (folder === PARTIALS && isHeld(name)),
      };
}

/** Looks again right before it removes: the blob may just have been put anew. Returns its size. */
function removeIfOld(file: string, oldest: number): number | undefined {
  const stats = lstatSync(file, { throwIfNoEntry: false });
  if (stats === undefined || stats.mtimeMs > oldest) return undefined;
  rmSync(file, { force: true });
  return stats.size;
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(systemErrorCode(error) ?? '')) return [];
    throw error;
  }
}
