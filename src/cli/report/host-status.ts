import type { HostStatus } from '../../host/administration.js';
import { formatDuration, formatSize } from '../../util/units.js';
import { renderList, renderTable } from './text.js';

export function hostStatusJson(status: HostStatus): object {
  return {
    running: status.running,
    addresses: status.addresses,
    name: status.name,
    fingerprint: status.fingerprint,
    version: status.version,
    pid: status.pid ?? null,
    uptime_ms: status.uptimeMs,
    clients: status.clients,
    runs: status.runs.map((run) => ({
      id: run.id,
      client: run.client,
      context: run.context,
      state: run.state,
      started_at: run.startedAt,
    })),
    contexts: status.contexts,
    disk: {
      blobs_bytes: status.disk.blobsBytes,
      workspaces_bytes: status.disk.workspacesBytes,
      free_bytes: status.disk.freeBytes,
    },
    processes: status.processes,
    environment: status.environment,
  };
}

/** `all` adds how leftovers of a run are found, and what every command starts with. */
export function hostStatusText(status: HostStatus, extent: 'short' | 'all'): string {
  const { disk } = status;
  const parts = [
    renderList([
      ['running', status.running ? `yes, for ${formatDuration(status.uptimeMs)}` : 'no'],
      ...(status.running
        ? ([
            ['pid', String(status.pid ?? '-')],
            ['address', status.addresses.join(' ')],
          ] as const)
        : []),
      ['name', status.name],
      ['identity', status.fingerprint],
      ['version', status.version],
      ['clients', String(status.clients)],
      ['contexts', String(status.contexts)],
      ['runs', String(status.runs.length)],
      [
        'disk',
        `blobs ${formatSize(disk.blobsBytes)}, workspaces ${formatSize(disk.workspacesBytes)}, free ${formatSize(disk.freeBytes)}`,
      ],
    ]),
  ];
  if (status.runs.length > 0)
    parts.push(
      renderTable(
        ['RUN', 'CLIENT', 'CONTEXT', 'STATE', 'STARTED'],
        status.runs.map((run) => [run.id, run.client, run.context, run.state, run.startedAt]),
      ),
    );
  if (extent === 'all' && status.running) {
    parts.push(renderList([['processes', status.processes]]));
    const names = Object.entries(status.environment).sort(([a], [b]) => (a < b ? -1 : 1));
    parts.push(names.length === 0 ? '' : `environment\n${renderEnvironment(names)}`);
  }
  return parts.filter((part) => part !== '').join('\n');
}

function renderEnvironment(entries: readonly (readonly [string, string])[]): string {
  return renderList(entries).replace(/^(?=.)/gm, '  ');
}
