/** From checked changes to an ordered list of operations. Looks at the disk and changes nothing. */
import type { Stats } from 'node:fs';
import { systemErrorCode } from '../../errors.js';
import type { Digest } from '../../store/digest.js';
import type { EntryTable } from '../../sync/entry-table.js';
import { parentOf } from '../../sync/entry.js';
import type { DirectoryEntry, Entry, Problem, WorkspacePath } from '../../sync/entry.js';
import { isRefusedFromHost } from '../../sync/own-names.js';
import { reconcile } from '../../sync/reconcile.js';
import type { ConflictKind, Decision } from '../../sync/reconcile.js';
import type { SyncRules } from '../../sync/rules.js';
import { assertNever } from '../../util/never.js';
import type { AnchoredRoot } from '../../util/safe-path.js';
import { TimeSlice } from '../../util/time-slice.js';
import type { CheckedChange } from './check-changes.js';
import { listDirectory } from './areas.js';
import { willBeEmpty } from './empty-directory.js';
import { viewLocal } from './local-state.js';
import type { LocalView } from './local-state.js';
import { isMassDelete } from './mass-delete.js';
import { NAME_COLLISION, NameTwins } from './name-twins.js';
import { fileBefore, look } from './observe.js';
import { OperationLists } from './operation-lists.js';
import type { Absent, FileBefore, Operation, SymlinkBefore, Write } from './operations.js';

export interface PlanOptions {
  readonly root: AnchoredRoot;
  readonly table: EntryTable;
  readonly rules: SyncRules;
  readonly allowMassDelete: boolean;
}

export interface HeldDeletions {
  readonly count: number;
  readonly firstPath: WorkspacePath;
  readonly manifestFiles: number;
}

export interface Plan {
  readonly operations: readonly Operation[];
  /** The paths of the changes, as opposed to those that operations need on the way. */
  readonly wantedPaths: ReadonlySet<string>;
  /** Those that leave nothing to be put beside; the others become known when it is done. */
  readonly conflicts: readonly { readonly path: WorkspacePath; readonly kind: ConflictKind }[];
  readonly problems: readonly Problem[];
  /** Paths that both sides deleted. */
  readonly goneHereToo: readonly WorkspacePath[];
  /** Set when the brake held all deletions back. */
  readonly held: HeldDeletions | undefined;
}

/** Modes of directories that no manifest speaks of. */
const IMPLIED_DIRECTORY_MODE = 0o755;
const NOTHING: LocalView = { state: { kind: 'absent' }, stats: undefined, blockedBy: undefined };

export async function planChanges(
  changes: readonly CheckedChange[],
  options: PlanOptions,
): Promise<Plan> {
  const planner = new Planner(changes, options);
  const slice = new TimeSlice();
  for (const change of changes) {
    planner.decide(change);
    if (slice.isOver()) await slice.next();
  }
  return planner.finish();
}

class Planner {
  readonly #options: PlanOptions;
  readonly #twins: NameTwins;
  readonly #lists = new OperationLists();
  /** Files and links that the run put where a directory is: possible only if that gets empty. */
  readonly #replacements: Write['entry'][] = [];
  readonly #conflicts: { path: WorkspacePath; kind: ConflictKind }[] = [];
  readonly #problems: Problem[] = [];
  readonly #goneHereToo: WorkspacePath[] = [];
  readonly #wantedPaths = new Set<string>();
  /** Of the directories that the run made or changed, whatever is decided about them. */
  readonly #theirModes = new Map<string, number>();
  /** Everything that the run left in files it made or changed. */
  readonly #theirContent = new Set<Digest>();
  readonly #deletions: { readonly path: WorkspacePath; readonly digest: Digest | undefined }[] = [];
  #lastParent: string | undefined;

  constructor(changes: readonly CheckedChange[], options: PlanOptions) {
    this.#options = options;
    this.#twins = new NameTwins(changes, (directory) => listDirectory(options.root, directory));
    for (const { theirs } of changes) {
      if (theirs?.kind === 'directory') this.#theirModes.set(theirs.path, theirs.mode);
      if (theirs?.kind === 'file') this.#theirContent.add(theirs.digest);
    }
  }

