import { openPairCode } from '../../host/administration.js';
import { DEFAULT_PORT } from '../../transport/address.js';
import { localAddresses } from '../../util/local-addresses.js';
import type { Invocation } from '../arguments.js';
import { DEFAULT_PAIRING_TTL_MS, stateDirectoryOf } from '../host-settings.js';
import { dialableAddresses, pairCodeLines } from '../report/host-text.js';
import { jsonDocument } from '../report/json.js';
import { keyValues } from '../report/text.js';

export async function run({ flags }: Invocation): Promise<number> {
  const label = flags.text('label');
  const opened = await openPairCode(stateDirectoryOf(flags), {
    ttlMs: flags.durationMs('ttl') ?? DEFAULT_PAIRING_TTL_MS,
    ...(label === undefined ? {} : { label }),
  });
  const shown = {
    code: opened.code,
    host: opened.host,
    fingerprint: opened.fingerprint,
    expires: opened.expiresAt.toISOString(),
  };
  process.stdout.write(flags.has('json') ? jsonDocument(shown) : `${keyValues(shown)}\n`);
  if (flags.has('quiet')) return 0;
  if (!opened.isHostRunning)
    process.stderr.write(
      'rmtx: no host runs here: start it with rmtx host before the code expires\n',
    );
  if (process.stderr.isTTY && !flags.has('json')) {
    // Without a host nobody knows yet where it will listen: most likely everywhere, as by default.
    const listening = opened.isHostRunning ? opened.addresses : [`[::]:${DEFAULT_PORT}`];
    for (const line of pairCodeLines(dialableAddresses(listening, localAddresses())))
      process.stderr.write(`rmtx: ${line}\n`);
  }
  return 0;
}
