/**
 * Files taken out of a workspace while anybody may be writing there, for `rmtx pull`. Runs in a worker.
 */
import { closeSync, fstatSync } from 'node:fs';
import { BlobStore } from '../store/blob-store.js';
import { encodeChange } from '../sync/change-codec.js';
import { comparePaths, topmost } from '../sync/entry.js';
import type { Entry, Problem, WorkspacePath } from '../sync/entry.js';
import {
  isGone,
  openIfStillThere,
  readLink,
  specialFileProblem,
  unreadableProblem,
} from '../sync/fresh-entry.js';
import { isOwnPath, isRefusedFromHost } from '../sync/own-names.js';
import { listDirectory } from '../sync/walk.js';
import { badMessage } from '../protocol/bad-message.js';
import { writePartsAtomic } from '../util/atomic-parts.js';
import { ByteWriter } from '../util/bytes.js';
import { mtimeUsOf } from '../util/microseconds.js';
import { AnchoredRoot } from '../util/safe-path.js';

export interface PullOptions {
  readonly workspacePath: string;
  readonly blobStoreDirectory: string;
  /** A directory means all in it, whatever the ignore rules say. */
  readonly paths: readonly WorkspacePath[];
  /** Gets the entries, as change records in walk order. */
  readonly changeSetFile: string;
}

export interface PulledFiles {
  readonly entries: number;
  readonly bytes: number;
  readonly problems: readonly Problem[];
  /** Of those that were asked for. */
  readonly missing: readonly WorkspacePath[];
}

/** As many as a client brings home in one go. */
const MAX_ENTRIES = 1_000_000;

/**
 * Copies each file into the blob store as it is at one moment, so that what is sent is one version of it. Throws
 * DISK_FULL, and BAD_MESSAGE where there is too much.
 */
export function takePulledFiles(options: PullOptions): PulledFiles {
  using root = AnchoredRoot.open(options.workspacePath);
  const store = new BlobStore(options.blobStoreDirectory);
  const pulling = new Pulling(root, store);
  for (const path of topmost(options.paths)) pulling.take(path);
  const { problems, missing } = pulling;
  const entries = pulling.entries.sort((a, b) => comparePaths(a.path, b.path));
  const writer = new ByteWriter();
  for (const entry of entries) encodeChange(writer, { type: 'upsert', entry });
  writePartsAtomic(options.changeSetFile, [writer.take()]);
  const bytes = entries.reduce((sum, entry) => sum + (entry.kind === 'file' ? entry.size : 0), 0);
  return { entries: entries.length, bytes, problems, missing };
}

class Pulling {
  readonly entries: Entry[] = [];
  readonly problems: Problem[] = [];
  readonly missing: WorkspacePath[] = [];
  readonly #root: AnchoredRoot;
  readonly #store: BlobStore;

  constructor(root: AnchoredRoot, store: BlobStore) {
    this.#root = root;
    this.#store = store;
  }

  take(path: WorkspacePath): void {
    if (!this.#takeAny(path)) this.missing.push(path);
  }

  /** False where nothing is there (any more), or a link is in the way. */
  #takeAny(path: WorkspacePath): boolean {
    if (this.entries.length >= MAX_ENTRIES)
      throw badMessage(`more than ${MAX_ENTRIES} files at a time`);
    // The client would refuse them.
    if (isOwnPath(path) || isRefusedFromHost(path)) return true;
    try {
      const stats = this.#root.lstat(path);
      if (stats === undefined) return false;
      if (stats.isDirectory()) {
        this.entries.push({ kind: 'directory', path, mode: stats.mode & 0o777 });
        for (const name of listDirectory(this.#root.at(path)).names)
          this.#takeAny(`${path}/${name}` as WorkspacePath);
      } else if (stats.isSymbolicLink()) {
        this.entries.push({ kind: 'symlink', path, target: readLink(this.#root.at(path)) });
      } else if (stats.isFile()) {
        return this.#takeFile(path);
      } else {
        this.problems.push(specialFileProblem(path, stats));
      }
      return true;
    } catch (error) {
      if (isGone(error)) return false;
      this.problems.push(unreadableProblem(path, error));
      return true;
    }
  }

  #takeFile(path: WorkspacePath): boolean {
    const fd = openIfStillThere(this.#root, path);
    if (fd === undefined) return false;
    try {
      const stats = fstatSync(fd);
      const { digest, size } = this.#store.putFromFd(fd, stats.size);
      const mode = stats.mode & 0o777;
      this.entries.push({ kind: 'file', path, mode, size, mtimeUs: mtimeUsOf(stats), digest });
      return true;
    } finally {
      closeSync(fd);
    }
  }
}
