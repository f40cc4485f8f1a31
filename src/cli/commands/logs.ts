import { findRun } from '../../client/runs.js';
import { openOutput } from '../../client/stdio.js';
import { watchRun } from '../../client/watch.js';
import { RmtxError } from '../../errors.js';
import { printable } from '../../util/printable.js';
import type { FlagValues, Invocation } from '../arguments.js';
import { RunRecord } from '../run-record.js';
import { targetOf } from '../target.js';

export { recover } from '../recovery.js';

/** A run's output, each stream to its own of ours. */
export async function run(invocation: Invocation): Promise<number> {
  const { flags, operands } = invocation;
  const sinceByte = byteNumber(flags);
  const target = targetOf(flags);
  const record = new RunRecord(invocation, { command: [] });
  await watchRun(
    {
      target,
      // How the host is reached is said of the connection to the run.
      runId: await findRun({ ...target, onDialedBack: undefined }, operands[0] ?? ''),
      sinceByte,
      isFollowed: flags.has('follow'),
    },
    {
      onEvent: (event) => record.onEvent(event),
      ...(flags.has('json') ? {} : { stdout: openOutput(1), stderr: openOutput(2) }),
    },
  );
  return 0;
}

function byteNumber(flags: FlagValues): number {
  const text = flags.text('since-byte') ?? '0';
  const value = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(value)) return value;
  throw new RmtxError(
    'ERR_RMTX_BAD_FLAG',
    `--since-byte ${printable(text)} is not a number of bytes`,
  );
}
