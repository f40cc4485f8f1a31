import { pingHost } from '../../client/control.js';
import type { Invocation } from '../arguments.js';
import { jsonDocument } from '../report/json.js';
import { keyValues, tabLine } from '../report/text.js';
import { targetOf } from '../target.js';

export { recover } from '../recovery.js';

export async function run({ flags }: Invocation): Promise<number> {
  const host = await pingHost(targetOf(flags));
  const rttMs = Math.round(host.rttMs * 10) / 10;
  process.stdout.write(
    flags.has('json')
      ? jsonDocument({
          name: host.name,
          address: host.address,
          version: host.version,
          contexts: host.contexts,
          rtt_ms: rttMs,
          fingerprint: host.fingerprint,
          at: host.at,
        })
      : tabLine(
          'online',
          host.name,
          host.address,
          keyValues({
            version: host.version,
            contexts: host.contexts,
            rtt_ms: rttMs,
            fingerprint: host.fingerprint,
          }),
        ),
  );
  return 0;
}
