/** What the same user's commands ask the running host through its control socket. */
import { statfsSync } from 'node:fs';
import { processMechanism } from '../runtime/process-tree.js';
import { treeSize } from '../util/tree-size.js';
import { VERSION } from '../version.js';
import type { Routes } from './routes.js';
import type { HostServices } from './services.js';
import { commandLine } from './stats.js';
import type { PairingService } from './pairing-service.js';
import { RmtxError } from '../errors.js';
import { printable } from '../util/printable.js';

export interface AdminOptions {
  readonly services: HostServices;
  readonly pairing: PairingService;
  readonly fingerprint: string;
  readonly addresses: () => readonly string[];
  /** Ends what a client has going on; returns how many connections were closed. */
  readonly closeConnections: (fingerprint: string) => number;
}

export function adminRoutes(options: AdminOptions): Routes {
  const { services, pairing } = options;
  const { trust } = services;
  const startedAt = Date.now();
  return {
    'POST /v1/pair-code': async (body) => {
      const opened = await pairing.open({
        ttlMs: body.integer('ttl_ms', 1000, 24 * 3600 * 1000),
        label: body.optionalString('label', 64),
      });
      return { code: opened.code, expires_at: opened.expiresAt.toISOString() };
    },
    'POST /v1/clients/revoke': (body) => {
      const client = trust.find(body.string('client', 200));
      if (client === undefined) throw unknownClient(body.string('client', 200));
      trust.revoke(client.id);
      services.runs.endRunsOf(client.id);
      services.log(`client ${client.id} (${printable(client.label)}) revoked`);
      return {
        id: client.id,
        label: client.label,
        closed_connections: options.closeConnections(client.fingerprint),
      };
    },
    'GET /v1/status': async () => ({
      running: true,
      name: services.name,
      version: VERSION,
      pid: process.pid,
      uptime_ms: Date.now() - startedAt,
      addresses: options.addresses(),
      fingerprint: options.fingerprint,
      clients: trust.list().length,
      contexts: services.contexts.count(),
      runs: services.runs
        .list()
        .filter(({ state }) => state !== 'done' && state !== 'lost')
        .map((run) => ({
          id: run.id,
          client: run.clientId,
          client_label: trust.find(run.clientId)?.label ?? null,
          context: run.contextId,
          state: run.state,
          started_at: run.startedAt,
          command_line: commandLine(run.command),
        })),
      disk: await diskUse(services),
      processes: processMechanism(),
      keeps_awake: services.stayAwake.status,
      environment: await services.baseEnvironment,
    }),
  };
}

async function diskUse(services: HostServices): Promise<object> {
  const free = statfsSync(services.paths.root);
  return {
    blobs_bytes: await treeSize(services.paths.blobs),
    workspaces_bytes: await treeSize(services.paths.workspaces),
    free_bytes: free.bavail * free.bsize,
  };
}

export function unknownClient(named: string): RmtxError {
  return new RmtxError('ERR_RMTX_CLIENT_NOT_FOUND', `no paired client ${printable(named)}`, {
    hint: 'rmtx host clients list shows their ids and labels',
  });
}
