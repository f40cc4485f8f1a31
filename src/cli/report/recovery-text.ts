import { assertNever } from '../../util/never.js';
import { printable } from '../../util/printable.js';
import { count } from './text.js';

/** What recovery did about one interrupted sync-back. */
export interface RecoveredRun {
  readonly runId: string;
  /** Empty where the transaction is too damaged to tell. */
  readonly projectRoot: string;
  readonly kind: 'completed' | 'discarded' | 'rolled-back' | 'quarantined' | 'waiting';
  readonly changed: number;
  readonly conflicts: readonly { readonly path: string; readonly description: string }[];
  readonly problems: readonly { readonly path: string; readonly message: string }[];
  readonly message?: string | undefined;
}

export function recoveryLines(run: RecoveredRun): string[] {
  return [
    `rmtx: ${outcomeWords(run)}`,
    ...run.conflicts.map(
      ({ path, description }) => `rmtx: conflict: ${printable(path)}: ${printable(description)}`,
    ),
    ...run.problems.map(
      ({ path, message }) => `rmtx: warning: ${printable(path)}: ${printable(message)}`,
    ),
  ];
}

function outcomeWords(run: RecoveredRun): string {
  const where = run.projectRoot === '' ? '' : ` in ${printable(run.projectRoot)}`;
  const what = `the interrupted sync-back of run ${printable(run.runId)}${where}`;
  const reason = printable(run.message ?? 'the reason is unknown');
  switch (run.kind) {
    case 'completed':
      return `finished ${what}: ${count(run.changed, 'path')} changed`;
    case 'discarded':
      return `dropped ${what}: nothing was changed`;
    case 'rolled-back':
      return `took back ${what}: the project is as it was before`;
    case 'quarantined':
      return `warning: ${what} is damaged and was put aside: ${reason}`;
    case 'waiting':
      return `warning: ${what} has to wait: ${reason}`;
    default:
      return assertNever(run.kind);
  }
}
