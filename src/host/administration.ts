/**
 * The `rmtx host …` subcommands: they ask the running host through its control socket, and work on the
 * state directory themselves where none runs.
 */
import http from 'node:http';
import os from 'node:os';
import { RmtxError, systemErrorCode } from '../errors.js';
import { messageFields } from '../protocol/bad-message.js';
import type { Fields } from '../util/fields.js';
import { parseWireError } from '../protocol/wire-error.js';
import { loadOrCreateIdentity } from '../trust/identity.js';
import { safeLabel } from '../trust/label.js';
import { MAX_WINDOW_TTL_MS } from '../trust/pairing-window.js';
import { savePendingWindow } from '../trust/pending-window.js';
import { TrustStore } from '../trust/trust-store.js';
import type { TrustedClient } from '../trust/trust-store.js';
import { treeSize } from '../util/tree-size.js';
import { VERSION } from '../version.js';
import { unknownClient } from './admin-api.js';
import { Contexts } from './contexts.js';
import { openStateDirectory } from './state-directory.js';
import type { AwakeStatus } from './stay-awake.js';
import { statfsSync } from 'node:fs';

const MIN_TTL_MS = 1000;

export interface OpenedPairCode {
  readonly code: string;
  readonly host: string;
  readonly fingerprint: string;
  readonly expiresAt: Date;
  readonly isHostRunning: boolean;
  /** Where the running host listens. */
  readonly addresses: readonly string[];
}

/** Opens a pairing window on the running host, or leaves one for the next start. */
export async function openPairCode(
  stateDirectory: string,
  options: { readonly ttlMs: number; readonly label?: string | undefined },
): Promise<OpenedPairCode> {
  if (options.ttlMs < MIN_TTL_MS || options.ttlMs > MAX_WINDOW_TTL_MS)
    throw new RmtxError('ERR_RMTX_BAD_ARGUMENT', 'a pairing code lives from 1 second to 24 hours');
  const paths = openStateDirectory(stateDirectory);
  const identity = loadOrCreateIdentity(paths.identity);
  const status = await ask(paths.controlSocket, 'GET /v1/status');
  const common = {
    fingerprint: identity.fingerprint,
    host: status?.string('name') ?? os.hostname(),
    addresses: status?.strings('addresses', 100) ?? [],
  };
  if (status !== undefined) {
    const answer = await ask(paths.controlSocket, 'POST /v1/pair-code', {
      ttl_ms: options.ttlMs,
      label: options.label === undefined ? null : safeLabel(options.label),
    });
    if (answer !== undefined)
      return {
        ...common,
        code: answer.string('code', 16),
        expiresAt: new Date(answer.string('expires_at', 64)),
        isHostRunning: true,
      };
  }
  const { code, expiresAt } = await savePendingWindow(paths.root, options);
  return { ...common, code, expiresAt, isHostRunning: false };
}

export function listClients(stateDirectory: string): TrustedClient[] {
  return openTrust(stateDirectory).list();
}

/** Takes a client's trust away and closes what it has open. */
export async function revokeClient(
  stateDirectory: string,
  named: string,
): Promise<{ id: string; label: string; closedConnections: number }> {
  const paths = openStateDirectory(stateDirectory);
  const answer = await ask(paths.controlSocket, 'POST /v1/clients/revoke', { client: named });
  if (answer !== undefined)
    return {
      id: answer.string('id', 200),
      label: answer.string('label', 200),
      closedConnections: answer.integer('closed_connections', 0),
    };
  const trust = openTrust(stateDirectory);
  const client = trust.find(named);
  if (client === undefined) throw unknownClient(named);
  trust.revoke(client.id);
  return { id: client.id, label: client.label, closedConnections: 0 };
}

/**
 * The label as it is kept: it may have been cut. The running host reads its trust store anew when it
 * changes, so this needs no message to it.
 */
export function renameClient(
  stateDirectory: string,
  named: string,
  label: string,
): { id: string; label: string } {
  const trust = openTrust(stateDirectory);
  const client = trust.find(named);
  if (client === undefined) throw unknownClient(named);
  return trust.rename(client.id, label);
}

