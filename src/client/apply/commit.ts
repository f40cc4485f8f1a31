/**
 * Carries the operations of a journal out, in order. What is at each path is compared once more right
 * before: where it is neither what the plan saw nor what the run left, somebody changed it meanwhile,
 * their version stays and the run's goes beside it. The same code finishes an interrupted transaction,
 * because an operation that was carried out already is recognised by its result.
 */
import { mkdirSync, rmdirSync, statSync } from 'node:fs';
import type { Stats } from 'node:fs';
import { systemErrorCode } from '../../errors.js';
import { parentOf } from '../../sync/entry.js';
import type { Problem, ProblemCode, WorkspacePath } from '../../sync/entry.js';
import type { ConflictKind } from '../../sync/reconcile.js';
import { assertNever } from '../../util/never.js';
import { TimeSlice } from '../../util/time-slice.js';
import { isOutOfReach, listDirectory } from './areas.js';
import { findCopy, keepBeside } from './keep-beside.js';
import { NAME_COLLISION, hasExactName } from './name-twins.js';
import { hasEntryContent, isSameVersion, isStillBefore, look } from './observe.js';
import { isStaged } from './operations.js';
import type { Operation, Remove, StagedOperation, Write } from './operations.js';
import { removeTemporaries } from './other-device.js';
import { saveRefused } from './refused-content.js';
import { setAttributesAt } from './set-attributes.js';
import { isWaiting } from './stage-check.js';
import {
  keepOld,
  keepOldTarget,
  linkInTree,
  placeNew,
  putBack,
  replace,
  takeAway,
  takeOwner,
} from './tree-steps.js';
import type { Workbench } from './workbench.js';

export interface Conflict {
  readonly path: WorkspacePath;
  readonly kind: ConflictKind;
  /** Where the run's version is now; absent where it has none, or nothing worth keeping. */
  readonly keptTheirsAs?: WorkspacePath;
}

/** What the user's permissions, or this file system, forbid at one path: no reason to stop the rest. */
const PATH_FAILURES = [
  'EACCES',
  'EPERM',
  'EROFS',
  'ENAMETOOLONG',
  'EINVAL',
  'EBUSY',
  'ETXTBSY',
  'ELOOP',
];

export class Commit {
  /** Operations, by number, whose result this commit put into the tree. */
  readonly done = new Set<number>();
  /** Those whose result was there already. */
  readonly found = new Set<number>();
  /** Copies put beside their paths, by operation. */
  readonly copies = new Map<number, WorkspacePath>();
  readonly conflicts: Conflict[] = [];
  readonly problems: Problem[] = [];
  readonly #bench: Workbench;
  readonly #isRecovery: boolean;
  #lastParent: { path: string; stats: Stats | undefined } | undefined;

  constructor(bench: Workbench, options: { readonly isRecovery: boolean }) {
    this.#bench = bench;
    this.#isRecovery = options.isRecovery;
  }

  /**
   * Throws on what is not the matter of one path: no space left, a failing disk, a stage that somebody
   * removed. What was done until then is in `done` and `copies`, for the rollback.
   */
  async run(operations: readonly Operation[]): Promise<void> {
    const slice = new TimeSlice();
    for (const [number, operation] of operations.entries()) {
      try {
        this.#perform(operation, number);
      } catch (error) {
        this.#handleFailure(operation, number, error);
      }
      if (slice.isOver()) await slice.next();
    }
  }

  #perform(operation: Operation, number: number): void {
    const { root } = this.#bench;
    switch (operation.type) {
      case 'remove':
        this.#remove(operation, number);
        return;
      case 'remove-directory':
        rmdirSync(root.at(operation.path));
        root.forget();
        this.done.add(number);
        return;
      case 'make-directory':
        this.#makeDirectory(operation.path, operation.mode, number);
        return;
      case 'write':
        this.#write(operation, number);
        return;
      case 'set-attributes':
        if (setAttributesAt(root, operation)) this.done.add(number);
        return;
      case 'keep-beside':
        if (!this.#isAccountedFor(operation, number))
          this.#keepBeside(operation, number, operation.conflict);
        return;
      default:
        assertNever(operation);
    }
  }

