/** The control API of paired clients (ALPN `http/1.1`): versioned JSON, about their own things only. */
import { statfsSync } from 'node:fs';
import type { Fields } from '../util/fields.js';
import { VERSION } from '../version.js';
import { collectBlobs } from './garbage.js';
import { hardwareAddressesAt } from './hardware-addresses.js';
import type { Routes } from './routes.js';
import { runRoutes } from './runs-api.js';
import type { HostServices } from './services.js';

/** The client, and the address of this machine that it connected to. */
export interface Caller {
  readonly id: string;
  readonly localAddress: string | undefined;
}

export function clientRoutes(services: HostServices, caller: Caller): Routes {
  const { contexts, name } = services;
  const clientId = caller.id;
  /** What a run changed does not go with its context: it can still be brought home. */
  const waitingIn = (deleted: readonly { readonly id: string }[]): string[] =>
    deleted.flatMap(({ id }) => services.runs.waitingIn(id).map((run) => run.id));
  return {
    ...runRoutes(services, clientId),
    'GET /v1/stats': () => services.stats.answerTo(clientId),
    // Answered from what is at hand: who asks measures the way here and back.
    'GET /v1/ping': () => ({
      name,
      version: VERSION,
      contexts: contexts.countOf(clientId),
      now: new Date().toISOString(),
      free_bytes: freeBytes(services.paths.root),
      hardware_addresses: hardwareAddressesAt(caller.localAddress),
    }),
    'GET /v1/contexts': async () => ({
      contexts: (await contexts.list(clientId)).map((context) => ({
        id: context.id,
        name: context.name,
        updated_at: context.updatedAt,
        active: context.isActive,
        size_bytes: context.sizeBytes,
        workspace: context.workspace,
      })),
    }),
    // Answered without measuring anything: it is on the way of every `exec --host auto`.
    'POST /v1/contexts/find': (body) => {
      const id = contexts.idOf(clientId, body.string('context_key', 64));
      return { id: id ?? null, has_workspace: id !== undefined && contexts.hasWorkspace(id) };
    },
    'POST /v1/contexts/delete': async (body) => {
      const { deleted, notFound } = await contexts.delete(
        clientId,
        wantedIds(body, services, clientId),
      );
      return {
        deleted: deleted.map(({ id, name: shown }) => ({ id, name: shown })),
        not_found: notFound,
        waiting_runs: waitingIn(deleted),
      };
    },
    'POST /v1/contexts/prune': async (body) => {
      const olderThanMs = body.integer('older_than_ms', 0);
      const deleted = await contexts.prune(clientId, new Date(Date.now() - olderThanMs));
      return {
        deleted: deleted.map(({ id, name: shown }) => ({ id, name: shown })),
        waiting_runs: waitingIn(deleted),
      };
    },
    'POST /v1/cache/prune': async (body) => {
      const isDryRun = body.boolean('dry_run');
      const collected = await collectBlobs(services, clientId, { isDryRun, olderThanMs: 0 });
      const { deleted, bytes, isInUse } = collected;
      return { deleted, bytes, in_use: isInUse };
    },
  };
}

function wantedIds(body: Fields, services: HostServices, clientId: string): string[] {
  const key = body.optionalString('context_key', 64);
  if (key === undefined) return body.strings('ids', 1000, 200);
  const id = services.contexts.idOf(clientId, key);
  return id === undefined ? [] : [id];
}

/** What this user may still write. */
function freeBytes(directory: string): number {
  const { bavail, bsize } = statfsSync(directory);
  return bavail * bsize;
}
