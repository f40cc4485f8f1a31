import { mtimeUsOf } from '../../util/microseconds.js';
import type { Journal } from './journal.js';
import { hasEntryContent, look } from './observe.js';
import { isStaged } from './operations.js';
import type { StagedOperation } from './operations.js';
import type { Workbench } from './workbench.js';

/**
 * True when everything a journal will put in place is in the stage with the right content, or was put in
 * place with it. Staged files are not flushed one by one, so a power cut can leave the journal on disk
 * and not them, and a name in the project without its bytes; reading them is what tells.
 */
export function isStageWhole(bench: Workbench, { operations }: Journal): boolean {
  return operations.every((operation) => {
    if (!isStaged(operation)) return true;
    return isWaiting(bench, operation) ? isIntact(bench, operation) : !isTorn(bench, operation);
  });
}

/** False: it left the stage, so what it was for was done. */
export function isWaiting(bench: Workbench, { staged }: StagedOperation): boolean {
  return bench.area(staged.area).lstat(staged.slot) !== undefined;
}

function isIntact(bench: Workbench, { entry, staged }: StagedOperation): boolean {
  const area = bench.area(staged.area);
  const stats = area.lstat(staged.slot);
  if (entry.kind === 'symlink') return stats?.isSymbolicLink() === true;
  return stats?.size === entry.size && area.digestOf(staged.slot) === entry.digest;
}

/** In place, but without its bytes. Whoever wrote to it since would have given it another time. */
export function isTorn(bench: Workbench, operation: StagedOperation): boolean {
  const { path, entry } = operation;
  if (operation.type !== 'write' || entry.kind !== 'file') return false;
  const stats = look(bench.root, path);
  if (stats === undefined || stats === 'blocked' || !stats.isFile()) return false;
  return mtimeUsOf(stats) === entry.mtimeUs && !hasEntryContent(bench.root, path, entry);
}