export interface HostStatus {
  readonly running: boolean;
  readonly addresses: readonly string[];
  readonly name: string;
  readonly fingerprint: string;
  readonly version: string;
  readonly pid: number | undefined;
  readonly uptimeMs: number;
  readonly clients: number;
  readonly runs: readonly {
    id: string;
    client: string;
    /** Undefined where the client is not paired any more. */
    clientLabel: string | undefined;
    context: string;
    state: string;
    startedAt: string;
    /** May be cut. */
    commandLine: string;
  }[];
  readonly contexts: number;
  readonly disk: { blobsBytes: number; workspacesBytes: number; freeBytes: number };
  /** How leftovers of a run are found on this system. */
  readonly processes: string;
  /** Whether a run keeps this machine from sleeping; undefined while no host runs. */
  readonly keepsAwake: AwakeStatus | undefined;
  /** What every command starts with. */
  readonly environment: Readonly<Record<string, string>>;
}

export async function hostStatus(stateDirectory: string): Promise<HostStatus> {
  const paths = openStateDirectory(stateDirectory);
  const answer = await ask(paths.controlSocket, 'GET /v1/status');
  if (answer === undefined) return stoppedStatus(stateDirectory);
  const disk = answer.object('disk');
  return {
    running: true,
    addresses: answer.strings('addresses', 100),
    name: answer.string('name'),
    fingerprint: answer.string('fingerprint'),
    version: answer.string('version'),
    pid: answer.integer('pid', 1),
    uptimeMs: answer.integer('uptime_ms', 0),
    clients: answer.integer('clients', 0),
    runs: answer.objects('runs', 100_000).map((run) => ({
      id: run.string('id'),
      client: run.string('client'),
      clientLabel: run.optionalString('client_label'),
      context: run.string('context'),
      state: run.string('state'),
      startedAt: run.string('started_at'),
      commandLine: run.string('command_line'),
    })),
    contexts: answer.integer('contexts', 0),
    disk: {
      blobsBytes: disk.integer('blobs_bytes', 0),
      workspacesBytes: disk.integer('workspaces_bytes', 0),
      freeBytes: disk.integer('free_bytes', 0),
    },
    processes: answer.string('processes'),
    keepsAwake: parseAwakeStatus(answer.object('keeps_awake')),
    environment: Object.fromEntries(answer.stringMap('environment', 1000)),
  };
}

async function stoppedStatus(stateDirectory: string): Promise<HostStatus> {
  const paths = openStateDirectory(stateDirectory);
  const free = statfsSync(paths.root);
  return {
    running: false,
    addresses: [],
    name: os.hostname(),
    fingerprint: loadOrCreateIdentity(paths.identity).fingerprint,
    version: VERSION,
    pid: undefined,
    uptimeMs: 0,
    clients: openTrust(stateDirectory).list().length,
    runs: [],
    contexts: new Contexts(paths, () => undefined).count(),
    disk: {
      blobsBytes: await treeSize(paths.blobs),
      workspacesBytes: await treeSize(paths.workspaces),
      freeBytes: free.bavail * free.bsize,
    },
    processes: '',
    keepsAwake: undefined,
    environment: {},
  };
}

function parseAwakeStatus(fields: Fields): AwakeStatus {
  return {
    state: fields.oneOf('state', ['off', 'ready', 'held', 'cannot'] as const),
    scope: fields.has('scope') ? fields.oneOf('scope', ['all', 'idle'] as const) : undefined,
    reason: fields.optionalString('reason'),
  };
}

function openTrust(stateDirectory: string): TrustStore {
  return new TrustStore(openStateDirectory(stateDirectory).clients, { log: () => undefined });
}

/** Asks the running host; undefined where none is running. Throws what the host answers as an error. */
function ask(socketPath: string, route: string, body?: object): Promise<Fields | undefined> {
  const [method = '', path = ''] = route.split(' ');
  return new Promise((resolve, reject) => {
    const request = http.request({ socketPath, method, path }, (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('end', () => {
        try {
          const value: unknown = JSON.parse(Buffer.concat(parts).toString('utf8'));
          const fields = messageFields(value, 'answer');
          if (response.statusCode === 200) resolve(fields);
          else reject(parseWireError(fields.raw('error')));
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)));
        }
      });
    });
    request.on('error', (error) => {
      if (['ENOENT', 'ECONNREFUSED'].includes(systemErrorCode(error) ?? '')) resolve(undefined);
      else
        reject(
          new RmtxError(
            'ERR_RMTX_HOST_NOT_RUNNING',
            `cannot talk to the running host (${error.message})`,
            {
              cause: error,
            },
          ),
        );
    });
    request.end(body === undefined ? undefined : JSON.stringify(body));
  });
}
