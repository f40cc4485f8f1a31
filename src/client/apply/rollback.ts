/**
 * Takes a half-done transaction back, the last operation first. Only what is still as the transaction
 * left it is touched: what somebody changed since stays, and its old content stays in the undo directory.
 */
import { mkdirSync, renameSync, rmSync, rmdirSync } from 'node:fs';
import { systemErrorCode } from '../../errors.js';
import { comparePaths, parentOf } from '../../sync/entry.js';
import type { WorkspacePath } from '../../sync/entry.js';
import { CONFLICT_MARK } from '../../sync/own-names.js';
import { assertNever } from '../../util/never.js';
import { isOutOfReach } from './areas.js';
import { hasEntryContent, isStillBefore, look } from './observe.js';
import type { Operation, Remove, Write } from './operations.js';
import { removeTemporaries } from './other-device.js';
import { setAttributesAt } from './set-attributes.js';
import { isTorn, isWaiting } from './stage-check.js';
import { putBack, putBackIfFree } from './tree-steps.js';
import type { Workbench } from './workbench.js';

export interface RollbackOptions {
  /** The operations that were carried out; undefined in recovery, where only the tree can tell. */
  readonly done: ReadonlySet<number> | undefined;
  /** Copies that were put beside their paths; in recovery nobody knows them, and they stay. */
  readonly copies: ReadonlyMap<number, WorkspacePath>;
}

/**
 * Returns the paths that could not be put back because somebody changed them. Throws on a failing disk;
 * then it can be done again from the start.
 */
export function rollBack(
  bench: Workbench,
  operations: readonly Operation[],
  { done, copies }: RollbackOptions,
): WorkspacePath[] {
  const left: WorkspacePath[] = [];
  for (let number = operations.length - 1; number >= 0; number--) {
    const operation = operations[number];
    if (operation === undefined) continue;
    try {
      const copy = copies.get(number);
      if (copy !== undefined) removeCopy(bench, operation, copy);
      // A write may have come as far as its undo link, so it is always looked at.
      const isOurs = done === undefined || done.has(number) || operation.type === 'write';
      if (
        isOurs &&
        !undoOperation(bench, operation, { number, isSure: done?.has(number) === true })
      )
        left.push(operation.path);
    } catch (error) {
      if (!isOutOfReach(error)) throw error;
    }
  }
  return left.sort(comparePaths);
}

interface Undoing {
  readonly number: number;
  /** This process carried it out. */
  readonly isSure: boolean;
}

/** False where somebody's later change is in the way. */
function undoOperation(bench: Workbench, operation: Operation, undoing: Undoing): boolean {
  const { root } = bench;
  switch (operation.type) {
    case 'write':
      removeTemporaries(bench, operation.path, {
        staged: operation.staged,
        number: undoing.number,
      });
      return operation.before.kind === 'absent'
        ? undoCreation(bench, operation, undoing)
        : undoReplacement(bench, operation, undoing.number);
    case 'remove':
      return undoRemoval(bench, operation, undoing.number);
    case 'remove-directory':
      if (look(root, operation.path) === undefined) {
        const { path, mode } = operation;
        mkdirSync(root.at(path), { mode });
        setAttributesAt(root, {
          path,
          isDirectory: true,
          mode,
          mtimeUs: undefined,
          before: undefined,
        });
      }
      return true;
    case 'make-directory':
      rmdirSync(root.at(operation.path));
      root.forget();
      return true;
    case 'set-attributes': {
      const { path, isDirectory, before, mode } = operation;
      const mtimeUs = operation.mtimeUs ?? before.mtimeUs;
      return setAttributesAt(root, {
        path,
        isDirectory,
        mode: before.mode,
        mtimeUs: isDirectory ? undefined : before.mtimeUs,
        before: { mode, mtimeUs },
      });
    }
    case 'keep-beside':
      return true;
    default:
      return assertNever(operation);
  }
}

function undoCreation(bench: Workbench, operation: Write, { number, isSure }: Undoing): boolean {
  const { root } = bench;
  const { path, entry, staged } = operation;
  const now = look(root, path);
  // A write makes no directory: one that is here is from before, or somebody else's.
  if (now === undefined || now === 'blocked' || now.isDirectory()) return true;
  const waiting = bench.area(staged.area).lstat(staged.slot);
  // Still in the stage, and another file: then what is at the path was never ours.
  if (waiting !== undefined && (entry.kind === 'symlink' || waiting.ino !== now.ino))
    return !isSure;
  if (!hasEntryContent(root, path, entry)) return putTornAside(bench, operation, number);
  if (waiting !== undefined || entry.kind === 'symlink') rmSync(root.at(path));
  else moveBackToStage(bench, operation);
  return true;
}

function moveBackToStage(bench: Workbench, { path, staged }: Write): void {
  try {
    renameSync(bench.root.at(path), bench.area(staged.area).at(staged.slot));
  } catch (error) {
    if (systemErrorCode(error) !== 'EXDEV') throw error;
    rmSync(bench.root.at(path));
  }
}

function undoReplacement(bench: Workbench, operation: Write, number: number): boolean {
  const { root, undo } = bench;
  const { path, before, entry } = operation;
  if (undo.lstat(number) === undefined) return true;
  if (hasEntryContent(root, path, entry)) {
    putBack(bench, path, number);
    return true;
  }
  if (putTornAside(bench, operation, number) || look(root, path) === undefined)
    return putBackIfFree(bench, path, number);
  // Made safe, but not replaced yet: only the second name goes.
  if (!isStillBefore(root, path, before)) return false;
  rmSync(undo.at(number));
  return true;
}

/**
 * Moves a file that a power cut left without its bytes out of the way, false where it is none. It is not
 * deleted: that nobody wrote to it is what its time says, and a time can be wrong.
 */
function putTornAside(bench: Workbench, operation: Write, number: number): boolean {
  if (isWaiting(bench, operation) || !isTorn(bench, operation)) return false;
  try {
    renameSync(bench.root.at(operation.path), bench.undo.at(`torn-${number}`));
    return true;
  } catch (error) {
    if (systemErrorCode(error) !== 'EXDEV') throw error;
    return false;
  }
}

function undoRemoval(bench: Workbench, { path, before }: Remove, number: number): boolean {
  const { root, undo } = bench;
  if (undo.lstat(number) === undefined) return true;
  if (putBackIfFree(bench, path, number)) return true;
  if (!isStillBefore(root, path, before)) return false;
  rmSync(undo.at(number));
  return true;
}

/** Also the directories that were made for it, as far as they are empty. */
function removeCopy(bench: Workbench, operation: Operation, copy: WorkspacePath): void {
  const { root } = bench;
  if (operation.type !== 'write' && operation.type !== 'keep-beside') return;
  if (!hasEntryContent(root, copy, operation.entry)) return;
  rmSync(root.at(copy));
  for (let above = parentOf(copy); above.includes(CONFLICT_MARK); above = parentOf(above)) {
    root.forget();
    rmdirSync(root.at(above));
  }
}
