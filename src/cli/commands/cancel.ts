import { cancelRun, discardRun, findRun } from '../../client/runs.js';
import type { CancelledRun } from '../../client/runs.js';
import type { Invocation } from '../arguments.js';
import { jsonDocument } from '../report/json.js';
import { runInfoJson } from '../report/runs.js';
import { tabLine } from '../report/text.js';
import { targetOf } from '../target.js';

export { recover } from '../recovery.js';

/** Prints the run's state and id, once its command has ended. */
export async function run({ flags, operands }: Invocation): Promise<number> {
  const target = targetOf(flags);
  const runId = await findRun(target, operands[0] ?? '');
  let cancelled = await cancelRun(target, { runId, isForced: flags.has('force') });
  if (flags.has('discard') && cancelled.run.state === 'waiting')
    cancelled = { ...cancelled, run: await discardRun(target, runId) };
  const { run: left } = cancelled;
  if (flags.has('json')) {
    process.stdout.write(jsonDocument({ run: runInfoJson(left) }));
    return 0;
  }
  process.stdout.write(tabLine(left.state, left.id));
  if (!flags.has('quiet'))
    for (const line of whatIsLeft(cancelled)) process.stderr.write(`rmtx: ${line}\n`);
  return 0;
}

function whatIsLeft({ run: { id, state }, wasGoingOn }: CancelledRun): string[] {
  return [
    ...(wasGoingOn ? [] : [`the command of run ${id} had ended before`]),
    ...(state === 'waiting'
      ? [
          `its changes wait: rmtx attach ${id} brings them home, rmtx cancel --discard ${id} drops them`,
        ]
      : []),
  ];
}
