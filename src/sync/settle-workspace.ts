import { blockThread } from '../util/block-thread.js';
import type { EntryTable } from './entry-table.js';
import { racyForUs, racyRows } from './rescan.js';
import { TableSignatures } from './table-signatures.js';
import type { WorkspaceFiles } from './workspace-files.js';
import { settleRacy } from './workspace-scan.js';

/** Bytes that are read again at most: beyond it rows stay racy, and the next verify reads them. */
const MAX_SETTLED_BYTES = 256 * 1024 * 1024;

/**
 * Takes the racy mark off the rows of a workspace whose content is still what they say, so that the next
 * verify need not read them. Blocks until a later write would show in the times (20 ms at most), so it
 * is for workers, and for when nobody waits. Rows that have changed stay as they are.
 */
export function settleWorkspace(files: WorkspaceFiles, table: EntryTable): EntryTable {
  const racy = racyRows(table);
  if (racy.length === 0) return table;
  blockThread(racy.reduce((longest, row) => Math.max(longest, racyForUs(table, row)), 0));
  const signatures = new TableSignatures(table);
  let bytesLeft = MAX_SETTLED_BYTES;
  for (const row of racy) {
    bytesLeft -= table.size(row);
    const path = table.path(row);
    const stats = bytesLeft < 0 ? undefined : files.lstat(path);
    if (stats === undefined) continue;
    const settled = settleRacy(files, table, { path, row, stats });
    if (settled !== undefined) signatures.sign(row, settled);
  }
  files.closeDirectories();
  return signatures.table();
}
