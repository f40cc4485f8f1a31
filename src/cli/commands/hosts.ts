import { openClientHome } from '../../client/home.js';
import { surveyHosts } from '../../client/host-survey.js';
import { forgetHost } from '../../client/hosts.js';
import { RmtxError } from '../../errors.js';
import { formatDuration } from '../../util/units.js';
import type { FlagValues, Invocation } from '../arguments.js';
import { jsonDocument } from '../report/json.js';
import { surveyedHostJson, surveyedHostsTable } from '../report/surveyed-hosts.js';
import { tabLine } from '../report/text.js';
import { warningsFor } from '../target.js';

export { recover } from '../recovery.js';

/**
 * Time for a host that is asleep behind a slow link, and for the quarter second in which one that nobody
 * has asked lately measures itself; not more than a person waits for a list.
 */
const USUAL_BUDGET_MS = 1500;
const MAX_BUDGET_MS = 600_000;

export async function run({ command, flags, operands }: Invocation): Promise<number> {
  if (command.name === 'hosts list') return list(flags);
  process.stdout.write(forget(operands[0] ?? '', flags.has('json')));
  return 0;
}

async function list(flags: FlagValues): Promise<number> {
  const budgetMs = flags.durationMs('timeout') ?? USUAL_BUDGET_MS;
  if (budgetMs < 1 || budgetMs > MAX_BUDGET_MS)
    throw new RmtxError(
      'ERR_RMTX_BAD_FLAG',
      `--timeout ${formatDuration(budgetMs)} is out of range`,
      {
        hint: 'from 1ms to 10m',
      },
    );
  const hosts = await surveyHosts(openClientHome(), {
    budgetMs,
    warn: warningsFor(flags),
  });
  const extent = flags.has('verbose') ? 'all' : 'short';
  const text = flags.has('json')
    ? jsonDocument({ hosts: hosts.map(surveyedHostJson) })
    : surveyedHostsTable(hosts, { nowMs: Date.now(), extent });
  await new Promise((resolve) => process.stdout.write(text, resolve));
  if (hosts.length === 0 && !flags.has('json') && !flags.has('quiet'))
    process.stderr.write("rmtx: no host is paired yet: run rmtx init in a project's top folder\n");
  // The system may still be looking up the name of one that is off: that cannot be called back, and a
  // process would stay for it.
  return process.exit(0);
}

function forget(named: string, isJson: boolean): string {
  const { name, fingerprint } = forgetHost(openClientHome(), named);
  return isJson
    ? jsonDocument({ forgotten: { name, fingerprint } })
    : tabLine('forgotten', name, fingerprint);
}
