/** What stands at one path now, as an entry with its signature. */
import { readlinkSync } from 'node:fs';
import type { Stats } from 'node:fs';
import { isRmtxError, systemErrorCode } from '../errors.js';
import { nowUs } from '../util/microseconds.js';
import { pathFromBytes } from '../util/path-bytes.js';
import type { AnchoredRoot } from '../util/safe-path.js';
import type { Entry, FileEntry, Problem, SymlinkEntry, WorkspacePath } from './entry.js';
import { hashFileInSteps } from './hash-file.js';
import type { HashedFile } from './hash-file.js';
import { signatureOf } from './stat-signature.js';
import type { StatSignature } from './stat-signature.js';

export interface FreshEntry<E extends Entry = Entry> {
  readonly entry: E;
  /** Undefined for a directory, which has none. */
  readonly signature: StatSignature | undefined;
}

/**
 * Reads one path, its content included. Undefined where nothing is there, or a link is in the way;
 * a problem where something is there that cannot be an entry.
 */
export function* readEntryInSteps(
  root: AnchoredRoot,
  path: WorkspacePath,
): Generator<undefined, FreshEntry | Problem | undefined> {
  try {
    const clockUs = nowUs();
    const stats = root.lstat(path);
    if (stats === undefined) return undefined;
    if (stats.isDirectory())
      return { entry: { kind: 'directory', path, mode: stats.mode & 0o777 }, signature: undefined };
    if (stats.isSymbolicLink())
      return toLinkEntry(path, { target: readLink(root.at(path)), stats, clockUs });
    if (!stats.isFile()) return specialFileProblem(path, stats);
    const hashed = yield* hashFileInSteps(root, path);
    return hashed === undefined ? undefined : toFileEntry(path, hashed);
  } catch (error) {
    return isGone(error) ? undefined : unreadableProblem(path, error);
  }
}

export function isProblem(value: FreshEntry | Problem): value is Problem {
  return 'code' in value;
}

export function toFileEntry(path: WorkspacePath, file: HashedFile): FreshEntry<FileEntry> {
  const { mode, size, mtimeUs, digest, signature } = file;
  return { entry: { kind: 'file', path, mode, size, mtimeUs, digest }, signature };
}

export interface FoundLink {
  readonly target: string;
  readonly stats: Stats;
  /** The clock at the lstat, or before. */
  readonly clockUs: number;
}

export function toLinkEntry(path: WorkspacePath, link: FoundLink): FreshEntry<SymlinkEntry> {
  const entry = { kind: 'symlink', path, target: link.target } as const;
  return { entry, signature: signatureOf(link.stats, link.clockUs) };
}

/** A target's bytes need not be UTF-8. */
export function readLink(file: string | Buffer): string {
  return pathFromBytes(readlinkSync(file, { encoding: 'buffer' }));
}

/** True for the errors of a path that went away, or was swapped for something else, under the reader. */
export function isGone(error: unknown): boolean {
  if (isRmtxError(error)) return error.code === 'ERR_RMTX_PATH_ESCAPES_ROOT';
  return ['ENOENT', 'ENOTDIR', 'EINVAL', 'ELOOP'].includes(systemErrorCode(error) ?? '');
}

/**
 * Opens a file that was there at the scan. Undefined where by now there is none at this path, or none that
 * may be read.
 */
export function openIfStillThere(root: AnchoredRoot, path: WorkspacePath): number | undefined {
  return ifStillThere(() => root.openFile(path));
}

/** lstat of a file that was there at the scan. Undefined as with {@link openIfStillThere}. */
export function lstatIfStillThere(root: AnchoredRoot, path: WorkspacePath): Stats | undefined {
  return ifStillThere(() => root.lstat(path));
}

function ifStillThere<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    if (isGone(error) || ['EACCES', 'EPERM'].includes(systemErrorCode(error) ?? ''))
      return undefined;
    throw error;
  }
}

/** Of the process, not of the path: a manifest that lacks files for such a reason must not be made. */
const EXHAUSTED = new Set(['EMFILE', 'ENFILE', 'ENOMEM']);

export function unreadableProblem(path: WorkspacePath, error: unknown): Problem {
  const code = systemErrorCode(error);
  // Anything that is no system error is a bug and must not be hidden in a list.
  if (code === undefined || EXHAUSTED.has(code)) throw error;
  return { path, code: 'unreadable', message: `cannot be read (${code})` };
}

export function specialFileProblem(path: WorkspacePath, stats: Stats): Problem {
  return { path, code: 'special-file', message: `is a ${specialKind(stats)} and is not synced` };
}

function specialKind(stats: Stats): string {
  if (stats.isFIFO()) return 'FIFO';
  if (stats.isSocket()) return 'socket';
  return 'device';
}
