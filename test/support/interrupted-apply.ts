/**
 * An apply that stopped at a chosen operation, as if its process had been killed there: made from the
 * parts of the real one, then given an owner that is dead.
 */
import { readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Bench } from '../../src/client/apply/bench.js';
import { checkChanges } from '../../src/client/apply/check-changes.js';
import { Commit } from '../../src/client/apply/commit.js';
import { planChanges } from '../../src/client/apply/plan.js';
import { StageAreas } from '../../src/client/apply/stage-areas.js';
import { stageContent } from '../../src/client/apply/stage.js';
import { Transaction } from '../../src/client/apply/transaction.js';
import { EntryTable } from '../../src/sync/entry-table.js';
import { NO_RULES } from '../../src/sync/rule-sources.js';
import { SyncRules } from '../../src/sync/rules.js';
import { currentProcess } from '../../src/util/process-identity.js';
import { AnchoredRoot } from '../../src/util/safe-path.js';
import { changesTo, fetchFrom, scanTable } from './apply-rig.js';
import type { Rig, Tree } from './apply-rig.js';

export interface Interrupted {
  /** Of the transaction, with `journal` and `files` in it. */
  readonly directory: string;
  readonly operations: number;
}

/** `done`: how many operations were carried out; undefined stops before the journal is written. */
export async function interruptApply(
  rig: Rig,
  theirs: Tree,
  done: number | undefined,
): Promise<Interrupted> {
  using root = AnchoredRoot.open(rig.project);
  const table = scanTable(rig.project);
  const rules = new SyncRules(NO_RULES);
  const changes = changesTo(table, theirs);
  const context = { table, rules, syncBackBase: EntryTable.empty };
  const { accepted } = await checkChanges(changes, context);
  const plan = await planChanges(accepted, { root, table, rules, allowMassDelete: true });
  const transaction = Transaction.begin({
    clientHome: rig.home,
    runId: 'r1',
    projectRoot: root.path,
    stateDirectory: rig.stateDirectory,
  });
  using areas = new StageAreas(transaction, { root, mountPaths: rules.mountPaths });
  const fetch = fetchFrom(theirs);
  const staged = await stageContent(plan.operations, { transaction, areas, root, fetch });
  if (done !== undefined) {
    using bench = new Bench(transaction, root);
    transaction.writeJournal(staged.operations);
    await new Commit(bench, { isRecovery: false }).run(staged.operations.slice(0, done));
  }
  abandon(transaction.directory);
  return { directory: transaction.directory, operations: staged.operations.length };
}

/** Makes its owner a process that is no more. */
export function abandon(directory: string): void {
  for (const name of readdirSync(directory))
    if (name.startsWith('owner.'))
      writeFileSync(
        path.join(directory, name),
        JSON.stringify({ ...currentProcess(), startedAt: 'another start' }),
      );
}
