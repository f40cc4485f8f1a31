/** Copies of files that change all the time, so that what is sent of them holds still. */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  fstatSync,
  mkdirSync,
  openSync,
  readSync,
  readdirSync,
  rmSync,
  statSync,
} from 'node:fs';
import path from 'node:path';
import { systemErrorCode } from '../errors.js';
import { createDigestStream, toDigest } from '../store/digest.js';
import type { Digest } from '../store/digest.js';
import { explainWriteError } from '../store/disk-full.js';
import type { FileEntry, WorkspacePath } from '../sync/entry.js';
import { openIfStillThere } from '../sync/fresh-entry.js';
import { PRIVATE_DIRECTORY_MODE, PRIVATE_FILE_MODE, writeFully } from '../util/atomic-file.js';
import { mtimeUsOf } from '../util/microseconds.js';
import { OwnerLock, hasLiveOwner } from '../util/owner-lock.js';
import type { AnchoredRoot } from '../util/safe-path.js';
import { runInSlices } from '../util/slices.js';

const PIECE_BYTES = 256 * 1024;
/** A directory without an owner for this long is not one that is just being made. */
const UNBORN_MS = 60_000;

/**
 * The copies of one run. Disposing removes them, and those of runs that were killed; those of another
 * run that is going on stay.
 */
export class Snapshots implements Disposable {
  readonly #parent: string;
  readonly #files = new Map<Digest, string>();
  #directory: string | undefined;

  /** `parent` is shared by all runs of a project, and made when it is needed. */
  constructor(parent: string) {
    this.#parent = parent;
  }

  /**
   * Copies a file, as long as it is now, reading it once; the entry describes the copy. Undefined where
   * there is no regular file any more.
   */
  async take(
    root: AnchoredRoot,
    from: WorkspacePath,
    abortSignal?: AbortSignal,
  ): Promise<FileEntry | undefined> {
    const source = openIfStillThere(root, from);
    if (source === undefined) return undefined;
    try {
      const copy = path.join(this.#open(), randomBytes(8).toString('hex'));
      const content = await runInSlices(copyInSteps(source, copy), { abortSignal });
      this.#files.set(content.digest, copy);
      const stats = fstatSync(source);
      return {
        kind: 'file',
        path: from,
        mode: stats.mode & 0o777,
        mtimeUs: mtimeUsOf(stats),
        ...content,
      };
    } catch (error) {
      throw explainWriteError(error, this.#parent);
    } finally {
      closeSync(source);
    }
  }

  /** The copy that holds this blob. */
  fileOf(digest: Digest): string | undefined {
    return this.#files.get(digest);
  }

  [Symbol.dispose](): void {
    if (this.#directory !== undefined) rmSync(this.#directory, { recursive: true, force: true });
    this.#directory = undefined;
    for (const name of namesIn(this.#parent)) {
      const directory = path.join(this.#parent, name);
      if (isAbandoned(directory)) rmSync(directory, { recursive: true, force: true });
    }
  }

  #open(): string {
    if (this.#directory !== undefined) return this.#directory;
    const directory = path.join(this.#parent, randomBytes(8).toString('hex'));
    mkdirSync(directory, { recursive: true, mode: PRIVATE_DIRECTORY_MODE });
    OwnerLock.tryAcquire(directory);
    this.#directory = directory;
    return directory;
  }
}

/** One that grows faster than it can be read has an end, too: where it was at the start. */
function* copyInSteps(
  source: number,
  copy: string,
): Generator<undefined, { readonly size: number; readonly digest: Digest }> {
  const limit = fstatSync(source).size;
  const target = openSync(copy, 'wx', PRIVATE_FILE_MODE);
  try {
    const stream = createDigestStream();
    const piece = Buffer.allocUnsafe(PIECE_BYTES);
    let size = 0;
    while (size < limit) {
      const count = readSync(source, piece, 0, Math.min(PIECE_BYTES, limit - size), size);
      if (count === 0) break;
      const bytes = piece.subarray(0, count);
      stream.update(bytes);
      writeFully(target, bytes);
      size += count;
      yield;
    }
    return { size, digest: toDigest(stream.finish()) };
  } finally {
    closeSync(target);
  }
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return [];
    throw error;
  }
}

function isAbandoned(directory: string): boolean {
  try {
    const ageMs = Date.now() - statSync(directory).mtimeMs;
    return ageMs > UNBORN_MS && !hasLiveOwner(directory);
  } catch (error) {
    // Its own run removed it just now.
    if (systemErrorCode(error) === 'ENOENT') return false;
    throw error;
  }
}
