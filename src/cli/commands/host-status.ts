import { hostStatus } from '../../host/administration.js';
import { localAddresses } from '../../util/local-addresses.js';
import type { Invocation } from '../arguments.js';
import { stateDirectoryOf } from '../host-settings.js';
import { hostStatusJson, hostStatusText } from '../report/host-status.js';
import { jsonDocument } from '../report/json.js';

/** Says what is, running or not: both are answers, so both are 0. */
export async function run({ flags }: Invocation): Promise<number> {
  const status = await hostStatus(stateDirectoryOf(flags));
  process.stdout.write(
    flags.has('json')
      ? jsonDocument(hostStatusJson(status))
      : hostStatusText(status, {
          extent: flags.has('verbose') ? 'all' : 'short',
          local: localAddresses(),
          nowMs: Date.now(),
        }),
  );
  return 0;
}
