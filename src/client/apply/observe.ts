/** What is at a path of the project now, and whether it is still what somebody saw there before. */
import { readlinkSync } from 'node:fs';
import type { Stats } from 'node:fs';
import { isRmtxError, systemErrorCode } from '../../errors.js';
import type { FileEntry, SymlinkEntry } from '../../sync/entry.js';
import { hashFileAt } from '../../sync/hash-file.js';
import { isRacyAt } from '../../sync/stat-signature.js';
import { ctimeUsOf, mtimeUsOf, nowUs } from '../../util/microseconds.js';
import { pathFromBytes } from '../../util/path-bytes.js';
import type { AnchoredRoot } from '../../util/safe-path.js';
import type { Absent, FileBefore, SymlinkBefore } from './operations.js';

/**
 * lstat that never fails for what others may do to a tree: 'blocked' where a parent is a file or a link,
 * undefined where the path or a parent of it is missing.
 */
export function look(root: AnchoredRoot, path: string): Stats | 'blocked' | undefined {
  try {
    return root.lstat(path);
  } catch (error) {
    if (isRmtxError(error) && error.code === 'ERR_RMTX_PATH_ESCAPES_ROOT') return 'blocked';
    throw error;
  }
}

/** A link's target as a manifest has it; undefined where there is no link (any more). */
export function readTarget(root: AnchoredRoot, path: string): string | undefined {
  try {
    return pathFromBytes(readlinkSync(root.at(path), { encoding: 'buffer' }));
  } catch (error) {
    // EINVAL: something else took the link's place.
    if (['ENOENT', 'ENOTDIR', 'EINVAL'].includes(systemErrorCode(error) ?? '')) return undefined;
    throw error;
  }
}

/** What a file is before it is touched. */
export function fileBefore(stats: Stats, digest: FileBefore['digest']): FileBefore {
  const [mtimeUs, ctimeUs] = [mtimeUsOf(stats), ctimeUsOf(stats)];
  return {
    kind: 'file',
    mode: stats.mode & 0o777,
    size: stats.size,
    mtimeUs,
    ctimeUs,
    ino: stats.ino,
    isRacy: isRacyAt(nowUs(), { mtimeUs, ctimeUs }),
    digest,
  };
}

/**
 * True while the path holds what it held before. A file is read only where its times do not prove it:
 * they are another's, they are racy, or an undo link has renewed the ctime.
 */
export function isStillBefore(
  root: AnchoredRoot,
  path: string,
  before: FileBefore | SymlinkBefore | Absent,
): boolean {
  const stats = look(root, path);
  if (before.kind === 'absent') return stats === undefined;
  if (stats === undefined || stats === 'blocked') return false;
  if (before.kind === 'symlink')
    return stats.isSymbolicLink() && readTarget(root, path) === before.target;
  if (!stats.isFile() || stats.size !== before.size) return false;
  const isSameFile =
    stats.ino === before.ino &&
    mtimeUsOf(stats) === before.mtimeUs &&
    ctimeUsOf(stats) === before.ctimeUs;
  if (isSameFile && !before.isRacy) return true;
  return before.digest !== undefined && hashFileAt(root, path)?.digest === before.digest;
}

/** True when the path holds the content of this entry; a file is read to know. */
export function hasEntryContent(
  root: AnchoredRoot,
  path: string,
  entry: FileEntry | SymlinkEntry,
): boolean {
  const stats = look(root, path);
  if (stats === undefined || stats === 'blocked') return false;
  if (entry.kind === 'symlink')
    return stats.isSymbolicLink() && readTarget(root, path) === entry.target;
  if (!stats.isFile() || stats.size !== entry.size) return false;
  return hashFileAt(root, path)?.digest === entry.digest;
}

/** The same file as seen a moment ago, not written to since; a link made to it meanwhile does not count. */
export function isSameVersion(now: Stats, then: Stats): boolean {
  return now.ino === then.ino && now.size === then.size && mtimeUsOf(now) === mtimeUsOf(then);
}
