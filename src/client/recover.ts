/**
 * What an interrupted sync-back left behind, put in order at the start of a command. A transaction whose
 * process lives is left alone. Without a complete stage it is thrown away: the project is untouched.
 * With one it is finished forward, comparing each path again; where the stage is damaged (a power cut),
 * taken back. A damaged journal is put aside with everything that is staged, and never guessed at.
 */
import { statSync } from 'node:fs';
import path from 'node:path';
import { isRmtxError, systemErrorCode } from '../errors.js';
import type { Problem, WorkspacePath } from '../sync/entry.js';
import { hasLiveOwner } from '../util/owner-lock.js';
import { removeTree } from '../util/remove-tree.js';
import { AnchoredRoot } from '../util/safe-path.js';
import { printable } from '../util/printable.js';
import { Bench } from './apply/bench.js';
import { Commit } from './apply/commit.js';
import type { Conflict } from './apply/commit.js';
import { appliedOperations, lockProject, settle } from './apply/commit-transaction.js';
import type { Journal } from './apply/journal.js';
import { rollBack } from './apply/rollback.js';
import { isStageWhole } from './apply/stage-check.js';
import { stageParent } from './apply/stage-parent.js';
import { DEAD_PREFIX, Transaction, UNBORN_PREFIX } from './apply/transaction.js';
import { transactionNames } from './interrupted.js';

export interface RecoveryReport {
  readonly runId: string;
  readonly projectRoot: string;
  /**
   * completed: the results are in the project. discarded, rolled-back: the project is as before the
   * sync-back, and the command can be run again. quarantined: a damaged transaction was put
   * aside. waiting: it cannot be dealt with now (see `message`), the next start tries again.
   */
  readonly kind: 'completed' | 'discarded' | 'rolled-back' | 'quarantined' | 'waiting';
  /** Paths that were changed or deleted, before the interruption or now. */
  readonly changed: number;
  readonly conflicts: readonly Conflict[];
  readonly problems: readonly Problem[];
  /** One sentence for the user where the kind does not say it all. */
  readonly message?: string;
}

/** A live sync-back into the same project is waited for this long at most. */
const LOCK_TIMEOUT_MS = 10_000;
/** What has no owner after this long never got one. */
const UNBORN_MS = 60 * 60 * 1000;

/**
 * Deals with every interrupted transaction of this client home. Several processes may do it at once. Throws
 * only where the home itself cannot be read.
 */
export async function recoverInterrupted(clientHome: string): Promise<RecoveryReport[]> {
  const reports: RecoveryReport[] = [];
  for (const name of transactionNames(clientHome)) {
    if (name.startsWith('.')) {
      await removeLeftover(path.join(stageParent(clientHome), name));
      continue;
    }
    const report = await recoverOne(clientHome, name);
    if (report !== undefined) reports.push(report);
  }
  return reports;
}

/** One that was never started, or one that is over and was not removed to the end. */
async function removeLeftover(directory: string): Promise<void> {
  const name = path.basename(directory);
  if (name.startsWith(DEAD_PREFIX) || (name.startsWith(UNBORN_PREFIX) && isAbandoned(directory)))
    await removeTree(directory);
}

function isAbandoned(directory: string): boolean {
  try {
    const ageMs = Date.now() - statSync(directory).mtimeMs;
    return ageMs > UNBORN_MS && !hasLiveOwner(directory);
  } catch (error) {
    // It got its name, or another recovery was quicker.
    if (systemErrorCode(error) === 'ENOENT') return false;
    throw error;
  }
}

async function recoverOne(clientHome: string, name: string): Promise<RecoveryReport | undefined> {
  let transaction: Transaction | undefined;
  try {
    transaction = Transaction.takeOver(clientHome, name);
    if (transaction === undefined) return undefined;
    return await recoverTransaction(transaction);
  } catch (error) {
    const { runId = name, projectRoot = '' } = transaction?.header ?? {};
    const nothing = { runId, projectRoot, changed: 0, conflicts: [], problems: [] };
    const reason = printable(error instanceof Error ? error.message : String(error));
    if (!isRmtxError(error) || error.code !== 'ERR_RMTX_STATE_CORRUPT')
      return { ...nothing, kind: 'waiting', message: reason };
    const where = Transaction.quarantine(clientHome, name);
    const message = `${reason}; everything that was fetched is in ${printable(where)}`;
    return { ...nothing, kind: 'quarantined', message };
  }
}

async function recoverTransaction(transaction: Transaction): Promise<RecoveryReport | undefined> {
  const { projectRoot, runId, stateDirectory } = transaction.header;
  const nothing = { runId, projectRoot, changed: 0, conflicts: [], problems: [] };
  using root = openProject(projectRoot);
  const state = transaction.state;
  switch (state) {
    case 'gone':
      return undefined;
    case 'done':
      await transaction.finish(root);
      return undefined;
    case 'staging':
      await transaction.discard(root);
      return { ...nothing, kind: 'discarded' };
    case 'committing':
    case 'rolling-back': {
      const journal = transaction.readJournal();
      if (root === undefined) {
        const message = `${printable(projectRoot)} is not there; if it is gone for good, remove ${printable(transaction.directory)}`;
        return { ...nothing, kind: 'waiting', message };
      }
      const lock = await lockProject(stateDirectory, LOCK_TIMEOUT_MS);
      try {
        return await carryOn(transaction, journal, root);
      } finally {
        lock.release();
      }
    }
  }
}

async function carryOn(
  transaction: Transaction,
  journal: Journal,
  root: AnchoredRoot,
): Promise<RecoveryReport> {
  const { runId, projectRoot, operations } = journal;
  using bench = new Bench(transaction, root);
  if (transaction.state === 'committing' && !isStageWhole(bench, journal))
    transaction.mark('rolling-back');
  if (transaction.state === 'rolling-back') {
    const left = rollBack(bench, operations, { done: undefined, copies: new Map() });
    await transaction.discard(root);
    const problems = left.map((path) => leftBehind(path, transaction));
    return { runId, projectRoot, kind: 'rolled-back', changed: 0, conflicts: [], problems };
  }
  const commit = new Commit(bench, { isRecovery: true });
  await commit.run(operations);
  const applied = appliedOperations(operations, commit);
  settle(transaction, root, applied);
  await transaction.finish(root);
  const changed = new Set(applied.filter(isSeen).map((operation) => operation.path)).size;
  const { conflicts, problems } = commit;
  return { runId, projectRoot, kind: 'completed', changed, conflicts, problems };
}

/** Directories are opened and closed on the way, which is no change that anybody sees. */
function isSeen({ type }: Journal['operations'][number]): boolean {
  return type === 'write' || type === 'remove';
}

function leftBehind(path: WorkspacePath, transaction: Transaction): Problem {
  const where = printable(transaction.undoDirectory);
  const message = `was changed after the interruption and stays; its former content is in ${where}`;
  return { path, code: 'write-failed', message };
}

function openProject(projectRoot: string): AnchoredRoot | undefined {
  try {
    return AnchoredRoot.open(projectRoot);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(systemErrorCode(error) ?? '')) return undefined;
    throw error;
  }
}
