import { createReadStream, readdirSync, rmSync, statSync, statfsSync } from 'node:fs';
import path from 'node:path';
import { isRmtxError, systemErrorCode } from '../errors.js';
import { BlobStore } from '../store/blob-store.js';
import { isHeld } from '../store/partial-blobs.js';
import { ChangeDecoder } from '../sync/change-codec.js';
import type { Run } from './run.js';
import type { HostServices } from './services.js';

export interface CollectedBlobs {
  readonly deleted: readonly { kind: 'blob' | 'partial'; name: string; path: string }[];
  readonly bytes: number;
  /** A run of this client was going on, so nothing was looked at. */
  readonly isInUse: boolean;
}

/** Blobs that no run needs stay this long, for a branch that is switched back to. */
const KEEP_UNREFERENCED_MS = 24 * 3600 * 1000;
/** A disk with less than this free, and less than this share of it, has no room for what nobody needs. */
const LOW_FREE_BYTES = 20 * 1024 ** 3;
const LOW_FREE_SHARE = 0.1;
/** Even then: what has just been put is about to be used. */
const KEEP_AT_LEAST_MS = 60 * 1000;

/**
 * Removes a client's blobs that no run of it is using. An untouched workspace file needs no blob, so
 * what is here was displaced from a workspace, captured for a client that has it by now, or left by a
 * transfer that was cut.
 */
export async function collectBlobs(
  services: HostServices,
  clientId: string,
  options: {
    readonly isDryRun: boolean;
    readonly olderThanMs: number;
    /** Of transfers that were cut, which go on where they were; as for the others if not given. */
    readonly partialsOlderThanMs?: number;
  },
): Promise<CollectedBlobs> {
  const { paths } = services;
  const needed = await neededByWaitingRuns(services, clientId);
  if (needed === undefined) return { deleted: [], bytes: 0, isInUse: true };
  const directory = path.join(paths.blobs, clientId);
  const store = new BlobStore(directory);
  const deleted: CollectedBlobs['deleted'][number][] = [];
  let bytes = 0;
  // No pause from the look at the runs to here: a run that begins later looks for its blobs later.
  const { olderThanMs, partialsOlderThanMs = olderThanMs } = options;
  for (const garbage of garbageOf(store, { olderThanMs, partialsOlderThanMs })) {
    if (needed.has(garbage.name)) continue;
    if (!options.isDryRun) garbage.remove();
    deleted.push({ kind: garbage.kind, name: garbage.name, path: directory });
    bytes += garbage.bytes;
  }
  // What crashes and bad disks left; nobody asks for it by name.
  if (!options.isDryRun) await store.collect({ isReferenced: () => true, olderThanMs });
  return { deleted, bytes, isInUse: false };
}

/**
 * The blobs of every change set that waits for its client; undefined while a run of it goes on. Nothing has
 * begun and nothing was added to what waits when this resolves.
 */
async function neededByWaitingRuns(
  { runs }: HostServices,
  clientId: string,
): Promise<Set<string> | undefined> {
  const needed = new Set<string>();
  const looked = new Set<string>();
  for (;;) {
    await runs.untilTidied(clientId);
    if (runs.isGoingOn(clientId)) return undefined;
    const run = runs.waitingOf(clientId).find(({ id }) => !looked.has(id));
    if (run === undefined) return needed;
    looked.add(run.id);
    await addBlobsOf(run, needed);
  }
}

/** A change set that cannot be read has nothing to be fetched for. */
async function addBlobsOf({ changeSetFile }: Run, needed: Set<string>): Promise<void> {
  const decoder = new ChangeDecoder();
  try {
    for await (const piece of createReadStream(changeSetFile))
      for (const change of decoder.push(piece as Buffer))
        if (change.type === 'upsert' && change.entry.kind === 'file')
          needed.add(change.entry.digest);
  } catch (error) {
    if (!isRmtxError(error) && systemErrorCode(error) !== 'ENOENT') throw error;
  }
}

/** After a run: a large file that changes every time leaves its older versions, which a day of would fill any disk. */
export async function makeRoom(services: HostServices, clientId: string): Promise<void> {
  try {
    const { bavail, blocks, bsize } = statfsSync(services.paths.blobs);
    if (bavail * bsize >= Math.min(LOW_FREE_BYTES, blocks * bsize * LOW_FREE_SHARE)) return;
    await collectBlobs(services, clientId, {
      isDryRun: false,
      olderThanMs: KEEP_AT_LEAST_MS,
      partialsOlderThanMs: KEEP_UNREFERENCED_MS,
    });
  } catch (error) {
    services.log(`no room is made on a disk that is nearly full: ${String(error)}`);
  }
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

function* garbageOf(
  store: BlobStore,
  age: { readonly olderThanMs: number; readonly partialsOlderThanMs: number },
): Generator<Garbage> {
  const now = Date.now();
  for (const { digest, size, mtimeMs } of store.list())
    if (mtimeMs <= now - age.olderThanMs)
      yield { kind: 'blob', name: digest, bytes: size, remove: () => store.remove(digest) };
  for (const name of store.partials.names()) {
    const file = path.join(store.partials.directory, name);
    const stats = statSync(file, { throwIfNoEntry: false });
    if (stats === undefined || stats.mtimeMs > now - age.partialsOlderThanMs || isHeld(name))
      continue;
    yield { kind: 'partial', name, bytes: stats.size, remove: () => rmSync(file, { force: true }) };
  }
}
