/**
 * Sync-back at the client: brings what a run changed into the project as one transaction. Compare base,
 * theirs and mine for each path; stage what is wanted; journal; apply; or leave everything as it was.
 * docs/sync-back.md has the promises as a user sees them, `apply/operations.ts` the vocabulary.
 *
 * The change set comes from a host that may lie. Nothing of it takes effect before `check-changes.ts`
 * let it through.
 */
import { statSync } from 'node:fs';
import { RmtxError } from '../errors.js';
import { explainWriteError } from '../store/disk-full.js';
import { printable } from '../util/printable.js';
import type { EntryTable } from '../sync/entry-table.js';
import { comparePaths } from '../sync/entry.js';
import type { ManifestChange, Problem, WorkspacePath } from '../sync/entry.js';
import type { SyncRules } from '../sync/rules.js';
import type { AnchoredRoot } from '../util/safe-path.js';
import { assertNever } from '../util/never.js';
import { checkChanges } from './apply/check-changes.js';
import type { Commit, Conflict } from './apply/commit.js';
import { commitTransaction, writeFailure } from './apply/commit-transaction.js';
import { tableAfter } from './apply/new-table.js';
import type { Operation } from './apply/operations.js';
import { prunePartials } from './apply/partial-files.js';
import { planChanges } from './apply/plan.js';
import type { HeldDeletions, Plan } from './apply/plan.js';
import { loadPulled, sincePulled } from './apply/pulled-files.js';
import { StageAreas } from './apply/stage-areas.js';
import { stageContent } from './apply/stage.js';
import type { FetchBlobs } from './apply/stage.js';
import { loadSyncBackBase } from './apply/sync-back-base.js';
import { Transaction } from './apply/transaction.js';
import type { NewTransaction } from './apply/transaction.js';
import { pruneUndo } from './apply/undo.js';

export interface ApplyOptions {
  readonly root: AnchoredRoot;
  /** Where transactions, undo records and partial files live. */
  readonly clientHome: string;
  /** What the client remembers of this project. */
  readonly stateDirectory: string;
  readonly runId: string;
  /** The manifest that the run started from, with the signatures of the files here. */
  readonly table: EntryTable;
  readonly rules: SyncRules;
  readonly allowMassDelete: boolean;
  /** In walk order. Iterated once, before anything is fetched. */
  readonly changes: Iterable<ManifestChange>;
  readonly fetch: FetchBlobs;
}

export interface ApplyReport {
  /** Made, replaced, or with new attributes; in walk order. */
  readonly changed: readonly WorkspacePath[];
  readonly deleted: readonly WorkspacePath[];
  readonly conflicts: readonly Conflict[];
  readonly problems: readonly Problem[];
  /** Set when the brake on mass deletion held all deletions back; a problem says so, too. */
  readonly heldDeletions: HeldDeletions | undefined;
  /** `table` with what was done, and fresh signatures: what a scan would find now. */
  readonly table: EntryTable;
}

/**
 * Applies a change set. Rejects, with the tree as it was, where the change set is none (BAD_MESSAGE),
 * content cannot be had (what `fetch` throws, BLOB_MISSING) or the disk fails (DISK_FULL). Everything
 * that concerns single paths is in the report.
 *
 * Killed at any point it leaves the tree wholly before, or what `recoverInterrupted` finishes. Two calls
 * for one project may run at once, also in two processes: their commits wait for each other.
 */
export async function applyChangeSet(options: ApplyOptions): Promise<ApplyReport> {
  const { root, table, rules, allowMassDelete } = options;
  const syncBackBase = loadSyncBackBase(options.stateDirectory);
  const checked = await checkChanges(options.changes, { table, rules, syncBackBase });
  const pulled = loadPulled(options.stateDirectory);
  const accepted =
    pulled.length === 0
      ? checked.accepted
      : checked.accepted.map((change) => sincePulled(change, { pulled, root }));
  const plan = await planChanges(accepted, { root, table, rules, allowMassDelete });
  const problems = [...checked.problems, ...plan.problems, ...heldProblem(plan)];
  if (plan.operations.length === 0) return report(options, plan, { problems, outcome: undefined });
  const outcome = await runTransaction(options, plan.operations);
  return report(options, plan, { problems: [...problems, ...outcome.problems], outcome });
}

interface Outcome {
  /** Those of the plan whose content could be had. */
  readonly operations: readonly Operation[];
  readonly commit: Commit;
  readonly problems: readonly Problem[];
}

