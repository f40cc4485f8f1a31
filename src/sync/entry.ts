/** What a manifest is made of: one entry a path. The vocabulary of scan, diff, apply and the wire. */
import type { Digest } from '../store/digest.js';

/**
 * A path relative to the project root, '/'-separated, without '.', '..' or empty components, already
 * checked. Names that are not UTF-8 are escaped as `util/path-bytes.ts` says.
 */
export type WorkspacePath = string & { readonly __brand: 'WorkspacePath' };

export interface FileEntry {
  readonly kind: 'file';
  readonly path: WorkspacePath;
  /** Permission bits, 0o777 at most: set-uid, set-gid and sticky never travel. */
  readonly mode: number;
  readonly size: number;
  /** Whole microseconds since the epoch. */
  readonly mtimeUs: number;
  readonly digest: Digest;
}

export interface DirectoryEntry {
  readonly kind: 'directory';
  readonly path: WorkspacePath;
  readonly mode: number;
}

export interface SymlinkEntry {
  readonly kind: 'symlink';
  readonly path: WorkspacePath;
  /** As stored in the link, bytes that are not UTF-8 escaped. Never followed by rmtx. */
  readonly target: string;
}

export type Entry = FileEntry | DirectoryEntry | SymlinkEntry;
export type EntryKind = Entry['kind'];

/**
 * One step of the way from a manifest to another. A list of changes is in walk order, no path twice; a
 * path whose kind changed is one upsert. Deleting a directory names all that was in it, too.
 */
export type ManifestChange =
  | { readonly type: 'upsert'; readonly entry: Entry }
  | { readonly type: 'delete'; readonly path: WorkspacePath };

/** Names a manifest's exact content: `manifest:` and 64 hex digits (see sync/entry-table.ts). */
export type ManifestId = string & { readonly __brand: 'ManifestId' };

/** One path that could not be handled; the run goes on and says so at its end. */
export interface Problem {
  readonly path: WorkspacePath;
  readonly code: ProblemCode;
  readonly message: string;
}

export type ProblemCode =
  | 'unreadable'
  | 'special-file'
  | 'outside-root'
  | 'vanished'
  | 'name-collision'
  | 'refused'
  | 'write-failed';

/**
 * Walk order: by component, so that a directory comes right before all that is in it and before its
 * next sibling. Within a component by UTF-16 code units. Both sides sort and merge by this.
 */
export function comparePaths(a: string, b: string): number {
  if (a === b) return 0;
  const shared = Math.min(a.length, b.length);
  for (let index = 0; index < shared; index++) {
    const left = a.charCodeAt(index);
    const right = b.charCodeAt(index);
    if (left === right) continue;
    if (left === SLASH) return -1;
    if (right === SLASH) return 1;
    return left - right;
  }
  return a.length - b.length;
}

const SLASH = 0x2f;
const MAX_PATH_BYTES = 4096;
const MAX_NAME_BYTES = 255;

/**
 * Checks a path from a peer or a state file: relative, no empty, '.' or '..' component, no NUL, within
 * the system's limits. Returns undefined where it is not acceptable: nothing is trimmed or repaired.
 */
export function parseWorkspacePath(text: string): WorkspacePath | undefined {
  if (text === '' || text.length > MAX_PATH_BYTES || text.includes('\0')) return undefined;
  for (const name of text.split('/')) {
    if (name === '' || name === '.' || name === '..' || name.length > MAX_NAME_BYTES)
      return undefined;
    if (process.platform === 'win32' && /[\\:]|[. ]$/.test(name)) return undefined;
  }
  return text as WorkspacePath;
}

/** The directory a path is in; '' for the top. */
export function parentOf(path: string): string {
  const slash = path.lastIndexOf('/');
  return slash < 0 ? '' : path.slice(0, slash);
}

/** True when `path` is `directory` or lies below it; '' is the root. */
export function isWithin(path: string, directory: string): boolean {
  return (
    directory === '' ||
    path === directory ||
    (path.startsWith(directory) && path.charCodeAt(directory.length) === SLASH)
  );
}

/** Equal in everything that a manifest carries. */
export function sameEntry(a: Entry, b: Entry): boolean {
  if (a.kind === 'file')
    return (
      b.kind === 'file' && a.digest === b.digest && a.mode === b.mode && a.mtimeUs === b.mtimeUs
    );
  if (a.kind === 'directory') return b.kind === 'directory' && a.mode === b.mode;
  return b.kind === 'symlink' && a.target === b.target;
}

/** The paths in walk order, each once, and none that lies below another. */
export function topmost(paths: readonly WorkspacePath[]): WorkspacePath[] {
  const top: WorkspacePath[] = [];
  for (const path of paths.toSorted(comparePaths)) {
    const last = top.at(-1);
    if (last === undefined || !isWithin(path, last)) top.push(path);
  }
  return top;
}
