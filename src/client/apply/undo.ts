/**
 * `<home>/undo/<transaction>/`: what a sync-back displaced, under the numbers of the operations that did
 * it, and `record`, the journal, which says what was where. Enough to take the sync-back apart later;
 * also what a rollback works from.
 */
import { chmodSync, lstatSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { systemErrorCode } from '../../errors.js';
import { PRIVATE_FILE_MODE, readFileIfExists } from '../../util/atomic-file.js';
import { removeTree } from '../../util/remove-tree.js';
import { decodeJournal } from './journal.js';
import type { Journal } from './journal.js';

export const UNDO_RECORD_NAME = 'record';

/** The sync-backs that can be taken back. Their content would fill the disk if it stayed for ever. */
const KEPT_RECORDS = 20;

export function undoParent(clientHome: string): string {
  return path.join(clientHome, 'undo');
}

/**
 * Closes what was displaced to others, as everything is that we keep; the record has the modes. Only once
 * a transaction is done: a rollback puts the files back as they are.
 */
export function closeUndoFiles(directory: string): void {
  for (const name of namesIn(directory)) {
    const file = path.join(directory, name);
    const stats = lstatSync(file, { throwIfNoEntry: false });
    // A file that has another name is somebody's in use.
    if (stats?.isFile() !== true || stats.nlink > 1 || stats.uid !== process.getuid?.()) continue;
    chmodSync(file, PRIVATE_FILE_MODE);
  }
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    // Nothing was displaced.
    if (systemErrorCode(error) === 'ENOENT') return [];
    throw error;
  }
}

/** What one sync-back did. Throws STATE_CORRUPT where the record is damaged or missing. */
export function readUndoRecord(directory: string): Journal {
  return decodeJournal(readFileIfExists(path.join(directory, UNDO_RECORD_NAME)) ?? Buffer.alloc(0));
}

/** Removes all but the newest; those without a record belong to a transaction in progress. */
export async function pruneUndo(clientHome: string, keep = KEPT_RECORDS): Promise<void> {
  const parent = undoParent(clientHome);
  const names = readdirSync(parent);
  if (names.length <= keep) return;
  const records = names.flatMap((name) => {
    const stats = statSync(path.join(parent, name, UNDO_RECORD_NAME), { throwIfNoEntry: false });
    return stats === undefined ? [] : [{ name, writtenMs: stats.mtimeMs }];
  });
  records.sort((a, b) => b.writtenMs - a.writtenMs);
  for (const { name } of records.slice(keep)) await removeTree(path.join(parent, name));
}
