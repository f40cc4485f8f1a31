/**
 * The one way rmtx touches files of a tree that somebody else can change: a project during sync-back,
 * a workspace that a command wrote in. A tree is opened once and entered component by component, and a
 * symbolic link in the place of a directory is refused, also when it is swapped in between two steps.
 *
 * Linux: each directory is opened with O_DIRECTORY|O_NOFOLLOW relative to its parent's descriptor
 * through /proc/self/fd, so what was checked is what is used. Elsewhere Node offers no openat: every
 * component is checked with lstat right before use, which leaves a race that only a process of the
 * same user can win.
 */
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  realpathSync,
} from 'node:fs';
import type { Stats } from 'node:fs';
import path from 'node:path';
import { RmtxError, systemErrorCode } from '../errors.js';
import { hasEscapedBytes, pathToBytes } from './path-bytes.js';
import { printable } from './printable.js';

const HAS_PROC_FD = process.platform === 'linux';
const DIRECTORY_FLAGS = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
/** Never follows a link in the last place, never hangs on a FIFO that took the file's place. */
export const SAFE_READ_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
/** Makes a new file or fails: nothing planted under the name is followed or truncated. */
export const SAFE_CREATE_FLAGS =
  constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

interface OpenDirectory {
  readonly name: string;
  readonly fd: number;
}

/** A directory tree entered only through real directories. Not for concurrent use. */
export class AnchoredRoot implements Disposable {
  /** The tree's real absolute path at the time it was opened; for messages and for other tools. */
  readonly path: string;
  readonly #rootFd: number;
  /** The directories from the root to the one used last: a walk in order reopens almost none. */
  #open: OpenDirectory[] = [];

  private constructor(realPath: string, rootFd: number) {
    this.path = realPath;
    this.#rootFd = rootFd;
  }

  /**
   * Opens a tree. The root itself may be a link (a project often is); it is resolved once, here.
   * Throws the system error where it is missing or no directory.
   */
  static open(root: string): AnchoredRoot {
    const real = realpathSync(root);
    const flags = process.platform === 'win32' ? constants.O_RDONLY : DIRECTORY_FLAGS;
    return new AnchoredRoot(real, HAS_PROC_FD ? openSync(real, flags) : -1);
  }

  /**
   * The path to hand to one synchronous `node:fs` call for `relativePath` ('/'-separated; '' is the root).
   * The parents have been entered safely; the last component is the caller's: use calls that do not
   * follow it (lstat, rename, unlink, mkdir, symlink, open with {@link SAFE_READ_FLAGS} or
   * {@link SAFE_CREATE_FLAGS}). Valid until the next call on this root.
   *
   * Throws PATH_ESCAPES_ROOT where a parent is a link or no directory, ENOENT where it is missing.
   */
  at(relativePath: string): string | Buffer {
    if (relativePath === '') return HAS_PROC_FD ? `/proc/self/fd/${this.#rootFd}` : this.path;
    const slash = relativePath.lastIndexOf('/');
    const parent = slash < 0 ? '' : relativePath.slice(0, slash);
    const name = relativePath.slice(slash + 1);
    refuseUnsafeName(name, relativePath);
    const base = this.#enter(parent);
    return hasEscapedBytes(name)
      ? Buffer.concat([Buffer.from(`${base}/`), pathToBytes(name)])
      : `${base}/${name}`;
  }

