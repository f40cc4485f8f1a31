/**
 * The changes that are made to a workspace: files, links and directories come and go, whatever modes the
 * directories have, and never through a link. For one thread, while nothing else is going on in the tree.
 */
import {
  chmodSync,
  closeSync,
  constants,
  copyFileSync,
  fchmodSync,
  fstatSync,
  futimesSync,
  lstatSync,
  mkdirSync,
  openSync,
  renameSync,
  rmdirSync,
  symlinkSync,
  unlinkSync,
} from 'node:fs';
import type { Stats } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { RmtxError, systemErrorCode } from '../errors.js';
import { explainWriteError } from '../store/disk-full.js';
import { writeFully } from '../util/atomic-file.js';
import { toUtimesSeconds } from '../util/microseconds.js';
import { toFsPath } from '../util/path-bytes.js';
import { printable } from '../util/printable.js';
import { SAFE_CREATE_FLAGS } from '../util/safe-path.js';
import type { AnchoredRoot } from '../util/safe-path.js';
import { ClosedDirectories, isClosedError, isClosedMode } from './closed-directories.js';
import { isGone, readLink } from './fresh-entry.js';
import { STAGE_PREFIX } from './own-names.js';
import { listDirectory } from './walk.js';

const OWNER = 0o700;
/** Far beyond any project, far within a thousand descriptors. */
const MAX_DEPTH = 200;
const OWNER_READ = 0o400;
/** Of a file while it is being filled; its own mode may not let us write. */
const UNFINISHED = 0o600;

export interface FileAttributes {
  readonly mode: number;
  readonly mtimeUs: number;
}

export type IsKept = (path: string, kind: { readonly isDirectory: boolean }) => boolean;

export class WorkspaceFiles {
  readonly root: AnchoredRoot;
  readonly #closed: ClosedDirectories;
  /** Directories that were too deep to be removed where they were. */
  readonly #deep: string[] = [];

  constructor(root: AnchoredRoot) {
    this.root = root;
    this.#closed = new ClosedDirectories(root);
  }

