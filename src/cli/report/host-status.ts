import type { HostStatus } from '../../host/administration.js';
import { printable } from '../../util/printable.js';
import { formatDuration, formatSize } from '../../util/units.js';
import { dialableAddresses } from './host-text.js';
import { cutTo } from './spans.js';
import { ageText, renderList, renderTable } from './text.js';

const COMMAND_COLUMNS = 60;

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
      client_label: run.clientLabel ?? null,
      context: run.context,
      state: run.state,
      started_at: run.startedAt,
      command_line: run.commandLine,
    })),
    contexts: status.contexts,
    disk: {
      blobs_bytes: status.disk.blobsBytes,
      workspaces_bytes: status.disk.workspacesBytes,
      free_bytes: status.disk.freeBytes,
    },
    processes: status.processes,
    keeps_awake: awakeJson(status.keepsAwake),
    environment: status.environment,
  };
}

export interface StatusView {
  /** `all` adds how leftovers of a run are found, and what every command starts with. */
  readonly extent: 'short' | 'all';
  /** The machine's own addresses. */
  readonly local: readonly string[];
  readonly nowMs: number;
}

export function hostStatusText(status: HostStatus, view: StatusView): string {
  const { disk } = status;
  const parts = [
    renderList([
      ['running', status.running ? `yes, for ${formatDuration(status.uptimeMs)}` : 'no'],
      ...(status.running
        ? ([
            ['pid', String(status.pid ?? '-')],
            ['address', dialableAddresses(status.addresses, view.local).join(' ')],
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
      ...awakeRow(status.keepsAwake),
    ]),
  ];
  if (status.runs.length > 0)
    parts.push(
      renderTable(
        ['RUN', 'CLIENT', 'STATE', 'AGE', 'COMMAND', 'CONTEXT'],
        status.runs.map((run) => [
          run.id,
          run.clientLabel ?? run.client,
          run.state,
          ageText(view.nowMs - Date.parse(run.startedAt)),
          cutTo(printable(run.commandLine), COMMAND_COLUMNS),
          run.context,
        ]),
      ),
    );
  if (view.extent === 'all' && status.running) {
    parts.push(renderList([['processes', status.processes]]));
    const names = Object.entries(status.environment).sort(([a], [b]) => (a < b ? -1 : 1));
    parts.push(names.length === 0 ? '' : `environment\n${renderEnvironment(names)}`);
  }
  return parts.filter((part) => part !== '').join('\n');
}

function awakeJson(awake: HostStatus['keepsAwake']): object | null {
  if (awake === undefined) return null;
  return { state: awake.state, scope: awake.scope ?? null, reason: awake.reason ?? null };
}

function awakeRow(awake: HostStatus['keepsAwake']): (readonly [string, string])[] {
  if (awake === undefined) return [];
  const { state, scope, reason } = awake;
  if (state === 'off') return [['keeps awake', 'no: --no-keep-awake']];
  if (state === 'cannot') return [['keeps awake', `cannot: ${reason ?? 'unknown'}`]];
  const when = state === 'held' ? 'yes, a run is active' : 'while a run is active';
  const limits = scope === 'idle' ? '; only from idling into sleep' : '';
  return [['keeps awake', `${when}${limits}${reason === undefined ? '' : ` (${reason})`}`]];
}

function renderEnvironment(entries: readonly (readonly [string, string])[]): string {
  return renderList(entries).replace(/^(?=.)/gm, '  ');
}