  /** lstat, or undefined where nothing is there. */
  lstat(relativePath: string): Stats | undefined {
    try {
      return lstatSync(this.at(relativePath));
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  }

  /**
   * Opens a regular file for reading without following a link. Returns undefined where it is missing
   * or is not a regular file. The caller closes the descriptor.
   */
  openFile(relativePath: string): number | undefined {
    return this.openWithStats(relativePath)?.fd;
  }

  /** As {@link openFile}, with what fstat said right after. */
  openWithStats(relativePath: string): { readonly fd: number; readonly stats: Stats } | undefined {
    let fd: number;
    try {
      fd = openSync(this.at(relativePath), SAFE_READ_FLAGS);
    } catch (error) {
      if (isMissing(error) || ['ELOOP', 'EMLINK', 'ENXIO'].includes(systemErrorCode(error) ?? ''))
        return undefined;
      throw error;
    }
    const stats = fstatSync(fd);
    if (stats.isFile()) return { fd, stats };
    closeSync(fd);
    return undefined;
  }

  /** Makes the directory and its parents; each existing component must be a real directory. */
  makeDirectories(relativePath: string, mode = 0o777): void {
    if (relativePath === '') return;
    try {
      this.#enter(relativePath);
      return;
    } catch (error) {
      if (systemErrorCode(error) !== 'ENOENT') throw error;
    }
    const slash = relativePath.lastIndexOf('/');
    this.makeDirectories(slash < 0 ? '' : relativePath.slice(0, slash), mode);
    try {
      mkdirSync(this.at(relativePath), { mode });
    } catch (error) {
      if (systemErrorCode(error) !== 'EEXIST') throw error;
      this.#enter(relativePath);
    }
  }

  /** Drops remembered directories. Call it after renaming or removing a directory of the tree. */
  forget(): void {
    for (const directory of this.#open.reverse()) closeSync(directory.fd);
    this.#open = [];
  }

  [Symbol.dispose](): void {
    this.forget();
    if (HAS_PROC_FD) closeSync(this.#rootFd);
  }

  /** Enters a directory below the root; returns a prefix that names it. */
  #enter(directory: string): string {
    const names = directory === '' ? [] : directory.split('/');
    return HAS_PROC_FD ? this.#enterByDescriptor(names) : this.#enterByName(names);
  }

  #enterByDescriptor(names: readonly string[]): string {
    let kept = 0;
    while (kept < names.length && this.#open[kept]?.name === names[kept]) kept += 1;
    for (const directory of this.#open.splice(kept).reverse()) closeSync(directory.fd);
    for (const name of names.slice(kept)) {
      refuseUnsafeName(name, names.join('/'));
      const parentFd = this.#open.at(-1)?.fd ?? this.#rootFd;
      const prefix = `/proc/self/fd/${parentFd}/`;
      const target = hasEscapedBytes(name)
        ? Buffer.concat([Buffer.from(prefix), pathToBytes(name)])
        : prefix + name;
      this.#open.push({ name, fd: openDirectory(target, names.join('/')) });
    }
    return `/proc/self/fd/${this.#open.at(-1)?.fd ?? this.#rootFd}`;
  }

  #enterByName(names: readonly string[]): string {
    let current = this.path;
    for (const name of names) {
      refuseUnsafeName(name, names.join('/'));
      current = path.join(current, name);
      if (!lstatSync(current).isDirectory()) throw escapes(names.join('/'));
    }
    return current;
  }
}

function openDirectory(target: string | Buffer, shown: string): number {
  try {
    return openSync(target, DIRECTORY_FLAGS);
  } catch (error) {
    // O_DIRECTORY|O_NOFOLLOW on a link gives ENOTDIR on Linux, ELOOP on some file systems.
    if (['ENOTDIR', 'ELOOP'].includes(systemErrorCode(error) ?? '')) throw escapes(shown, error);
    throw error;
  }
}

function refuseUnsafeName(name: string, whole: string): void {
  if (name === '' || name === '.' || name === '..' || name.includes('/') || name.includes('\0'))
    throw escapes(whole);
}

function escapes(shown: string, cause?: unknown): RmtxError {
  return new RmtxError(
    'ERR_RMTX_PATH_ESCAPES_ROOT',
    `${printable(shown)} is not a directory inside the tree (a link or a file is in the way)`,
    { cause },
  );
}

function isMissing(error: unknown): boolean {
  return systemErrorCode(error) === 'ENOENT' || systemErrorCode(error) === 'ENOTDIR';
}
