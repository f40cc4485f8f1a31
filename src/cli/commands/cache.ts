import { pruneCache } from '../../client/control.js';
import type { PrunedCache } from '../../client/control.js';
import type { Invocation } from '../arguments.js';
import { jsonDocument } from '../report/json.js';
import { tabLine } from '../report/text.js';
import { targetOf } from '../target.js';

export { recover } from '../recovery.js';

/** What was freed here is said at once: it holds also where the host cannot be reached after it. */
export async function run({ flags }: Invocation): Promise<number> {
  const isDryRun = flags.has('dry-run');
  const isJson = flags.has('json');
  const verb = isDryRun ? 'would-delete' : 'deleted';
  const list = ({ deleted }: PrunedCache['local' | 'host']): void => {
    if (isJson) return;
    for (const item of deleted)
      process.stdout.write(tabLine(verb, item.kind, item.name, item.path));
  };
  const { local, host } = await pruneCache(targetOf(flags), { isDryRun, onLocal: list });
  list(host);
  const total = String(local.deleted.length + host.deleted.length);
  process.stdout.write(
    isJson
      ? jsonDocument({
          dry_run: isDryRun,
          local,
          host: { deleted: host.deleted, bytes: host.bytes, in_use: host.isInUse },
        })
      : tabLine(verb, total, `bytes=${local.bytes + host.bytes}`),
  );
  if (host.isInUse && !isJson && !flags.has('quiet'))
    process.stderr.write('rmtx: a run is going on, so nothing was looked at on the host\n');
  return 0;
}
