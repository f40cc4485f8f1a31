import { DEFAULT_DISCOVERY } from '../../config/resolved-config.js';
import type { Invocation } from '../arguments.js';
import { pairAt, pairingTarget } from '../pairing.js';
import { jsonDocument } from '../report/json.js';
import { tabLine } from '../report/text.js';
import { configIfAny } from '../target.js';

export { recover } from '../recovery.js';

export async function run({ flags }: Invocation): Promise<number> {
  // With `--host` the person names the host; the config's pin belongs to the config's host.
  const config = flags.has('host') ? undefined : configIfAny(flags);
  const target = await pairingTarget(flags, {
    address: config?.host,
    fingerprint: config?.hostFingerprint,
    discovery: config?.discovery ?? DEFAULT_DISCOVERY,
  });
  const { name, address, fingerprint } = await pairAt(target, flags);
  process.stdout.write(
    flags.has('json')
      ? jsonDocument({ paired: { name, address, fingerprint } })
      : tabLine('paired', name, address, fingerprint),
  );
  return 0;
}