  decide(change: CheckedChange): void {
    this.#wantedPaths.add(change.path);
    let view: LocalView;
    try {
      view = viewLocal(this.#options.root, change);
    } catch (error) {
      const code = systemErrorCode(error);
      if (code !== 'EACCES' && code !== 'EPERM') throw error;
      this.#problem(change, 'unreadable', `what is here cannot be read (${code}), so it stays`);
      return;
    }
    const isNew = change.base === undefined && change.theirs !== undefined;
    const twin = isNew && view.stats !== undefined ? this.#twins.find(change.path) : undefined;
    if (twin === 'other-file') {
      this.#problem(change, 'name-collision', NAME_COLLISION);
      return;
    }
    if (twin === 'leaving') view = NOTHING;
    const decision = reconcile({ base: change.base, theirs: change.theirs, mine: view.state });
    if (change.theirs === undefined && view.state.kind === 'absent')
      this.#goneHereToo.push(change.path);
    const isBlocked =
      view.blockedBy !== undefined && !this.#lists.newDirectories.has(view.blockedBy);
    if (isBlocked) this.#planBlocked(change, decision);
    else this.#planDecision(change, decision, view);
  }

  finish(): Plan {
    const held = this.#brake();
    for (const entry of this.#replacements) this.#planReplacement(entry);
    return {
      operations: this.#lists.inOrder(this.#options.root),
      wantedPaths: this.#wantedPaths,
      conflicts: this.#conflicts,
      problems: this.#problems,
      goneHereToo: this.#goneHereToo,
      held,
    };
  }

  #planDecision(change: CheckedChange, decision: Decision, view: LocalView): void {
    switch (decision.action) {
      case 'keep':
        return;
      case 'write':
        if (decision.entry.kind === 'directory') this.#planDirectory(decision.entry, view);
        else if (view.state.kind === 'directory') this.#replacements.push(decision.entry);
        else this.#planWrite(decision.entry, view);
        return;
      case 'attributes':
        this.#planAttributes(change.path, decision, view);
        return;
      case 'delete':
        this.#planDeletion(change, view);
        return;
      case 'conflict':
        this.#planConflict(change.path, decision.kind, decision.copy);
        return;
      default:
        assertNever(decision);
    }
  }

  /** Nothing of ours can be at the path, so all that counts is whether theirs is worth keeping. */
  #planBlocked(change: CheckedChange, decision: Decision): void {
    const { theirs } = change;
    if (theirs === undefined || theirs.kind === 'directory' || decision.action === 'keep') return;
    this.#planConflict(change.path, 'blocked', theirs);
  }