async function runTransaction(
  { root, rules, clientHome, runId, stateDirectory, fetch }: ApplyOptions,
  planned: readonly Operation[],
): Promise<Outcome> {
  refuseRemoved(root);
  const projectRoot = root.path;
  const transaction = begin({ clientHome, runId, projectRoot, stateDirectory });
  let outcome: Outcome;
  try {
    using areas = new StageAreas(transaction, { root, mountPaths: rules.mountPaths });
    const staged = await stageContent(planned, { transaction, areas, root, fetch });
    const commit = await commitTransaction(transaction, staged.operations, root);
    outcome = { ...staged, commit, problems: [...staged.problems, ...commit.problems] };
  } catch (error) {
    await leaveClean(transaction, root);
    throw isSystemError(error) ? writeFailure(error, 'before anything was changed') : error;
  }
  await cleanUp(transaction, root);
  return outcome;
}

function begin(options: NewTransaction): Transaction {
  try {
    return Transaction.begin(options);
  } catch (error) {
    throw explainWriteError(error, options.clientHome);
  }
}

/** One that was moved is written to where it is now; one that was removed has no place for anything. */
function refuseRemoved(root: AnchoredRoot): void {
  const stats = statSync(String(root.at('')), { throwIfNoEntry: false });
  if (stats !== undefined && stats.nlink > 0) return;
  throw new RmtxError(
    'ERR_RMTX_APPLY_FAILED',
    `the project folder ${printable(root.path)} was removed while the command ran; there is no place for what it changed`,
  );
}

/** After an error. A transaction that could be neither finished nor taken back is recovery's. */
async function leaveClean(transaction: Transaction, root: AnchoredRoot): Promise<void> {
  if (transaction.state !== 'staging') return;
  await transaction.discard(root);
}

async function cleanUp(transaction: Transaction, root: AnchoredRoot): Promise<void> {
  try {
    await transaction.finish(root);
    await pruneUndo(transaction.clientHome);
    prunePartials(transaction.clientHome);
  } catch {
    // Everything is in the tree; the next recovery cleans up.
  }
}

function isSystemError(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error;
}

function heldProblem({ held }: Plan): Problem[] {
  if (held === undefined) return [];
  const message =
    `one of ${held.count} deletions that were held back, because the project has only ` +
    `${held.manifestFiles} files; if they are meant, run it again with --allow-mass-delete`;
  return [{ path: held.firstPath, code: 'refused', message }];
}

function report(
  { root, rules, table }: ApplyOptions,
  plan: Plan,
  { problems, outcome }: { problems: readonly Problem[]; outcome: Outcome | undefined },
): ApplyReport {
  const operations = outcome?.operations ?? [];
  const commit = outcome?.commit;
  const isDone = (number: number): boolean => commit?.done.has(number) === true;
  const isApplied = (number: number): boolean =>
    isDone(number) || commit?.found.has(number) === true;
  const changed = new Set<WorkspacePath>();
  const deleted = new Set<WorkspacePath>();
  for (const [number, operation] of operations.entries()) {
    if (!isDone(number)) continue;
    if (operation.type === 'remove' || operation.type === 'remove-directory')
      deleted.add(operation.path);
    else if (operation.type !== 'set-attributes' || plan.wantedPaths.has(operation.path))
      changed.add(operation.path);
  }
  for (const path of changed) deleted.delete(path);
  const { goneHereToo } = plan;
  return {
    changed: [...changed].sort(comparePaths),
    deleted: [...deleted].sort(comparePaths),
    conflicts: [...plan.conflicts, ...(commit?.conflicts ?? [])].sort(byPath),
    problems,
    heldDeletions: plan.held,
    table: tableAfter(table, { root, rules, operations, isApplied, goneHereToo }),
  };
}

function byPath(a: { path: string }, b: { path: string }): number {
  return comparePaths(a.path, b.path);
}

/** What happened at a path, and what is where now, for a person. */
export function describeConflict({ kind, keptTheirsAs }: Conflict): string {
  const kept = keptTheirsAs === undefined ? '' : `; the run's is ${printable(keptTheirsAs)}`;
  switch (kind) {
    case 'edited-both':
      return `changed here and by the run: yours stays${kept}`;
    case 'created-both':
      return `made here and by the run, with different content: yours stays${kept}`;
    case 'deleted-here':
      return `deleted here, changed by the run: it stays deleted${kept}`;
    case 'deleted-there':
      return 'changed here, deleted by the run: yours stays';
    case 'kind-differs':
      return `a file, a directory or a link here and another of these in the run: yours stays${kept}`;
    case 'mode-differs':
      return 'its permissions were changed here and by the run: yours stay';
    case 'blocked':
      return `a parent of it is a file or a link here: yours stays${kept}`;
    case 'directory-not-empty':
      return `the run replaced a directory that has other things in it here: it stays${kept}`;
    default:
      return assertNever(kind);
  }
}
