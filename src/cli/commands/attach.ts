import { attachRun } from '../../client/attach.js';
import { findRun } from '../../client/runs.js';
import { openOutput } from '../../client/stdio.js';
import { LocalTerminal } from '../../client/terminal.js';
import type { Invocation } from '../arguments.js';
import { forwardRequests } from '../forward-flag.js';
import { RunRecord } from '../run-record.js';
import { targetOf } from '../target.js';

export { recover } from '../recovery.js';

/** Ends as the exec would have that began the run. */
export async function run(invocation: Invocation): Promise<number> {
  const { flags, operands } = invocation;
  const record = new RunRecord(invocation, { command: [] });
  try {
    const forwards = forwardRequests(flags);
    const target = targetOf(flags);
    const terminal =
      !flags.has('json') && LocalTerminal.isThere() ? LocalTerminal.open() : undefined;
    const stdout = terminal?.output ?? openOutput(1);
    const report = await attachRun(
      {
        target,
        // How the host is reached is said of the connection to the run.
        runId: await findRun({ ...target, onDialedBack: undefined }, operands[0] ?? ''),
        hasSyncBack: !flags.has('no-sync-back'),
        forwards,
      },
      {
        onEvent: (event) => record.onEvent(event),
        // With `--json` the output travels in the events, so that stdout holds only JSON.
        ...(flags.has('json') ? {} : { stdout, stderr: openOutput(2) }),
        ...(terminal === undefined ? {} : { terminal, stdin: terminal.input }),
      },
    );
    if ('isDetached' in report) {
      record.left(report.runId);
      return 0;
    }
    record.finish(report);
    return report.exitCode;
  } catch (error) {
    record.fail(error);
    throw error;
  }
}
