import { describeConflict } from '../client/apply.js';
import { recoverInterrupted } from '../client/recover.js';
import type { RecoveryReport } from '../client/recover.js';
import { isInside, realPathIfExists } from '../config/project-root.js';
import { RmtxError } from '../errors.js';
import { printable } from '../util/printable.js';
import type { Invocation } from './arguments.js';
import { renderError } from './report/error.js';
import { recoveryLines } from './report/recovery-text.js';

/** Those that send a project, or write to it. */
function changesProject(name: string): boolean {
  return name === 'exec' || name === 'attach';
}

/**
 * Finishes what a killed run left half-applied, and says so. A failure stops what would work on
 * half-applied files; other commands only say it and go on.
 */
export async function finishInterrupted(
  { command, flags }: Invocation,
  clientHome: string,
): Promise<void> {
  try {
    const reports = await recoverInterrupted(clientHome);
    if (changesProject(command.name)) refuseHalfApplied(reports);
    if (flags.has('quiet')) return;
    for (const report of reports) {
      const conflicts = report.conflicts.map((conflict) => ({
        path: conflict.path,
        description: describeConflict(conflict),
      }));
      for (const line of recoveryLines({ ...report, conflicts })) process.stderr.write(`${line}\n`);
    }
  } catch (error) {
    if (changesProject(command.name)) throw error;
    process.stderr.write(renderError(error, { isJson: flags.has('json'), isVerbose: false }));
  }
}

/** What is half-applied here and cannot be finished now is no project to send. */
function refuseHalfApplied(reports: readonly RecoveryReport[]): void {
  const here = realPathIfExists('.');
  if (here === undefined) return;
  for (const { kind, projectRoot, runId, message } of reports)
    if (kind === 'waiting' && projectRoot !== '' && isInside(here, projectRoot))
      throw new RmtxError(
        'ERR_RMTX_APPLY_FAILED',
        `the results of run ${printable(runId)} are only partly in this project: ${message ?? 'the reason is unknown'}`,
        { hint: 'remove the cause; the next rmtx command finishes it' },
      );
}
