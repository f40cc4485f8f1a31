import { isRmtxError } from '../../errors.js';
import type { CommandOutcome } from '../../protocol/messages.js';
import { printable } from '../../util/printable.js';
import { formatDuration } from '../../util/units.js';
import { diskFull } from './disk-step.js';
import type { Trial } from './trial-run.js';
import { failed, ok, warning } from './verdict.js';
import type { Finding } from './verdict.js';

/** A command that says a word takes some ten milliseconds on an idle machine. */
const SLOW_MS = 2000;

/** Whether a command starts and its output comes home. `trial` is what came of it, or what it has thrown. */
export function judgeRun(facts: {
  readonly trial: Trial | Error;
  /** As the host announced it; undefined where it was not heard. */
  readonly loadPercent: number | undefined;
  /** What stayed of the trial there, if anything. */
  readonly left: string | undefined;
}): Finding {
  const { trial, loadPercent, left } = facts;
  if (trial instanceof Error) return threw(trial);
  const { outcome, elapsedMs, isWordHome } = trial;
  const time = formatDuration(elapsedMs);
  if (outcome.kind !== 'exited' || outcome.code !== 0) return ended(outcome);
  if (!isWordHome)
    return failed('the command ran, but its output did not come home', {
      code: 'host-failed',
      cause: 'the host lost the output, or makes it up',
      cure: ['compare rmtx version on both machines; then, on the host, see its log'],
    });
  if (elapsedMs > SLOW_MS)
    return warning(`a command ran and its output came home, but it took ${time}`, {
      code: 'host-load',
      cause: `the host is under load${loadPercent === undefined ? '' : ` (${loadPercent}% of its cores)`}`,
      cure: [
        'see what you run there: rmtx runs',
        'and, on the host, what all do: rmtx host status',
      ],
    });
  if (left !== undefined)
    return warning(
      `a command ran, but its trial context is still on the host: ${printable(left)}`,
      {
        code: 'not-tidied',
        cause: 'the host is of an older version, or has just lost the connection',
        cure: ['nothing to do: the next rmtx doctor removes it'],
      },
    );
  return ok('a command ran, and its output came home');
}

function threw(error: Error): Finding {
  const message = printable(error.message);
  const code = isRmtxError(error) ? error.code : undefined;
  if (code === 'ERR_RMTX_DISK_FULL')
    return failed(message, diskFull('the disk of the host, or its quota, is full'));
  if (code === 'ERR_RMTX_CONTEXT_BUSY' || code === undefined || code === 'ERR_RMTX_TIMED_OUT')
    return failed(message, {
      code: 'host-load',
      cause: 'the host is under too much load to run a command now',
      cure: ['on the host, see what keeps it busy; rmtx runs shows what you run there'],
    });
  return failed(message, {
    code: 'host-failed',
    cause: 'the host knows this machine, but could not run a command',
    cure: [
      (isRmtxError(error) ? error.hint : undefined) ?? 'on the host, see the log of rmtx host',
    ],
  });
}

function ended(outcome: CommandOutcome): Finding {
  switch (outcome.kind) {
    case 'not-found':
      return failed(`the host finds no command echo (PATH there: ${printable(outcome.searched)})`, {
        code: 'command-not-found',
        cause: 'the PATH of the login shell there is not what it should be',
        cure: ['on the host, see PATH under environment: rmtx host status -v'],
      });
    case 'not-executable':
      return failed(`the host cannot execute echo: ${printable(outcome.reason)}`, {
        code: 'command-not-found',
        cause: 'its user may not, or the file system there forbids it',
        cure: ['on the host, try as the same user: echo'],
      });
    case 'timed-out':
      return failed('the command did not end in time', {
        code: 'host-load',
        cause: 'the host is under too much load',
        cure: ['on the host, see what keeps it busy'],
      });
    case 'signalled':
    case 'exited': {
      const how =
        outcome.kind === 'exited' ? `with ${outcome.code}` : `by ${printable(outcome.exitSignal)}`;
      return failed(`the command ended ${how}`, {
        code: 'host-failed',
        cause: 'something on the host ends commands: a memory limit, a security policy',
        cure: ['on the host, see the log of rmtx host and of the system'],
      });
    }
  }
}
