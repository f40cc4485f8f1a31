import { readdirSync } from 'node:fs';
import path from 'node:path';
import { BlobStore } from '../store/blob-store.js';
import type { HostServices } from './services.js';

export interface CollectedBlobs {
  readonly deleted: readonly { kind: 'blob'; name: string; path: string }[];
  readonly bytes: number;
}

/** Blobs that no run needs stay this long, for a branch that is switched back to. */
const KEEP_UNREFERENCED_MS = 24 * 3600 * 1000;

/**
 * Removes a client's blobs that no run of it is using. An untouched workspace file needs no blob, so
 * what is here was displaced from a workspace or captured for a client that has it by now.
 */
export function collectBlobs(
  services: HostServices,
  clientId: string,
  options: { readonly isDryRun: boolean; readonly olderThanMs: number },
): CollectedBlobs {
  const isInUse = services.runs.list().some((run) => run.clientId === clientId);
  if (isInUse) return { deleted: [], bytes: 0 };
  const directory = path.join(services.paths.blobs, clientId);
  const store = new BlobStore(directory);
  const limit = Date.now() - options.olderThanMs;
  const deleted: CollectedBlobs['deleted'][number][] = [];
  let bytes = 0;
  for (const blob of store.list()) {
    if (blob.mtimeMs > limit) continue;
    if (!options.isDryRun) store.remove(blob.digest);
    deleted.push({ kind: 'blob', name: blob.digest, path: directory });
    bytes += blob.size;
  }
  return { deleted, bytes };
}

/** The regular sweep: what has been unused for a day goes by itself. */
export function collectOldBlobs(services: HostServices): void {
  for (const clientId of readdirSync(services.paths.blobs))
    collectBlobs(services, clientId, { isDryRun: false, olderThanMs: KEEP_UNREFERENCED_MS });
}
