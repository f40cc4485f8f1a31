/**
 * From staged content to a changed tree, in the process that staged it: journal, commit, done; or, when
 * that fails half way, everything back.
 */
import { statSync } from 'node:fs';
import path from 'node:path';
import { RmtxError, systemErrorCode } from '../../errors.js';
import { ensurePrivateDirectory, fsyncDirectory } from '../../util/atomic-file.js';
import { OwnerLock } from '../../util/owner-lock.js';
import { printable } from '../../util/printable.js';
import type { AnchoredRoot } from '../../util/safe-path.js';
import { Bench } from './bench.js';
import { Commit } from './commit.js';
import type { Operation } from './operations.js';
import { rollBack } from './rollback.js';
import { updateSyncBackBase } from './sync-back-base.js';
import type { Transaction } from './transaction.js';

/** A commit takes seconds; whoever holds the lock longer is stuck. */
const LOCK_TIMEOUT_MS = 60_000;

/**
 * Two sync-backs into one project must not interleave. Throws STATE_IN_USE when another keeps the lock
 * for too long.
 */
export async function lockProject(
  stateDirectory: string,
  timeoutMs = LOCK_TIMEOUT_MS,
): Promise<OwnerLock> {
  const directory = path.join(stateDirectory, 'apply-lock');
  ensurePrivateDirectory(directory);
  const lock = await OwnerLock.acquire(directory, timeoutMs);
  if (lock !== undefined) return lock;
  throw new RmtxError(
    'ERR_RMTX_STATE_IN_USE',
    'another rmtx is writing results into this project and does not come to an end',
    { hint: 'look for it with ps, then run the command again', isRetryable: true },
  );
}

/**
 * Carries the operations out. Where it throws after the first change of the tree, the tree is as before;
 * if not even that was possible, the message says so and the next start of rmtx goes on with it.
 */
export async function commitTransaction(
  transaction: Transaction,
  operations: readonly Operation[],
  root: AnchoredRoot,
): Promise<Commit> {
  const lock = await lockProject(transaction.header.stateDirectory);
  try {
    // The undo directory is made before the journal: until that is written a failure changes nothing.
    using bench = new Bench(transaction, root);
    transaction.writeJournal(operations);
    const commit = new Commit(bench, { isRecovery: false });
    try {
      await commit.run(operations);
      settle(transaction, root, appliedOperations(operations, commit));
    } catch (error) {
      throw await takeBack(transaction, bench, { operations, commit, error });
    }
    return commit;
  } finally {
    lock.release();
  }
}

/** Makes what was done count: from here on recovery only cleans up. */
export function settle(
  transaction: Transaction,
  root: AnchoredRoot,
  applied: Iterable<Operation>,
): void {
  updateSyncBackBase(transaction.header.stateDirectory, applied);
  const rootPath = String(root.at(''));
  // The mark must not reach the disk before the renames. On one device it cannot; on two it could.
  if (statSync(rootPath).dev !== statSync(transaction.directory).dev) fsyncDirectory(rootPath);
  transaction.mark('done');
}

export function appliedOperations(operations: readonly Operation[], commit: Commit): Operation[] {
  return operations.filter((_, number) => commit.done.has(number) || commit.found.has(number));
}

/** Returns what to throw. */
async function takeBack(
  transaction: Transaction,
  bench: Bench,
  {
    operations,
    commit,
    error,
  }: { operations: readonly Operation[]; commit: Commit; error: unknown },
): Promise<RmtxError> {
  let left: readonly string[];
  try {
    transaction.mark('rolling-back');
    left = rollBack(bench, operations, { done: commit.done, copies: commit.copies });
  } catch (second) {
    const outcome = `and could not be taken back (${reasonOf(second)}); the next rmtx command goes on`;
    return writeFailure(error, outcome);
  }
  // Where this fails recovery takes it back once more, which changes nothing.
  await transaction.discard(bench.root).catch(() => undefined);
  const outcome = 'and was taken back: nothing is changed here';
  if (left.length === 0) return writeFailure(error, outcome);
  const where = printable(transaction.undoDirectory);
  const which = printable(left[0] ?? '');
  return writeFailure(
    error,
    `${outcome}, except ${left.length} changed by others meanwhile, such as ${which}: see ${where}`,
  );
}

/** A failed write as the error that a user meets. */
export function writeFailure(error: unknown, outcome: string): RmtxError {
  const code = systemErrorCode(error);
  const isFull = code === 'ENOSPC' || code === 'EDQUOT';
  return new RmtxError(
    isFull ? 'ERR_RMTX_DISK_FULL' : 'ERR_RMTX_APPLY_FAILED',
    `writing the results into the project failed (${reasonOf(error)}) ${outcome}`,
    {
      cause: error,
      hint: isFull
        ? 'free some space, then run the command again'
        : 'check the disk, then run the command again',
    },
  );
}

function reasonOf(error: unknown): string {
  return printable(error instanceof Error ? error.message : String(error));
}