  #planConflict(path: WorkspacePath, kind: ConflictKind, copy: Entry | undefined): void {
    // A directory holds nothing by itself; what the run put in it is kept beside on its own account.
    if (copy === undefined || copy.kind === 'directory') this.#conflicts.push({ path, kind });
    else this.#lists.keepBeside(copy, kind);
  }

  #planDirectory(entry: DirectoryEntry, view: LocalView): void {
    const before = beforeOf(view);
    if (before.kind !== 'absent') this.#lists.remove(entry.path, before);
    this.#planParents(entry.path);
    this.#lists.makeDirectory(entry.path, entry.mode);
  }

  #planWrite(entry: Write['entry'], view: LocalView): void {
    this.#planParents(entry.path);
    this.#addWrite(entry, beforeOf(view));
  }

  #addWrite(entry: Write['entry'], before: Write['before']): void {
    const { rules } = this.#options;
    // Only a list of `sync_back` lets anything home that was not sent.
    const isUnsent =
      rules.sources.syncBack !== null &&
      rules.explain(entry.path, { isDirectory: false }).kind !== 'synced';
    this.#lists.write({ entry, before, isUnsent });
  }

  #planAttributes(
    path: WorkspacePath,
    { mode, mtimeUs }: { readonly mode: number; readonly mtimeUs: number | undefined },
    { state, stats }: LocalView,
  ): void {
    if (state.kind === 'directory') {
      this.#lists.directoryModes.set(path, state.mode, mode);
    } else if (state.kind === 'file' && stats !== undefined) {
      const before = fileBefore(stats, undefined);
      const { digest, size } = state;
      const content = digest === undefined ? undefined : { digest, size };
      this.#lists.setFileAttributes({ path, before, mode, mtimeUs, content });
    }
  }

  #planDeletion({ path }: CheckedChange, view: LocalView): void {
    if (view.state.kind !== 'directory') {
      const before = beforeOf(view);
      if (before.kind === 'absent') return;
      this.#lists.remove(path, before);
      this.#deletions.push({ path, digest: before.kind === 'file' ? before.digest : undefined });
      return;
    }
    // Without its mount's directory the project could not even be scanned again.
    const { rules } = this.#options;
    if (rules.mountPaths.includes(path) || rules.holdsMount(path)) return;
    this.#lists.removeDirectory(path, view.state.mode);
  }

  #planReplacement(entry: Write['entry']): void {
    const { root } = this.#options;
    const { removals, directoryRemovals: directories } = this.#lists;
    const stats = look(root, entry.path);
    if (!isDirectory(stats) || !willBeEmpty(root, entry.path, { removals, directories })) {
      this.#planConflict(entry.path, 'directory-not-empty', entry);
      return;
    }
    this.#lists.removeDirectory(entry.path, stats.mode & 0o777);
    this.#addWrite(entry, { kind: 'absent' });
  }

  /** Makes the directories above `path` that are missing here. */
  #planParents(path: WorkspacePath): void {
    const parent = parentOf(path);
    if (parent === '' || parent === this.#lastParent || this.#lists.newDirectories.has(parent))
      return;
    this.#lastParent = parent;
    if (isDirectory(look(this.#options.root, parent))) return;
    this.#planParents(parent as WorkspacePath);
    this.#lists.makeDirectory(parent as WorkspacePath, this.#modeOf(parent));
  }

  #modeOf(directory: string): number {
    const { table } = this.#options;
    const row = table.indexOf(directory);
    const sent = row < 0 ? IMPLIED_DIRECTORY_MODE : table.mode(row);
    return this.#theirModes.get(directory) ?? sent;
  }

  /** A file whose content the run left under another name only moved, and does not count. */
  #brake(): HeldDeletions | undefined {
    if (this.#options.allowMassDelete) return undefined;
    const lost = this.#deletions.filter(
      ({ digest }) => digest === undefined || !this.#theirContent.has(digest),
    );
    const [first] = lost;
    const manifestFiles = this.#filesToLose(lost.length);
    if (first === undefined || !isMassDelete(lost.length, manifestFiles)) return undefined;
    this.#lists.dropDeletions();
    return { count: this.#deletions.length, firstPath: first.path, manifestFiles };
  }

  /** The project's files; where these deletions are all that a host may delete, exactly those. */
  #filesToLose(deletions: number): number {
    const { table } = this.#options;
    let count = 0;
    for (let row = 0; row < table.length; row++) {
      // Settings and what is in `.git` stay in any case, so they are nothing that was spared.
      if (table.kind(row) === 'directory' || isRefusedFromHost(table.path(row))) continue;
      count += 1;
      if (count > deletions) return table.fileCount;
    }
    return count;
  }

  #problem({ path }: CheckedChange, code: Problem['code'], message: string): void {
    this.#problems.push({ path, code, message });
  }
}

/** Only asked where what is here has the base's content or is not there at all. */
function beforeOf({ state, stats }: LocalView): FileBefore | SymlinkBefore | Absent {
  if (state.kind === 'file' && stats !== undefined) return fileBefore(stats, state.digest);
  if (state.kind === 'symlink') return { kind: 'symlink', target: state.target };
  return { kind: 'absent' };
}

function isDirectory(stats: Stats | 'blocked' | undefined): stats is Stats {
  return stats !== undefined && stats !== 'blocked' && stats.isDirectory();
}
