import { randomBytes } from 'node:crypto';
import { closeSync, fstatSync, mkdirSync, openSync, readSync } from 'node:fs';
import path from 'node:path';
import { createDigestStream, toDigest } from '../store/digest.js';
import type { FileEntry, WorkspacePath } from '../sync/entry.js';
import { PRIVATE_DIRECTORY_MODE, PRIVATE_FILE_MODE, writeFully } from '../util/atomic-file.js';
import { mtimeUsOf } from '../util/microseconds.js';
import type { AnchoredRoot } from '../util/safe-path.js';

export interface Snapshot {
  /** Describes the copy. */
  readonly entry: FileEntry;
  /** The copy. */
  readonly file: string;
}

const PIECE_BYTES = 256 * 1024;

/**
 * Copies a file as it is now, reading it once, and names what was copied. Undefined where there is no
 * regular file any more.
 */
export function takeSnapshot(
  root: AnchoredRoot,
  from: WorkspacePath,
  directory: string,
): Snapshot | undefined {
  const source = root.openFile(from);
  if (source === undefined) return undefined;
  mkdirSync(directory, { recursive: true, mode: PRIVATE_DIRECTORY_MODE });
  const file = path.join(directory, randomBytes(8).toString('hex'));
  const target = openSync(file, 'wx', PRIVATE_FILE_MODE);
  try {
    const stats = fstatSync(source);
    const digest = createDigestStream();
    const piece = Buffer.allocUnsafe(PIECE_BYTES);
    let size = 0;
    for (let count; (count = readSync(source, piece, 0, PIECE_BYTES, null)) > 0; size += count) {
      const bytes = piece.subarray(0, count);
      digest.update(bytes);
      writeFully(target, bytes);
    }
    const mtimeUs = mtimeUsOf(stats);
    const mode = stats.mode & 0o777;
    const entry = {
      kind: 'file',
      path: from,
      mode,
      size,
      mtimeUs,
      digest: toDigest(digest.finish()),
    } as const;
    return { entry, file };
  } finally {
    closeSync(source);
    closeSync(target);
  }
}
