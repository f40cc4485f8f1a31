/**
 * Where staged content waits: a flat directory on the device of its target, so that one rename puts it
 * in place. The client's home where that is the same device, else a directory of ours in the project.
 * What is staged has the number of its operation as its name.
 */
import { mkdirSync, readdirSync, rmSync, rmdirSync, statfsSync } from 'node:fs';
import path from 'node:path';
import { isRmtxError, systemErrorCode } from '../../errors.js';
import type { Digest } from '../../store/digest.js';
import type { WorkspacePath } from '../../sync/entry.js';
import { hashFileAt } from '../../sync/hash-file.js';
import { PRIVATE_DIRECTORY_MODE } from '../../util/atomic-file.js';
import { pathFromBytes } from '../../util/path-bytes.js';
import { AnchoredRoot } from '../../util/safe-path.js';

/** A directory whose entries can be used while another tree is used: it has its own anchor. */
export class Area implements Disposable {
  readonly #root: AnchoredRoot;
  readonly #prefix: string;

  /** Opens `directory` itself, or `below` in it without following a link on the way. */
  constructor(directory: string, below?: WorkspacePath) {
    this.#root = AnchoredRoot.open(directory);
    this.#prefix = below === undefined ? '' : `${below}/`;
  }

  /** For one synchronous call; see {@link AnchoredRoot.at}. */
  at(name: string | number): string | Buffer {
    return this.#root.at(`${this.#prefix}${name}`);
  }

  /** For messages only. */
  shown(name: string | number): string {
    return path.join(this.#root.path, `${this.#prefix}${name}`);
  }

  lstat(name: string | number): ReturnType<AnchoredRoot['lstat']> {
    return this.#root.lstat(`${this.#prefix}${name}`);
  }

  /** The digest of a staged file; undefined where there is none. */
  digestOf(name: string | number): Digest | undefined {
    return hashFileAt(this.#root, `${this.#prefix}${name}`)?.digest;
  }

  openFile(name: string | number): number | undefined {
    return this.#root.openFile(`${this.#prefix}${name}`);
  }

  /** What this user may still write on the area's device. */
  freeBytes(): number {
    const { bavail, bsize } = statfsSync(path.dirname(String(this.at('x'))));
    return bavail * bsize;
  }

  [Symbol.dispose](): void {
    this.#root[Symbol.dispose]();
  }
}

/** Makes a stage area in the project. */
export function makeTreeArea(root: AnchoredRoot, area: WorkspacePath): void {
  mkdirSync(root.at(area), { mode: PRIVATE_DIRECTORY_MODE });
}

/** Removes a stage area and all that is in it. Never enters anything in it: an area is flat. */
export function removeTreeArea(root: AnchoredRoot, area: WorkspacePath): void {
  try {
    for (const name of listDirectory(root, area)) rmSync(root.at(`${area}/${name}`));
    rmdirSync(root.at(area));
  } catch (error) {
    // Never made; or moved away, replaced or filled by somebody else: then it is theirs.
    if (!isOutOfReach(error)) throw error;
  } finally {
    root.forget();
  }
}

/** The names in a directory of the tree, which is entered without following a link. */
export function listDirectory(root: AnchoredRoot, directory: string): string[] {
  // The parent part of a path that `at` gave has been entered safely.
  const entered = directory === '' ? root.at('') : path.dirname(String(root.at(`${directory}/x`)));
  return readdirSync(entered, { encoding: 'buffer' }).map(pathFromBytes);
}

/** What somebody else did to the tree, as opposed to a failure of the disk. */
export function isOutOfReach(error: unknown): boolean {
  if (isRmtxError(error)) return error.code === 'ERR_RMTX_PATH_ESCAPES_ROOT';
  const codes = ['ENOENT', 'ENOTDIR', 'ENOTEMPTY', 'EEXIST', 'ERR_FS_EISDIR', 'EISDIR'];
  return codes.includes(systemErrorCode(error) ?? '');
}
