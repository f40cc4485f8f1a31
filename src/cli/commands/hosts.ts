import { openClientHome } from '../../client/home.js';
import { forgetHost, listKnownHosts } from '../../client/hosts.js';
import type { FlagValues, Invocation } from '../arguments.js';
import { jsonDocument } from '../report/json.js';
import { renderTable, tabLine } from '../report/text.js';
import { warningsFor } from '../target.js';

export { recover } from '../recovery.js';

export function run({ command, flags, operands }: Invocation): Promise<number> {
  const isJson = flags.has('json');
  process.stdout.write(
    command.name === 'hosts forget' ? forget(operands[0] ?? '', isJson) : list(flags),
  );
  return Promise.resolve(0);
}

function list(flags: FlagValues): string {
  const isJson = flags.has('json');
  const hosts = listKnownHosts(openClientHome(), { warn: warningsFor(flags) });
  if (isJson)
    return jsonDocument({
      hosts: hosts.map(({ name, fingerprint, address, pairedAt, lastSeen }) => ({
        name,
        fingerprint,
        address,
        paired_at: pairedAt,
        last_seen: lastSeen ?? null,
      })),
    });
  return renderTable(
    ['NAME', 'ADDRESS', 'PAIRED', 'LAST SEEN', 'FINGERPRINT'],
    hosts.map((host) => [
      host.name,
      host.address,
      host.pairedAt,
      host.lastSeen ?? '-',
      host.fingerprint,
    ]),
  );
}

function forget(named: string, isJson: boolean): string {
  const { name, fingerprint } = forgetHost(openClientHome(), named);
  return isJson
    ? jsonDocument({ forgotten: { name, fingerprint } })
    : tabLine('forgotten', name, fingerprint);
}
