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
      ? jsonDocument({ dry_run: isDryRun, local, host })
      : tabLine(verb, total, `bytes=${local.bytes + host.bytes}`),
  );
  return 0;
}
