import { openPairCode } from '../../host/administration.js';
import { localAddresses } from '../../util/local-addresses.js';
import type { Invocation } from '../arguments.js';
import { DEFAULT_PAIRING_TTL_MS, stateDirectoryOf } from '../host-settings.js';
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
  if (process.stderr.isTTY)
    process.stderr.write(`rmtx: this machine is at ${localAddresses().join(', ')}\n`);
  return 0;
}