  /**
   * Runs one operation on a path. Where a directory above it is closed to us, it is opened and the
   * operation tried again; {@link closeDirectories} gives it its mode back.
   */
  reach<T>(path: string, operate: () => T): T {
    try {
      return operate();
    } catch (error) {
      if (systemErrorCode(error) === 'ENAMETOOLONG') throw tooLong(path, error);
      if (!isClosedError(error) || !this.#closed.openAbove(path))
        throw explainWriteError(error, this.root.path);
      return operate();
    }
  }

  lstat(path: string): Stats | undefined {
    return this.reach(path, () => this.root.lstat(path));
  }

  /**
   * Makes a file in the place of whatever is there. A failure leaves nothing at the path.
   *
   * One open, write, chmod, utimes, stat and close a file, because this is what a cold workspace costs:
   * the times go last but the stat, so that its signature is final.
   */
  createFile(path: string, bytes: Uint8Array, attributes: FileAttributes): Stats {
    const fd = this.#openNew(path);
    try {
      writeFully(fd, bytes);
      return finishFile(fd, attributes);
    } catch (error) {
      this.remove(path);
      throw explainWriteError(error, this.root.path);
    } finally {
      closeSync(fd);
    }
  }

  /** Moves a file of ours in, in the place of whatever is there. `source` is an absolute path. */
  moveIn(source: string, path: string, attributes: FileAttributes): Stats {
    this.remove(path);
    this.#at(path, (target) => moveFile(source, target));
    return this.setAttributes(path, attributes);
  }

  /** Takes a file out of the tree. `destination` is an absolute path of ours, where nothing is. */
  moveOut(path: string, destination: string): void {
    this.#at(path, (source) => moveFile(source, destination));
  }

  /** Of a regular file that is there; throws ENOENT where there is none. */
  setAttributes(path: string, attributes: FileAttributes): Stats {
    const fd = this.#openReadable(path);
    try {
      return finishFile(fd, attributes);
    } finally {
      closeSync(fd);
    }
  }

  /** Runs `use` with a regular file made readable, which afterwards has its own mode again. */
  whileReadable<T>(path: string, use: () => T): T {
    const mode = this.#makeReadable(path);
    try {
      return use();
    } finally {
      if (mode !== undefined) chmodSync(this.root.at(path), mode);
    }
  }

  /** Makes a link in the place of whatever is there. */
  createSymlink(path: string, target: string): Stats {
    const make = (): Stats =>
      this.#at(path, (place) => {
        symlinkSync(toFsPath(target), place);
        return lstatSync(place);
      });
    try {
      return make();
    } catch (error) {
      if (systemErrorCode(error) !== 'EEXIST') throw error;
      this.remove(path);
      return make();
    }
  }

  /** Opens a regular file for reading, whatever its mode; undefined where there is none. */
  openFile(path: string): number | undefined {
    try {
      return this.#openReadable(path);
    } catch (error) {
      if (isGone(error)) return undefined;
      throw error;
    }
  }

  readTarget(path: string): string {
    return this.#at(path, (place) => readLink(place));
  }

  /**
   * Makes a directory, open to us alone, or opens the one that is there until it gets its mode. Whatever else
   * is there goes.
   */
  makeDirectory(path: string): void {
    const make = (): void => this.#at(path, (place) => mkdirSync(place, { mode: OWNER }));
    try {
      make();
    } catch (error) {
      if (systemErrorCode(error) !== 'EEXIST') throw error;
      if (this.lstat(path)?.isDirectory() === true) {
        this.#closed.open(path);
        return;
      }
      this.remove(path);
      make();
    }
  }

  /** Sets a directory's mode. One that would hinder the work is given by {@link closeDirectories}. */
  setDirectoryMode(path: string, mode: number): void {
    const isClosed = isClosedMode(mode);
    this.#closed.setMode(path, isClosed ? mode : undefined);
    if (!isClosed) this.#at(path, (place) => chmodSync(place, mode));
  }

  /** Removes what is at the path, a directory with all that is in it. Nothing there is no error. */
  remove(path: string): void {
    this.clear(path, () => false);
  }

  /**
   * As {@link remove}, but spares what is to be kept, and the directories it is in. Returns whether
   * nothing is left.
   */
  clear(path: string, isKept: IsKept): boolean {
    const isCleared = this.#clear(path, isKept);
    for (let deep = this.#deep.pop(); deep !== undefined; deep = this.#deep.pop())
      this.#clear(deep, isKept);
    return isCleared;
  }

  #clear(path: string, isKept: IsKept): boolean {
    try {
      this.#at(path, (place) => unlinkSync(place));
      return true;
    } catch (error) {
      if (isGone(error)) return true;
      const code = systemErrorCode(error);
      // EISDIR on Linux, EPERM elsewhere.
      if (code !== 'EISDIR' && code !== 'EPERM') throw error;
      if (this.lstat(path)?.isDirectory() !== true) throw error;
      return this.#clearDirectory(path, isKept);
    }
  }

  /** Removes a directory if nothing is in it; returns whether it is gone. */
  removeEmptyDirectory(path: string): boolean {
    // A remembered descriptor of it would outlive it.
    this.root.forget();
    try {
      this.#at(path, (place) => rmdirSync(place));
    } catch (error) {
      const code = systemErrorCode(error);
      if (code === 'ENOTEMPTY' || code === 'EEXIST') return false;
      if (!isGone(error)) throw error;
    }
    this.#closed.setMode(path, undefined);
    return true;
  }

  /** Names and kinds of what is in a directory. */
  list(path: string): ReturnType<typeof listDirectory> {
    // Any name does: what is wanted is the directory it would be in, entered safely.
    return this.#at(`${path}/x`, (inside) => listDirectory(String(inside).slice(0, -'/x'.length)));
  }

  /** Gives directories that were opened for the work their own modes. */
  closeDirectories(): void {
    this.#closed.close();
  }

  #openNew(path: string): number {
    const open = (): number =>
      this.#at(path, (place) => openSync(place, SAFE_CREATE_FLAGS, UNFINISHED));
    try {
      return open();
    } catch (error) {
      if (systemErrorCode(error) !== 'EEXIST') throw error;
      this.remove(path);
      return open();
    }
  }

  #openReadable(path: string): number {
    const open = (): number => {
      const fd = this.#at(path, () => this.root.openFile(path));
      if (fd === undefined) throw missing(path);
      return fd;
    };
    try {
      return open();
    } catch (error) {
      if (systemErrorCode(error) !== 'EACCES' || this.#makeReadable(path) === undefined)
        throw error;
      return open();
    }
  }

  /** Returns the mode that a file had, or undefined where it is readable or no file. */
  #makeReadable(path: string): number | undefined {
    const stats = this.lstat(path);
    if (stats?.isFile() !== true || (stats.mode & OWNER_READ) !== 0) return undefined;
    const mode = stats.mode & 0o777;
    chmodSync(this.root.at(path), mode | OWNER_READ);
    return mode;
  }

  #clearDirectory(path: string, isKept: IsKept): boolean {
    if (path.split('/').length > MAX_DEPTH) {
      this.#bringUp(path);
      return true;
    }
    let isEmpty = true;
    const { names, kinds } = this.list(path);
    for (const [index, name] of names.entries()) {
      const child = `${path}/${name}`;
      if (
        isKept(child, { isDirectory: kinds[index] === 'directory' }) ||
        !this.#clear(child, isKept)
      )
        isEmpty = false;
    }
    return isEmpty && this.removeEmptyDirectory(path);
  }

  #at<T>(path: string, operate: (place: string | Buffer) => T): T {
    return this.reach(path, () => operate(this.root.at(path)));
  }

  /**
   * A command can nest directories deeper than descriptors, stack and paths reach. What is that deep is
   * moved to the top, to be removed from there.
   */
  #bringUp(path: string): void {
    this.reach(path, () => this.#closed.open(path));
    const shallow = `${STAGE_PREFIX}${randomBytes(6).toString('hex')}`;
    this.#at(path, (deep) => {
      // `at` holds good for one call, so the other path is made of what always does.
      renameSync(deep, `${String(this.root.at(''))}/${shallow}`);
    });
    this.root.forget();
    this.#deep.push(shallow);
  }
}

/** By rename, or by copying where the two are on different file systems. */
function moveFile(source: string | Buffer, target: string | Buffer): void {
  try {
    renameSync(source, target);
  } catch (error) {
    if (systemErrorCode(error) !== 'EXDEV') throw error;
    copyFileSync(source, target, constants.COPYFILE_EXCL);
    unlinkSync(source);
  }
}

function finishFile(fd: number, attributes: FileAttributes): Stats {
  const seconds = toUtimesSeconds(attributes.mtimeUs);
  fchmodSync(fd, attributes.mode);
  futimesSync(fd, seconds, seconds);
  return fstatSync(fd);
}

/** 255 units of UTF-16 are a name on macOS and Windows; 255 bytes of UTF-8 on Linux. */
function tooLong(path: string, cause: unknown): RmtxError {
  const shown = printable(path);
  return new RmtxError('ERR_RMTX_PATH_INVALID', `${shown} is too long a name for the host`, {
    cause,
  });
}

function missing(path: string): Error {
  return Object.assign(new Error(`no regular file at ${path}`), { code: 'ENOENT' });
}
