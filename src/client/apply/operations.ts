/**
 * The steps of a transaction: what the plan decides, the journal records, and commit, rollback and undo
 * carry out. Each names the state it expects and the state it leaves, so that whoever finds a
 * half-done transaction can tell for each path which of the two is there.
 */
import type { Digest } from '../../store/digest.js';
import type { ConflictKind } from '../../sync/reconcile.js';
import type { FileEntry, SymlinkEntry, WorkspacePath } from '../../sync/entry.js';

export interface FileBefore {
  readonly kind: 'file';
  readonly mode: number;
  readonly size: number;
  readonly mtimeUs: number;
  readonly ctimeUs: number;
  readonly ino: number;
  /** The times alone prove nothing: the file was written just before they were read. */
  readonly isRacy: boolean;
  /** Undefined where the content plays no part (only attributes change). */
  readonly digest: Digest | undefined;
}

export interface SymlinkBefore {
  readonly kind: 'symlink';
  readonly target: string;
}

export interface Absent {
  readonly kind: 'absent';
}

/** Where the content of an operation waits: the number of a stage area, and the name in it. */
export interface StagedAt {
  readonly area: number;
  readonly slot: number;
}

/** Takes a file or a link away. */
export interface Remove {
  readonly type: 'remove';
  readonly path: WorkspacePath;
  readonly before: FileBefore | SymlinkBefore;
}

/** Takes a directory away if nothing is left in it; else it stays, which is no failure. */
export interface RemoveDirectory {
  readonly type: 'remove-directory';
  readonly path: WorkspacePath;
  readonly mode: number;
}

export interface MakeDirectory {
  readonly type: 'make-directory';
  readonly path: WorkspacePath;
  /** While work goes on in it; the final one, where it differs, comes as SetAttributes. */
  readonly mode: number;
}

/** Puts a staged file or link in place, of nothing or of a file or link. */
export interface Write {
  readonly type: 'write';
  readonly path: WorkspacePath;
  readonly before: FileBefore | SymlinkBefore | Absent;
  readonly entry: FileEntry | SymlinkEntry;
  /** It is ignored and came home only because `sync_back` names it: no manifest of ours has it. */
  readonly isUnsent: boolean;
  readonly staged: StagedAt;
}

/** Changes permission bits, and for a file the time, of what is there. */
export interface SetAttributes {
  readonly type: 'set-attributes';
  readonly path: WorkspacePath;
  readonly isDirectory: boolean;
  readonly before: { readonly mode: number; readonly mtimeUs: number };
  readonly mode: number;
  /** Undefined: the time stays. */
  readonly mtimeUs: number | undefined;
  /** The file's content, where it is known: the caller's table needs it. */
  readonly content: { readonly digest: Digest; readonly size: number } | undefined;
}

/** Leaves the path alone and puts the run's version beside it under a name of its own. */
export interface KeepBeside {
  readonly type: 'keep-beside';
  readonly path: WorkspacePath;
  readonly conflict: ConflictKind;
  readonly entry: FileEntry | SymlinkEntry;
  readonly staged: StagedAt;
}

/** In the order in which they are carried out; an operation's number is its place in the list. */
export type Operation =
  Remove | RemoveDirectory | MakeDirectory | Write | SetAttributes | KeepBeside;

export type StagedOperation = Write | KeepBeside;

export function isStaged(operation: Operation): operation is StagedOperation {
  return operation.type === 'write' || operation.type === 'keep-beside';
}
