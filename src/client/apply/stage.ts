/**
 * Gets everything that a plan will put in place ready to be renamed there. The tree is not touched; an
 * error leaves only what `Transaction.discard` removes.
 */
import { symlinkSync } from 'node:fs';
import { RmtxError } from '../../errors.js';
import type { BlobSink } from '../../protocol/blob-receiver.js';
import type { Digest } from '../../store/digest.js';
import type { Problem, WorkspacePath } from '../../sync/entry.js';
import { toFsPath } from '../../util/path-bytes.js';
import type { AnchoredRoot } from '../../util/safe-path.js';
import { copyLocalContent } from './local-content.js';
import { isStaged } from './operations.js';
import { partialsOf } from './partial-files.js';
import type { Operation, StagedOperation } from './operations.js';
import type { StageAreas } from './stage-areas.js';
import { StageSink } from './stage-sink.js';
import type { WantedFile } from './stage-sink.js';
import type { Transaction } from './transaction.js';

export interface WantedBlob {
  readonly digest: Digest;
  readonly size: number;
  /** The file in the project that may hold an older version, for whoever shows what is fetched. */
  readonly basisPath?: WorkspacePath;
}

/** Fetches blobs into a sink; resolves when each has arrived there or is gone. */
export type FetchBlobs = (wanted: readonly WantedBlob[], sink: BlobSink) => Promise<void>;

export interface StageOptions {
  readonly transaction: Transaction;
  readonly areas: StageAreas;
  readonly root: AnchoredRoot;
  readonly fetch: FetchBlobs;
}

export interface StagedPlan {
  /** The plan's, each with its place in the stage; without those whose content is nowhere. */
  readonly operations: Operation[];
  readonly problems: Problem[];
}

/**
 * Throws DISK_FULL where there is no room, BLOB_MISSING where `fetch` ended too early, and what `fetch`
 * throws.
 */
export async function stageContent(
  planned: readonly Operation[],
  options: StageOptions,
): Promise<StagedPlan> {
  const { areas, root, transaction, fetch } = options;
  const operations = planned.map((operation, slot) => assignPlace(operation, slot, areas));
  areas.checkSpace();
  const wanted = new Map<Digest, WantedFile[]>();
  for (const operation of operations) stageLinkOrWant(operation, areas, wanted);
  const copied = await copyLocalContent(operations, wanted, { areas, root });
  const blobs = blobsToFetch(operations, copied);
  const sink = new StageSink({
    areas,
    root,
    partials: partialsOf(transaction.clientHome),
    wanted,
    basisPaths: new Map(
      blobs.flatMap(({ digest, basisPath: path }) => (path ? [[digest, path]] : [])),
    ),
  });
  try {
    if (blobs.length > 0) await fetch(blobs, sink);
  } finally {
    sink.releaseUnfinished();
  }
  for (const { digest } of blobs)
    if (!sink.arrived.has(digest) && !sink.lost.has(digest))
      throw new RmtxError('ERR_RMTX_BLOB_MISSING', `the host did not send ${digest}`);
  return dropLost(operations, sink.lost);
}

function assignPlace(operation: Operation, slot: number, areas: StageAreas): Operation {
  if (!isStaged(operation)) return operation;
  const size = operation.entry.kind === 'file' ? operation.entry.size : 0;
  return { ...operation, staged: { area: areas.numberFor(operation.path, size), slot } };
}

function stageLinkOrWant(
  operation: Operation,
  areas: StageAreas,
  wanted: Map<Digest, WantedFile[]>,
): void {
  if (!isStaged(operation)) return;
  const { entry, staged } = operation;
  if (entry.kind === 'symlink') {
    symlinkSync(toFsPath(entry.target), areas.area(staged.area).at(staged.slot));
    return;
  }
  const files = wanted.get(entry.digest);
  if (files === undefined) wanted.set(entry.digest, [{ entry, staged }]);
  else files.push({ entry, staged });
}

/** Each blob once, in the order of the paths; with the file it takes the place of. */
function blobsToFetch(operations: readonly Operation[], copied: ReadonlySet<Digest>): WantedBlob[] {
  const blobs = new Map<Digest, WantedBlob>();
  for (const operation of operations) {
    if (!isStaged(operation) || operation.entry.kind !== 'file') continue;
    const { digest, size, path } = operation.entry;
    if (copied.has(digest)) continue;
    const hasOlder = operation.type === 'keep-beside' || operation.before.kind === 'file';
    if (hasOlder) blobs.set(digest, { digest, size, basisPath: path });
    else if (!blobs.has(digest)) blobs.set(digest, { digest, size });
  }
  return [...blobs.values()];
}

function dropLost(operations: readonly Operation[], lost: ReadonlySet<Digest>): StagedPlan {
  const isLost = (operation: Operation): operation is StagedOperation =>
    isStaged(operation) && operation.entry.kind === 'file' && lost.has(operation.entry.digest);
  const message = 'the host no longer has its content';
  return {
    operations: operations.filter((operation) => !isLost(operation)),
    problems: operations
      .filter(isLost)
      .map(({ path }): Problem => ({ path, code: 'vanished', message })),
  };
}
