/**
 * What a command made that the manifest does not have: new entries to be sent home, and leftovers. Only
 * what may be sent is read; what is kept on the host is entered only where something in it may be sent.
 */
import type { Stats } from 'node:fs';
import { systemErrorCode } from '../errors.js';
import { pathToBytes } from '../util/path-bytes.js';
import { MAX_PATH_BYTES } from './change-codec.js';
import { parentOf } from './entry.js';
import type { Problem, WorkspacePath } from './entry.js';
import { isGone, specialFileProblem, unreadableProblem } from './fresh-entry.js';
import type { FreshEntry } from './fresh-entry.js';
import { readFileAt } from './hash-file.js';
import type { RefusedChanges } from './refused-changes.js';
import { PRESENT } from './table-signatures.js';
import { GITIGNORE_NAME } from './workspace-rules.js';
import type { WorkspaceRules } from './workspace-rules.js';
import type { WorkspaceFiles } from './workspace-files.js';

/** What a rule kept from being sent: it will be gone in the next run. */
export interface IgnoredLeftovers {
  readonly count: number;
  readonly bytes: number;
  readonly largestFolder: string;
}

export interface NewPathsOptions {
  readonly files: WorkspaceFiles;
  readonly rules: WorkspaceRules;
  /** False: nothing is sent home, whatever the rules say. */
  readonly wantsSyncBack: boolean;
  readonly refused: RefusedChanges;
  /** Reads a file or a link. Undefined where it is gone. */
  readonly read: (path: WorkspacePath, stats: Stats) => FreshEntry | undefined;
}

interface Folder {
  readonly path: string;
  count: number;
  bytes: number;
}

/** Nobody writes a longer .gitignore by hand, and compiling it takes time. */
const MAX_GITIGNORE_BYTES = 1024 * 1024;

export class NewPaths {
  /** In the order found, which is walk order below each path given. */
  readonly entries: FreshEntry[] = [];
  /** To be removed; none below another. A directory stands for all in it that is not kept. */
  readonly leftovers: WorkspacePath[] = [];
  readonly problems: Problem[] = [];
  readonly #options: NewPathsOptions;
  /** Directories on the way down that are entries only if something in them is. */
  readonly #pending: FreshEntry[] = [];
  readonly #folders = new Map<string, Folder>();

  constructor(options: NewPathsOptions) {
    this.#options = options;
  }

  get ignored(): IgnoredLeftovers | undefined {
    const folders = [...this.#folders.values()].sort((a, b) => b.bytes - a.bytes);
    const [largest] = folders;
    if (largest === undefined) return undefined;
    return {
      count: folders.reduce((total, folder) => total + folder.count, 0),
      bytes: folders.reduce((total, folder) => total + folder.bytes, 0),
      largestFolder: largest.path,
    };
  }

  /** Reads a .gitignore that is not as the manifest has it, before anything it is about is judged. */
  readGitignore(path: WorkspacePath): void {
    const { files, rules } = this.#options;
    if (!rules.honoursGitignore) return;
    try {
      const read = files.reach(path, () => readFileAt(files.root, path, MAX_GITIGNORE_BYTES));
      if (read === undefined || read === 'too-large') return;
      rules.addWritten(parentOf(path), read.bytes.toString());
    } catch (error) {
      // One that cannot be read ignores nothing, as in git.
      if (!isGone(error) && systemErrorCode(error) !== 'EACCES') throw error;
    }
  }

  /**
   * Judges a path that no row has, and what is in it. Its parent must be a directory of the manifest.
   */
  discover(path: WorkspacePath, stats: Stats): void {
    this.#discover(path, stats, undefined);
  }

  /** As {@link discover}, for what is in a directory that has become an entry. */
  discoverChildren(directory: WorkspacePath): void {
    this.#discoverChildren(directory, undefined);
  }

  /** `ignoredIn` is the topmost ignored directory above. */
  #discover(path: WorkspacePath, stats: Stats, ignoredIn: string | undefined): void {
    const { rules, wantsSyncBack } = this.#options;
    if (pathToBytes(path).length > MAX_PATH_BYTES) {
      this.problems.push({ path, code: 'refused', message: 'is too long a path to be sent' });
      this.leftovers.push(path);
      return;
    }
    const kind = { isDirectory: stats.isDirectory() };
    const isEligible = rules.isNewEligible(path, kind);
    if (isEligible && wantsSyncBack) {
      this.#take(path, stats);
      return;
    }
    this.#options.refused.note(path, kind);
    const isKept = rules.isKept(path, kind);
    const isIgnored = !isKept && !isEligible && rules.isIgnored(path, kind);
    const folder = isIgnored
      ? (ignoredIn ?? (kind.isDirectory ? path : parentOf(path)))
      : undefined;
    const isEntered = kind.isDirectory && wantsSyncBack && rules.canHoldEligible(path);
    if (isEntered && this.#lookInto(path, stats, folder)) return;
    if (isKept) return;
    this.leftovers.push(path);
    if (folder !== undefined && !isEntered) this.#count(path, stats, folder);
  }

  #take(path: WorkspacePath, stats: Stats): void {
    if (stats.isDirectory()) {
      this.#emit(toPresentDirectory(path, stats));
      this.#discoverChildren(path, undefined);
      return;
    }
    const isSpecial = !stats.isFile() && !stats.isSymbolicLink();
    if (isSpecial) this.problems.push(specialFileProblem(path, stats));
    const fresh = isSpecial
      ? undefined
      : this.#attempt(path, () => this.#options.read(path, stats));
    if (fresh === undefined) this.leftovers.push(path);
    else this.#emit(fresh);
  }

