/** Content that needs no fetching, because the files that are about to be displaced have it. */
import { closeSync, rmSync } from 'node:fs';
import type { Digest } from '../../store/digest.js';
import { createDigestStream, hashBytes, toDigest } from '../../store/digest.js';
import { explainWriteError } from '../../store/disk-full.js';
import type { WorkspacePath } from '../../sync/entry.js';
import { printable } from '../../util/printable.js';
import type { AnchoredRoot } from '../../util/safe-path.js';
import { TimeSlice } from '../../util/time-slice.js';
import { copyBytes, createFile } from './copy-file.js';
import type { Operation } from './operations.js';
import type { StageAreas } from './stage-areas.js';
import type { WantedFile } from './stage-sink.js';

/**
 * Stages what a removed or replaced file holds (a file that the run renamed, two that it swapped) and
 * what is empty. Returns the digests that are staged everywhere they are wanted.
 */
export async function copyLocalContent(
  operations: readonly Operation[],
  wanted: ReadonlyMap<Digest, readonly WantedFile[]>,
  { areas, root }: { readonly areas: StageAreas; readonly root: AnchoredRoot },
): Promise<Set<Digest>> {
  const sources = displacedFiles(operations);
  const empty = toDigest(hashBytes(Buffer.alloc(0)));
  const copied = new Set<Digest>();
  const slice = new TimeSlice();
  for (const [digest, files] of wanted) {
    const source = sources.get(digest);
    if (digest !== empty && source === undefined) continue;
    if (copyToAll(files, { digest, source, root, areas })) copied.add(digest);
    if (slice.isOver()) await slice.next();
  }
  return copied;
}

function displacedFiles(operations: readonly Operation[]): Map<Digest, WorkspacePath> {
  const sources = new Map<Digest, WorkspacePath>();
  for (const operation of operations) {
    if (operation.type !== 'remove' && operation.type !== 'write') continue;
    if (operation.before.kind !== 'file' || operation.before.digest === undefined) continue;
    sources.set(operation.before.digest, operation.path);
  }
  return sources;
}

interface Copying {
  readonly digest: Digest;
  /** Undefined: the content is empty. */
  readonly source: WorkspacePath | undefined;
  readonly root: AnchoredRoot;
  readonly areas: StageAreas;
}

/** False, and nothing is left, where the source does not hold that content (any more). */
function copyToAll(files: readonly WantedFile[], copying: Copying): boolean {
  const { digest, source, root, areas } = copying;
  const fd = source === undefined ? undefined : openIfThere(root, source);
  if (source !== undefined && fd === undefined) return false;
  const made: WantedFile[] = [];
  try {
    for (const file of files) {
      const stream = createDigestStream();
      const target = areas.area(file.staged.area).at(file.staged.slot);
      createFile(target, file.entry, (output) => {
        if (fd !== undefined) copyBytes(fd, output, (piece) => stream.update(piece));
      });
      made.push(file);
      if (toDigest(stream.finish()) === digest) continue;
      for (const { staged } of made) rmSync(areas.area(staged.area).at(staged.slot));
      return false;
    }
    return true;
  } catch (error) {
    throw explainWriteError(error, printable(root.path));
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

function openIfThere(root: AnchoredRoot, path: WorkspacePath): number | undefined {
  try {
    return root.openFile(path);
  } catch {
    // It only saves a transfer: what cannot be read here is fetched.
    return undefined;
  }
}
