import { listRuns } from '../../client/runs.js';
import type { RunInfo } from '../../client/runs.js';
import type { Invocation } from '../arguments.js';
import { jsonDocument } from '../report/json.js';
import { runInfoJson, runsTable } from '../report/runs.js';
import { targetOf } from '../target.js';

export { recover } from '../recovery.js';

/** How many of those that are settled are shown unasked. */
const SHOWN_SETTLED = 10;

export async function run({ flags }: Invocation): Promise<number> {
  const runs = await listRuns(targetOf(flags));
  const shown = flags.has('all') ? runs : withFewSettled(runs);
  process.stdout.write(
    flags.has('json')
      ? jsonDocument({ runs: shown.map(runInfoJson) })
      : runsTable(shown, { nowMs: Date.now(), columns: columnsOf(process.stdout) }),
  );
  return 0;
}

/** A file or a pipe has no width: nothing is cut for it. */
function columnsOf(stream: NodeJS.WriteStream): number | undefined {
  return stream.isTTY ? stream.columns : undefined;
}

function withFewSettled(runs: readonly RunInfo[]): RunInfo[] {
  const isSettled = ({ state }: RunInfo): boolean => state === 'done' || state === 'lost';
  const shown = new Set(runs.filter(isSettled).slice(0, SHOWN_SETTLED));
  return runs.filter((each) => !isSettled(each) || shown.has(each));
}
