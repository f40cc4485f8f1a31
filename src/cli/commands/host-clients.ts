import { listClients, renameClient, revokeClient } from '../../host/administration.js';
import type { Invocation } from '../arguments.js';
import { stateDirectoryOf } from '../host-settings.js';
import { jsonDocument } from '../report/json.js';
import { renderTable, tabLine } from '../report/text.js';

export async function run({ command, flags, operands }: Invocation): Promise<number> {
  const stateDirectory = stateDirectoryOf(flags);
  const isJson = flags.has('json');
  const [client = '', label = ''] = operands;
  switch (command.name) {
    case 'host clients revoke':
      process.stdout.write(await revoke({ stateDirectory, client, isJson }));
      return 0;
    case 'host clients rename':
      process.stdout.write(rename({ stateDirectory, client, isJson }, label));
      return 0;
    default:
      process.stdout.write(list(stateDirectory, isJson ? 'json' : 'text'));
      return 0;
  }
}

function list(stateDirectory: string, form: 'json' | 'text'): string {
  const clients = listClients(stateDirectory);
  if (form === 'json')
    return jsonDocument({
      clients: clients.map((client) => ({
        id: client.id,
        fingerprint: client.fingerprint,
        label: client.label,
        role: client.role,
        paired_at: client.pairedAt,
        last_seen: client.lastSeen ?? null,
      })),
    });
  return renderTable(
    ['ID', 'LABEL', 'ROLE', 'PAIRED', 'LAST SEEN', 'FINGERPRINT'],
    clients.map((client) => [
      client.id,
      client.label,
      client.role,
      client.pairedAt,
      client.lastSeen ?? '-',
      client.fingerprint,
    ]),
  );
}

interface OneClient {
  readonly stateDirectory: string;
  readonly client: string;
  readonly isJson: boolean;
}

async function revoke({ stateDirectory, client, isJson }: OneClient): Promise<string> {
  const { id, label, closedConnections } = await revokeClient(stateDirectory, client);
  return isJson
    ? jsonDocument({ revoked: { id, label, closed_connections: closedConnections } })
    : tabLine('revoked', id, label);
}

function rename(one: OneClient, newLabel: string): string {
  const { id, label } = renameClient(one.stateDirectory, one.client, newLabel);
  return one.isJson ? jsonDocument({ renamed: { id, label } }) : tabLine('renamed', id, label);
}
