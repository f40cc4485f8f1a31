/**
 * `<home>/undo/<transaction>/`: what a sync-back displaced, under the numbers of the operations that did
 * it, and `record`, the journal, which says what was where. Enough to take the sync-back apart later;
 * also what a rollback works from.
 */
import { readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { readFileIfExists } from '../../util/atomic-file.js';
import { removeTree } from '../../util/remove-tree.js';
import { decodeJournal } from './journal.js';
import type { Journal } from './journal.js';

export const UNDO_RECORD_NAME = 'record';

/** The sync-backs that can be taken back. Their content would fill the disk if it stayed for ever. */
const KEPT_RECORDS = 20;

export function undoParent(clientHome: string): string {
  return path.join(clientHome, 'undo');
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
