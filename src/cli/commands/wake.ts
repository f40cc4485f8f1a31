import { openClientHome } from '../../client/home.js';
import { findSleepingHost, sendWake, wakeHost } from '../../client/wake.js';
import { printable } from '../../util/printable.js';
import type { Invocation } from '../arguments.js';
import { jsonDocument } from '../report/json.js';
import { ProgressLine } from '../report/progress.js';
import { keyValues, tabLine } from '../report/text.js';
import { configIfAny, warningsFor } from '../target.js';

const DEFAULT_TIMEOUT_MS = 60_000;

export async function run({ flags, operands }: Invocation): Promise<number> {
  const target = {
    home: openClientHome(),
    host: operands[0],
    config: configIfAny(flags),
    warn: warningsFor(flags),
  };
  const host = findSleepingHost(target);
  const isJson = flags.has('json');
  const about = {
    name: host.name,
    fingerprint: host.fingerprint,
    hardware_addresses: host.hardwareAddresses,
  };
  if (flags.has('no-wait')) {
    const packets = await sendWake(host);
    process.stdout.write(
      isJson
        ? jsonDocument({ ...about, state: 'sent', packets })
        : tabLine('sent', host.name, host.hardwareAddresses.join(' '), keyValues({ packets })),
    );
    return 0;
  }
  const progress = new ProgressLine({
    write: (text) => process.stderr.isTTY && !flags.has('quiet') && process.stderr.write(text),
    columns: () => process.stderr.columns,
    now: () => performance.now(),
  });
  progress.begin('wake', `waking ${printable(host.name)}`);
  try {
    const timeoutMs = flags.durationMs('timeout') ?? DEFAULT_TIMEOUT_MS;
    const { address, waitedMs, packets } = await wakeHost(host, { target, timeoutMs });
    progress.stop();
    const facts = { waited_ms: waitedMs, packets };
    process.stdout.write(
      isJson
        ? jsonDocument({ ...about, state: 'awake', address, ...facts })
        : tabLine('awake', host.name, address, keyValues(facts)),
    );
    return 0;
  } finally {
    progress.stop();
  }
}
