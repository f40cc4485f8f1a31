/**
 * The three-way decision of sync-back, for one path at a time and without touching a disk: what both
 * sides started from (base), what the run left on the host (theirs), what is here now (mine).
 *
 * Mine wins every doubt. What differs on one side only is taken from that side, attribute by attribute;
 * the same content on both sides is agreement, and a time alone is never a reason to disagree.
 */
import type { Digest } from '../store/digest.js';
import type { DirectoryEntry, Entry, FileEntry } from './entry.js';

export interface LocalFile {
  readonly kind: 'file';
  readonly mode: number;
  readonly size: number;
  readonly mtimeUs: number;
  /** Undefined: not read, because its size already proves that it is neither the base's nor theirs. */
  readonly digest: Digest | undefined;
}

/** What is at a path of the project now. */
export type LocalState =
  | { readonly kind: 'absent' }
  | LocalFile
  | { readonly kind: 'directory'; readonly mode: number }
  | { readonly kind: 'symlink'; readonly target: string }
  /** A FIFO, a socket, a device: never ours to touch. */
  | { readonly kind: 'special' };

export type ConflictKind =
  /** Both sides changed the content. */
  | 'edited-both'
  /** Both sides made it, with different content. */
  | 'created-both'
  /** Deleted here, changed by the run. */
  | 'deleted-here'
  /** Changed here, deleted by the run. */
  | 'deleted-there'
  /** A file on one side, a directory or a link on the other. */
  | 'kind-differs'
  /** Both sides changed the permission bits of the same content. */
  | 'mode-differs'
  /** A parent of the path is a file or a link here. */
  | 'blocked'
  /** The run put a file or a link where a directory with other things in it is here. */
  | 'directory-not-empty';

export type Decision =
  /** What is here stays as it is, and nobody needs to hear of it. */
  | { readonly action: 'keep' }
  /** This entry takes the place of whatever is here. */
  | { readonly action: 'write'; readonly entry: Entry }
  /** The content here stays and takes these attributes. */
  | { readonly action: 'attributes'; readonly mode: number; readonly mtimeUs: number | undefined }
  | { readonly action: 'delete' }
  /** What is here stays; `copy`, where there is one, is what the user must find beside it. */
  | { readonly action: 'conflict'; readonly kind: ConflictKind; readonly copy: Entry | undefined };

export interface Versions {
  readonly base: Entry | undefined;
  /** Undefined: the run deleted it. */
  readonly theirs: Entry | undefined;
  readonly mine: LocalState;
}

/** Decides one path. Promises never to choose 'write' or 'delete' over content that only mine has. */
export function reconcile({ base, theirs, mine }: Versions): Decision {
  if (theirs === undefined) return reconcileDeletion(base, mine);
  if (mine.kind === 'absent') return reconcileAbsent(base, theirs);
  if (theirs.kind === 'file' && mine.kind === 'file') return reconcileFiles(base, theirs, mine);
  if (theirs.kind === 'directory' && mine.kind === 'directory')
    return reconcileDirectories(base, theirs, mine.mode);
  if (hasSameContent(mine, theirs)) return keep;
  if (base !== undefined && hasSameContent(mine, base)) return { action: 'write', entry: theirs };
  if (base !== undefined && hasSameContent(theirs, base)) return keep;
  return conflict(kindOfConflict(base, theirs, mine), theirs);
}

/**
 * True when the two hold the same: kind and digest of a file, target of a link. Directories hold
 * nothing of their own. Attributes do not count.
 */
export function hasSameContent(a: LocalState | Entry, b: Entry): boolean {
  if (a.kind === 'file') return b.kind === 'file' && a.digest === b.digest;
  if (a.kind === 'symlink') return b.kind === 'symlink' && a.target === b.target;
  return a.kind === 'directory' && b.kind === 'directory';
}

const keep: Decision = { action: 'keep' };

function conflict(kind: ConflictKind, copy?: Entry): Decision {
  return { action: 'conflict', kind, copy };
}

function reconcileDeletion(base: Entry | undefined, mine: LocalState): Decision {
  // Without a base nobody here ever had it: not the run's to delete.
  if (mine.kind === 'absent' || base === undefined) return keep;
  if (!hasSameContent(mine, base)) return conflict('deleted-there');
  // A mode is an edit of a file. A directory is removed only when empty, so its mode guards nothing.
  if (mine.kind === 'file' && base.kind === 'file' && mine.mode !== base.mode)
    return conflict('deleted-there');
  return { action: 'delete' };
}

function reconcileAbsent(base: Entry | undefined, theirs: Entry): Decision {
  if (base === undefined) return { action: 'write', entry: theirs };
  // New attributes of what was deleted here bring nothing back that anybody could miss.
  if (hasSameContent(theirs, base)) return keep;
  // A directory that took the place of a deleted file is new, as is all that comes in it.
  if (theirs.kind === 'directory') return { action: 'write', entry: theirs };
  return conflict('deleted-here', theirs);
}

function reconcileFiles(base: Entry | undefined, theirs: FileEntry, mine: LocalFile): Decision {
  const from = base?.kind === 'file' ? base : undefined;
  if (mine.digest === theirs.digest) return mergeAttributes(from, theirs, mine);
  if (from === undefined) return conflict('created-both', theirs);
  if (theirs.digest === from.digest)
    // Their time belongs to content that is no longer here.
    return mergeAttributes(from, { ...theirs, mtimeUs: from.mtimeUs }, mine);
  const mode = mergeMode(from, theirs, mine);
  if (mine.digest !== from.digest || mode === undefined) return conflict('edited-both', theirs);
  return { action: 'write', entry: { ...theirs, mode } };
}

/** The content here stays. Without a base there is nothing to merge by, and mine stays whole. */
function mergeAttributes(
  base: FileEntry | undefined,
  theirs: FileEntry,
  mine: LocalFile,
): Decision {
  if (base === undefined) return keep;
  const mode = mergeMode(base, theirs, mine);
  if (mode === undefined) return conflict('mode-differs');
  const takesTime = theirs.mtimeUs !== base.mtimeUs && mine.mtimeUs === base.mtimeUs;
  if (mode === mine.mode && !takesTime) return keep;
  return { action: 'attributes', mode, mtimeUs: takesTime ? theirs.mtimeUs : undefined };
}

/** Undefined where both sides changed it, and not to the same. */
function mergeMode(base: FileEntry, theirs: FileEntry, mine: LocalFile): number | undefined {
  if (mine.mode === base.mode || mine.mode === theirs.mode) return theirs.mode;
  return theirs.mode === base.mode ? mine.mode : undefined;
}

function reconcileDirectories(
  base: Entry | undefined,
  theirs: DirectoryEntry,
  mineMode: number,
): Decision {
  if (base?.kind !== 'directory' || theirs.mode === base.mode || theirs.mode === mineMode)
    return keep;
  if (mineMode !== base.mode) return conflict('mode-differs');
  return { action: 'attributes', mode: theirs.mode, mtimeUs: undefined };
}

function kindOfConflict(base: Entry | undefined, theirs: Entry, mine: LocalState): ConflictKind {
  if (theirs.kind !== mine.kind) return 'kind-differs';
  return base?.kind === theirs.kind ? 'edited-both' : 'created-both';
}
