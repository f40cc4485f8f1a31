/**
 * What rmtx last wrote at paths that are ignored but named in `sync_back`. No manifest has them, so this
 * table in the project's state is what the next sync-back compares with there.
 */
import path from 'node:path';
import { loadEntryTable, saveEntryTable } from '../../sync/entry-table-file.js';
import { EntryTable } from '../../sync/entry-table.js';
import { TableMerger } from '../../sync/table-changes.js';
import { comparePaths } from '../../sync/entry.js';
import type { ManifestChange } from '../../sync/entry.js';
import type { Operation } from './operations.js';

/** A damaged one counts as none: then what is there is the user's, and is kept. */
export function loadSyncBackBase(stateDirectory: string): EntryTable {
  return loadEntryTable(fileIn(stateDirectory)) ?? EntryTable.empty;
}

/** Records the operations that were carried out; doing it again changes nothing. */
export function updateSyncBackBase(stateDirectory: string, applied: Iterable<Operation>): void {
  const base = loadSyncBackBase(stateDirectory);
  const changes = new Map<string, ManifestChange>();
  for (const operation of applied) {
    const change = changeOf(operation, base);
    if (change !== undefined) changes.set(operation.path, change);
  }
  if (changes.size === 0) return;
  const merger = new TableMerger(base);
  const ordered = [...changes].sort(([a], [b]) => comparePaths(a, b));
  for (const [, change] of ordered) merger.push(change);
  saveEntryTable(fileIn(stateDirectory), merger.finish());
}

function changeOf(operation: Operation, base: EntryTable): ManifestChange | undefined {
  if (operation.type === 'write' && operation.isUnsent)
    return { type: 'upsert', entry: operation.entry };
  if (operation.type === 'make-directory' || operation.type === 'keep-beside') return undefined;
  const row = base.indexOf(operation.path);
  if (row < 0) return undefined;
  if (operation.type !== 'set-attributes') return { type: 'delete', path: operation.path };
  const entry = base.entry(row);
  if (entry.kind !== 'file') return undefined;
  const { mode, mtimeUs = entry.mtimeUs } = operation;
  return { type: 'upsert', entry: { ...entry, mode, mtimeUs } };
}

function fileIn(stateDirectory: string): string {
  return path.join(stateDirectory, 'sync-back-base');
}
