/** The third side of the comparison: what is in the project now, with as little reading as is safe. */
import type { Stats } from 'node:fs';
import type { Entry, WorkspacePath } from '../../sync/entry.js';
import { parentOf } from '../../sync/entry.js';
import { hashFileAt } from '../../sync/hash-file.js';
import type { LocalState } from '../../sync/reconcile.js';
import { mtimeUsOf } from '../../util/microseconds.js';
import type { AnchoredRoot } from '../../util/safe-path.js';
import type { CheckedChange } from './check-changes.js';
import { look, readTarget } from './observe.js';

export interface LocalView {
  readonly state: LocalState;
  /** Undefined where nothing is there. */
  readonly stats: Stats | undefined;
  /** The parent that is a file or a link here, so that the path cannot exist. */
  readonly blockedBy: WorkspacePath | undefined;
}

const ABSENT: LocalState = { kind: 'absent' };

/** Throws the system error where the path cannot be looked at or read. */
export function viewLocal(root: AnchoredRoot, change: CheckedChange): LocalView {
  const stats = look(root, change.path);
  if (stats === 'blocked')
    return { state: ABSENT, stats: undefined, blockedBy: firstBlocker(root, change.path) };
  if (stats === undefined) return { state: ABSENT, stats, blockedBy: undefined };
  return { state: stateOf(root, change, stats), stats, blockedBy: undefined };
}

function stateOf(root: AnchoredRoot, change: CheckedChange, stats: Stats): LocalState {
  const mode = stats.mode & 0o777;
  if (stats.isDirectory()) return { kind: 'directory', mode };
  if (stats.isSymbolicLink()) {
    const target = readTarget(root, change.path);
    return target === undefined ? ABSENT : { kind: 'symlink', target };
  }
  if (!stats.isFile()) return { kind: 'special' };
  const { base, baseRow } = change;
  if (base?.kind === 'file' && baseRow?.table.matches(baseRow.row, stats) === true) return base;
  const size = stats.size;
  const mtimeUs =
    isBaseTime(change, stats) && base?.kind === 'file' ? base.mtimeUs : mtimeUsOf(stats);
  const canBeEqual = [base, change.theirs].some((entry) => hasSize(entry, size));
  if (!canBeEqual) return { kind: 'file', mode, size, mtimeUs, digest: undefined };
  const hashed = hashFileAt(root, change.path);
  if (hashed === undefined) return ABSENT;
  return { kind: 'file', mode, size: hashed.size, mtimeUs, digest: hashed.digest };
}

/** The file's own time is what it was at the scan, in whatever grain the file system keeps times. */
function isBaseTime({ baseRow }: CheckedChange, stats: Stats): boolean {
  return baseRow?.table.signature(baseRow.row)?.mtimeUs === mtimeUsOf(stats);
}

function hasSize(entry: Entry | undefined, size: number): boolean {
  return entry?.kind === 'file' && entry.size === size;
}

/** The highest parent that is there and is no directory. */
function firstBlocker(root: AnchoredRoot, path: WorkspacePath): WorkspacePath {
  let blocker = path;
  for (let above = parentOf(path); above !== ''; above = parentOf(above)) {
    const stats = look(root, above);
    if (stats !== undefined && stats !== 'blocked' && !stats.isDirectory())
      blocker = above as WorkspacePath;
  }
  return blocker;
}
