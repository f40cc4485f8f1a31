import { readdirSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { BlobStore } from '../store/blob-store.js';
import { isHeld } from '../store/partial-blobs.js';
import type { HostServices } from './services.js';

export interface CollectedBlobs {
  readonly deleted: readonly { kind: 'blob' | 'partial'; name: string; path: string }[];
  readonly bytes: number;
  /** A run of this client was going on, so nothing was looked at. */
  readonly isInUse: boolean;
}

/** Blobs that no run needs stay this long, for a branch that is switched back to. */
const KEEP_UNREFERENCED_MS = 24 * 3600 * 1000;

/**
 * Removes a client's blobs that no run of it is using. An untouched workspace file needs no blob, so
 * what is here was displaced from a workspace, captured for a client that has it by now, or left by a
 * transfer that was cut.
 */
export async function collectBlobs(
  services: HostServices,
  clientId: string,
  options: { readonly isDryRun: boolean; readonly olderThanMs: number },
): Promise<CollectedBlobs> {
  const { runs, paths } = services;
  await runs.untilTidied(clientId);
  if (runs.list().some((run) => run.clientId === clientId))
    return { deleted: [], bytes: 0, isInUse: true };
  const directory = path.join(paths.blobs, clientId);
  const store = new BlobStore(directory);
  const deleted: CollectedBlobs['deleted'][number][] = [];
  let bytes = 0;
  // No pause from the look at the runs to here: a run that begins later looks for its blobs later.
  for (const garbage of garbageOf(store, Date.now() - options.olderThanMs)) {
    if (!options.isDryRun) garbage.remove();
    deleted.push({ kind: garbage.kind, name: garbage.name, path: directory });
    bytes += garbage.bytes;
  }
  // What crashes and bad disks left; nobody asks for it by name.
  if (!options.isDryRun)
    await store.collect({ isReferenced: () => true, olderThanMs: options.olderThanMs });
  return { deleted, bytes, isInUse: false };
}

/** The regular sweep: what has been unused for a day goes by itself. */
export async function collectOldBlobs(services: HostServices): Promise<void> {
  try {
    for (const clientId of readdirSync(services.paths.blobs))
      await collectBlobs(services, clientId, {
        isDryRun: false,
        olderThanMs: KEEP_UNREFERENCED_MS,
      });
  } catch (error) {
    // The next one comes in an hour; a host that cannot tidy up can still serve.
    services.log(`old blobs are not removed: ${String(error)}`);
  }
}

interface Garbage {
  readonly kind: 'blob' | 'partial';
  readonly name: string;
  readonly bytes: number;
  readonly remove: () => void;
}

function* garbageOf(store: BlobStore, newestMs: number): Generator<Garbage> {
  for (const { digest, size, mtimeMs } of store.list())
    if (mtimeMs <= newestMs)
      yield { kind: 'blob', name: digest, bytes: size, remove: () => store.remove(digest) };
  for (const name of store.partials.names()) {
    const file = path.join(store.partials.directory, name);
    const stats = statSync(file, { throwIfNoEntry: false });
    if (stats === undefined || stats.mtimeMs > newestMs || isHeld(name)) continue;
    yield { kind: 'partial', name, bytes: stats.size, remove: () => rmSync(file, { force: true }) };
  }
}