  #makeDirectory(path: WorkspacePath, mode: number, number: number): void {
    const { root } = this.#bench;
    const stats = look(root, path);
    if (stats !== undefined && stats !== 'blocked' && stats.isDirectory()) {
      this.found.add(number);
      return;
    }
    mkdirSync(root.at(path), { mode });
    this.done.add(number);
    // mkdir takes the bits of the umask away.
    setAttributesAt(root, { path, isDirectory: true, mode, mtimeUs: undefined, before: undefined });
  }

  #remove({ path, before }: Remove, number: number): void {
    const { root } = this.#bench;
    const seen = look(root, path);
    if (seen === undefined || seen === 'blocked') {
      this.found.add(number);
      return;
    }
    const target = before.kind === 'symlink' ? before.target : undefined;
    const isGone =
      isStillBefore(root, path, before) && takeAway(this.#bench, path, { number, seen, target });
    if (isGone) this.done.add(number);
    // Taken away before the crash: what is here came later, from this transaction or from the user.
    else if (this.#isRecovery && this.#bench.undo.lstat(number) !== undefined)
      this.found.add(number);
    else this.conflicts.push({ path, kind: 'deleted-there' });
  }

  #write(operation: Write, number: number): void {
    const { root } = this.#bench;
    const { path, before, entry, staged } = operation;
    if (this.#isRecovery) removeTemporaries(this.#bench, path, { staged, number });
    if (this.#isAccountedFor(operation, number)) return;
    const seen = look(root, path);
    if (before.kind === 'absent' && seen === undefined) {
      this.#writeNew(operation, number);
    } else if (isThere(seen) && before.kind !== 'absent' && isStillBefore(root, path, before)) {
      this.#writeOver(operation, number, seen);
    } else if (hasEntryContent(root, path, entry)) {
      this.found.add(number);
    } else {
      this.#keepBeside(operation, number, lateConflict(operation, seen));
    }
  }

  /**
   * True when it was carried out before the crash: its content left the stage. What is at the path now is
   * that, or what somebody made of it since.
   */
  #isAccountedFor(operation: StagedOperation, number: number): boolean {
    if (!this.#isRecovery || isWaiting(this.#bench, operation)) return false;
    const { path, entry } = operation;
    const isInPlace = operation.type === 'write' && hasEntryContent(this.#bench.root, path, entry);
    const keptTheirsAs = isInPlace ? undefined : findCopy(this.#bench, path, entry);
    const kind = operation.type === 'write' ? 'edited-both' : operation.conflict;
    if (keptTheirsAs !== undefined) this.#addCopy({ path, kind, keptTheirsAs }, number);
    else if (operation.type === 'write') this.found.add(number);
    return true;
  }

  #writeNew(operation: Write, number: number): void {
    const { path, staged } = operation;
    const parent = this.#parentStats(path);
    // A set-group-id directory hands its group on to what is made in it.
    if (parent !== undefined && (parent.mode & 0o2000) !== 0)
      takeOwner(this.#bench, staged, { uid: process.geteuid?.() ?? -1, gid: parent.gid });
    if (placeNew(this.#bench, operation, path)) this.done.add(number);
    else if (hasExactName(path, (directory) => listDirectory(this.#bench.root, directory)))
      this.#keepBeside(operation, number, 'created-both');
    else this.#addProblem(operation, 'name-collision', NAME_COLLISION);
  }

  #writeOver(operation: Write, number: number, seen: Stats): void {
    const { path, before, staged } = operation;
    const bench = this.#bench;
    if (before.kind === 'symlink') keepOldTarget(bench, before.target, number);
    else keepOld(bench, path, number);
    takeOwner(bench, staged, seen);
    const now = look(bench.root, path);
    if (!isThere(now) || !isSameVersion(now, seen)) {
      this.#keepBeside(operation, number, lateConflict(operation, now));
      return;
    }
    replace(bench, operation, path);
    this.done.add(number);
    const old = bench.undo.lstat(number);
    if (old === undefined || old.ino !== seen.ino || isSameVersion(old, seen)) return;
    // Somebody wrote to the old file in that very moment. The undo link shows it, so nothing is lost.
    const place = (candidate: WorkspacePath): boolean => linkInTree(bench, path, candidate);
    const copy = keepBeside(bench, path, { entry: operation.entry, place });
    putBack(bench, path, number);
    this.done.delete(number);
    this.#addCopy({ path, kind: 'edited-both', keptTheirsAs: copy }, number);
  }

  #keepBeside(operation: StagedOperation, number: number, kind: ConflictKind): void {
    const { path, entry } = operation;
    const place = (candidate: WorkspacePath): boolean =>
      placeNew(this.#bench, operation, candidate);
    const keptTheirsAs = keepBeside(this.#bench, path, { entry, place });
    this.#addCopy({ path, kind, keptTheirsAs }, number);
  }

  #addCopy(conflict: Required<Conflict>, number: number): void {
    this.copies.set(number, conflict.keptTheirsAs);
    this.conflicts.push(conflict);
  }

  /** Rethrows what stops the transaction; the rest becomes a conflict, a problem, or is as wanted. */
  #handleFailure(operation: Operation, number: number, error: unknown): void {
    const code = systemErrorCode(error) ?? '';
    if (isOutOfReach(error)) this.#handleChangedTree(operation, number, error);
    else if (PATH_FAILURES.includes(code))
      this.#addProblem(operation, 'write-failed', cannotChange(code));
    else throw error;
  }

  /** A directory of the path went away or became something else since it was looked at. */
  #handleChangedTree(operation: Operation, number: number, error: unknown): void {
    if (operation.type === 'make-directory') {
      const now = look(this.#bench.root, operation.path);
      // Made by somebody else in that very moment.
      if (isThere(now) && now.isDirectory()) this.found.add(number);
      else this.conflicts.push({ path: operation.path, kind: 'kind-differs' });
    } else if (isStaged(operation)) {
      const { area, slot } = operation.staged;
      // Not the tree but the stage is out of reach: there is nothing left to go on with.
      if (this.#bench.area(area).lstat(slot) === undefined) throw error;
      try {
        this.#keepBeside(operation, number, 'blocked');
      } catch (second) {
        const code = systemErrorCode(second) ?? '';
        if (!PATH_FAILURES.includes(code)) throw second;
        this.#addProblem(operation, 'write-failed', cannotChange(code));
      }
    }
    // What should have gone is gone; a directory with something in it stays; attributes of nothing.
  }

  #addProblem(operation: Operation, code: ProblemCode, message: string): void {
    const kept = isStaged(operation) ? saveRefused(this.#bench, operation) : undefined;
    const where = kept === undefined ? '' : `; what the run left is kept as ${kept}`;
    this.problems.push({ path: operation.path, code, message: message + where });
  }

  #parentStats(path: WorkspacePath): Stats | undefined {
    const parent = parentOf(path);
    if (this.#lastParent?.path !== parent) {
      const { root } = this.#bench;
      const stats = parent === '' ? statSync(root.at('')) : look(root, parent);
      this.#lastParent = { path: parent, stats: isThere(stats) ? stats : undefined };
    }
    return this.#lastParent.stats;
  }
}

function cannotChange(code: string): string {
  return `could not be changed here (${code})`;
}

function isThere(stats: Stats | 'blocked' | undefined): stats is Stats {
  return stats !== undefined && stats !== 'blocked';
}

/** What somebody did to a path between the plan and its turn, as a conflict with what the run did. */
function lateConflict({ before }: Write, now: Stats | 'blocked' | undefined): ConflictKind {
  if (now === 'blocked') return 'blocked';
  if (now === undefined) return 'deleted-here';
  if (!now.isFile() && !now.isSymbolicLink()) return 'kind-differs';
  return before.kind === 'absent' ? 'created-both' : 'edited-both';
}
