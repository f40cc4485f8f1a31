/**
 * The gate between a change set and the disk. A change set comes from a host that may lie or be broken:
 * what this page lets through is allowed by our own rules and our own manifest, and nothing of it has
 * had any effect yet. What it refuses becomes a problem, never silence.
 */
import { RmtxError } from '../../errors.js';
import type { EntryTable } from '../../sync/entry-table.js';
import { comparePaths, isWithin, parentOf, parseWorkspacePath } from '../../sync/entry.js';
import type { Entry, ManifestChange, Problem, WorkspacePath } from '../../sync/entry.js';
import { CONFLICT_MARK, STAGE_PREFIX, isOwnPath, isRefusedFromHost } from '../../sync/own-names.js';
import type { SyncRules } from '../../sync/rules.js';
import { isDigest } from '../../store/digest.js';
import { MAX_TIME_US } from '../../util/microseconds.js';
import { printable } from '../../util/printable.js';
import { TimeSlice } from '../../util/time-slice.js';
import { staysInside } from './link-target.js';

/** A row of the table that says what both sides started from. */
export interface BaseRow {
  readonly table: EntryTable;
  readonly row: number;
}

/** One change that may be carried out as far as the disk agrees. */
export interface CheckedChange {
  readonly path: WorkspacePath;
  readonly base: Entry | undefined;
  readonly baseRow: BaseRow | undefined;
  /** Undefined: the run deleted it. */
  readonly theirs: Entry | undefined;
}

export interface ChangeRules {
  /** The manifest that the run started from. */
  readonly table: EntryTable;
  /** What rmtx last wrote at paths that are ignored but named in `sync_back`. */
  readonly syncBackBase: EntryTable;
  readonly rules: SyncRules;
}

export interface CheckedChanges {
  /** In walk order. */
  readonly accepted: CheckedChange[];
  readonly problems: Problem[];
}

/**
 * Throws BAD_MESSAGE for what no working host sends (a path that is none, out of order, an impossible
 * mode or size); everything else that may not be done is left out and told as a problem.
 */
export async function checkChanges(
  changes: Iterable<ManifestChange>,
  context: ChangeRules,
): Promise<CheckedChanges> {
  const checker = new ChangeChecker(context);
  const slice = new TimeSlice();
  for (const change of changes) {
    checker.check(change);
    if (slice.isOver()) await slice.next();
  }
  return checker;
}

class ChangeChecker implements CheckedChanges {
  readonly accepted: CheckedChange[] = [];
  readonly problems: Problem[] = [];
  readonly #context: ChangeRules;
  #lastPath = '';
  /** The upserted file or link, or the deleted path, that was named last: nothing can lie below it. */
  #noDirectory = '';
  /** The directories of this change set that the current path can lie in. */
  #directories: WorkspacePath[] = [];
  /** The answer for the directory asked about last: most paths have the parent of the one before. */
  #lastBlocked: { parent: string; by: string | undefined } = { parent: '', by: undefined };

  constructor(context: ChangeRules) {
    this.#context = context;
  }

  check(change: ManifestChange): void {
    const path = this.#parse(change);
    const theirs = change.type === 'upsert' ? change.entry : undefined;
    const { base, baseRow } = this.#findBase(path);
    const refusal = this.#refusal(path, { base, theirs });
    this.#remember(path, theirs);
    if (refusal !== undefined && this.#isOnTheWay(path, theirs)) return;
    if (refusal === undefined) this.accepted.push({ path, base, baseRow, theirs });
    else this.problems.push({ path, code: 'refused', message: refusal });
  }

  #parse(change: ManifestChange): WorkspacePath {
    const text: string = change.type === 'upsert' ? change.entry.path : change.path;
    const path = parseWorkspacePath(text);
    if (path === undefined) throw broken(`${printable(text)} is not a path in a project`);
    if (this.#lastPath !== '' && comparePaths(this.#lastPath, path) >= 0)
      throw broken(`${printable(path)} is out of order in the change set`);
    if (change.type === 'upsert') refuseImpossible(change.entry);
    this.#lastPath = path;
    return path;
  }

  #findBase(path: WorkspacePath): Pick<CheckedChange, 'base' | 'baseRow'> {
    for (const table of [this.#context.table, this.#context.syncBackBase]) {
      const row = table.indexOf(path);
      if (row >= 0) return { base: table.entry(row), baseRow: { table, row } };
    }
    return { base: undefined, baseRow: undefined };
  }

  /**
   * A directory that is told only because something in it may come home. It is made where that needs it,
   * and is nothing by itself.
   */
  #isOnTheWay(path: WorkspacePath, theirs: Entry | undefined): boolean {
    if (theirs?.kind !== 'directory' || isRefusedFromHost(path) || isOwn(path)) return false;
    const { rules } = this.#context;
    return rules.canHoldSyncBack(path) || rules.holdsMount(path);
  }