  /** Looks for what may be sent in a directory that may not; returns whether there was anything. */
  #lookInto(path: WorkspacePath, stats: Stats, ignoredIn: string | undefined): boolean {
    const found = this.leftovers.length;
    const directory = toPresentDirectory(path, stats);
    this.#pending.push(directory);
    this.#discoverChildren(path, ignoredIn);
    if (this.#pending.at(-1) !== directory) return true;
    this.#pending.pop();
    this.leftovers.length = found;
    return false;
  }

  #discoverChildren(directory: WorkspacePath, ignoredIn: string | undefined): void {
    const { files } = this.#options;
    const names = this.#attempt(directory, () => files.list(directory).names) ?? [];
    if (names.includes(GITIGNORE_NAME))
      this.readGitignore(`${directory}/${GITIGNORE_NAME}` as WorkspacePath);
    for (const name of names) {
      const path = `${directory}/${name}` as WorkspacePath;
      const stats = this.#attempt(path, () => files.lstat(path));
      if (stats !== undefined) this.#discover(path, stats, ignoredIn);
    }
  }

  #emit(fresh: FreshEntry): void {
    this.entries.push(...this.#pending.splice(0), fresh);
  }

  #count(path: WorkspacePath, stats: Stats, folderPath: string): void {
    let folder = this.#folders.get(folderPath);
    if (folder === undefined) {
      folder = { path: folderPath, count: 0, bytes: 0 };
      this.#folders.set(folderPath, folder);
    }
    this.#countInto(folder, path, stats);
  }

  #countInto(folder: Folder, path: WorkspacePath, stats: Stats): void {
    const { files, rules } = this.#options;
    if (!stats.isDirectory()) {
      folder.count += 1;
      folder.bytes += stats.size;
      return;
    }
    for (const name of this.#attempt(path, () => files.list(path).names) ?? []) {
      const child = `${path}/${name}` as WorkspacePath;
      const found = this.#attempt(child, () => files.lstat(child));
      if (found === undefined || rules.isKept(child, { isDirectory: found.isDirectory() }))
        continue;
      this.#countInto(folder, child, found);
    }
  }

  #attempt<T>(path: WorkspacePath, look: () => T | undefined): T | undefined {
    try {
      return look();
    } catch (error) {
      if (isGone(error)) return undefined;
      const code = systemErrorCode(error);
      if (code !== 'EACCES' && code !== 'EPERM') throw error;
      this.problems.push(unreadableProblem(path, error));
      return undefined;
    }
  }
}

/** A directory that is there, as one that is known to be. */
export function toPresentDirectory(path: WorkspacePath, stats: Stats): FreshEntry {
  return { entry: { kind: 'directory', path, mode: stats.mode & 0o777 }, signature: PRESENT };
}