  /** Why this change may not be carried out, as the message of a problem. */
  #refusal(
    path: WorkspacePath,
    { base, theirs }: Pick<CheckedChange, 'base' | 'theirs'>,
  ): string | undefined {
    const { rules } = this.#context;
    if (isRefusedFromHost(path) || isOwn(path))
      return 'the host tried to change a path that no host may write';
    const kind = theirs?.kind ?? base?.kind;
    if (kind === undefined) return 'the host tried to delete a path that was not sent to it';
    if (!rules.isSyncBackEligible(path, { isDirectory: kind === 'directory' }))
      return 'the host tried to change a path that the config does not let come back';
    if (theirs === undefined) return undefined;
    const blocker = this.#blocker(path);
    if (blocker !== undefined)
      return `the host put an entry below ${printable(blocker)}, which it says is not a directory`;
    return theirs.kind === 'symlink' ? linkRefusal(theirs, base) : undefined;
  }

  /** What keeps an entry from being at `path`, in the tree as the host says it is. */
  #blocker(path: WorkspacePath): string | undefined {
    if (this.#noDirectory !== '' && isWithin(path, this.#noDirectory)) return this.#noDirectory;
    const parent = parentOf(path);
    if (this.#lastBlocked.parent !== parent)
      this.#lastBlocked = { parent, by: this.#blockerAbove(parent) };
    return this.#lastBlocked.by;
  }

  #blockerAbove(parent: string): string | undefined {
    const { table } = this.#context;
    for (let above = parent; above !== ''; above = parentOf(above)) {
      if (this.#directories.some((directory) => directory === above)) return undefined;
      const row = table.indexOf(above);
      if (row >= 0) return table.kind(row) === 'directory' ? undefined : above;
    }
    return undefined;
  }

  #remember(path: WorkspacePath, theirs: Entry | undefined): void {
    while (this.#directories.length > 0 && !isWithin(path, this.#directories.at(-1) ?? ''))
      this.#directories.pop();
    if (theirs?.kind === 'directory') this.#directories.push(path);
    else if (this.#noDirectory === '' || !isWithin(path, this.#noDirectory))
      this.#noDirectory = path;
  }
}

/** Also for what lies in such a directory. */
function isOwn(path: string): boolean {
  if (isOwnPath(path)) return true;
  if (!path.includes(STAGE_PREFIX) && !path.includes(CONFLICT_MARK)) return false;
  for (let above = parentOf(path); above !== ''; above = parentOf(above))
    if (isOwnPath(above)) return true;
  return false;
}

/** A link out of the project is kept only where we had that very link ourselves. */
function linkRefusal(
  theirs: { readonly path: WorkspacePath; readonly target: string },
  base: Entry | undefined,
): string | undefined {
  if (staysInside(theirs.path, theirs.target)) return undefined;
  if (base?.kind === 'symlink' && base.target === theirs.target) return undefined;
  return `the run made a link that leaves the project (to ${printable(theirs.target)})`;
}

function refuseImpossible(entry: Entry): void {
  const shown = printable(entry.path);
  if (entry.kind !== 'symlink' && (entry.mode & ~0o777) !== 0)
    throw broken(`${shown} has an impossible mode`);
  if (entry.kind === 'symlink' && (entry.target === '' || entry.target.includes('\0')))
    throw broken(`${shown} is a link with an impossible target`);
  if (entry.kind !== 'file') return;
  if (!Number.isSafeInteger(entry.size) || entry.size < 0)
    throw broken(`${shown} has an impossible size`);
  if (!Number.isSafeInteger(entry.mtimeUs) || Math.abs(entry.mtimeUs) > MAX_TIME_US)
    throw broken(`${shown} has an impossible time`);
  if (!isDigest(entry.digest)) throw broken(`${shown} has no valid digest`);
}

function broken(message: string): RmtxError {
  return new RmtxError('ERR_RMTX_BAD_MESSAGE', message);
}
