/**
 * What `rmtx pull` last wrote here. A file that is untouched since is no edit of the user's, whatever the run
 * began with: a later pull and the sync-back may replace it.
 */
import type { Stats } from 'node:fs';
import path from 'node:path';
import { systemErrorCode } from '../../errors.js';
import { EntryTableBuilder } from '../../sync/entry-table-builder.js';
import { loadEntryTable, saveEntryTable } from '../../sync/entry-table-file.js';
import { EntryTable } from '../../sync/entry-table.js';
import { comparePaths } from '../../sync/entry.js';
import type { Entry, ManifestChange, WorkspacePath } from '../../sync/entry.js';
import { signatureOf } from '../../sync/stat-signature.js';
import type { StatSignature } from '../../sync/stat-signature.js';
import { nowUs } from '../../util/microseconds.js';
import type { AnchoredRoot } from '../../util/safe-path.js';
import type { CheckedChange } from './check-changes.js';
import { hasEntryContent, look } from './observe.js';

/** A damaged one counts as none: then what is there is the user's, and is kept. */
export function loadPulled(stateDirectory: string): EntryTable {
  return loadEntryTable(fileIn(stateDirectory)) ?? EntryTable.empty;
}

/** The change as it is to be compared: from what a pull wrote, where that still lies there. */
export function sincePulled(
  change: CheckedChange,
  { pulled, root }: { readonly pulled: EntryTable; readonly root: AnchoredRoot },
): CheckedChange {
  const row = pulled.indexOf(change.path);
  if (row < 0 || !isUntouched(root, pulled, row)) return change;
  return { ...change, base: pulled.entry(row), baseRow: { table: pulled, row } };
}

/**
 * Remembers what a pull wrote, and forgets what is no longer as an earlier one left it. What cannot be
 * remembered counts as an edit from then on.
 */
export function rememberPulled(
  stateDirectory: string,
  root: AnchoredRoot,
  written: {
    readonly paths: readonly WorkspacePath[];
    readonly changes: readonly ManifestChange[];
    /** With the signatures of what was written, where they are known. */
    readonly table: EntryTable;
  },
): void {
  if (written.paths.length === 0) return;
  const rows = new Map<WorkspacePath, SignedEntry>();
  const earlier = loadPulled(stateDirectory);
  for (let row = 0; row < earlier.length; row++)
    if (hasSameStat(root, earlier, row)) rows.set(earlier.path(row), signedEntry(earlier, row));
  const paths = new Set<string>(written.paths);
  for (const change of written.changes) {
    if (change.type !== 'upsert' || !paths.has(change.entry.path)) continue;
    const { entry } = change;
    const row = written.table.indexOf(entry.path);
    const isSigned = row >= 0 && hasSameStat(root, written.table, row);
    const now = isSigned ? signedEntry(written.table, row) : signedAsFound(root, entry);
    if (now === undefined) rows.delete(entry.path);
    else rows.set(entry.path, now);
  }
  const builder = new EntryTableBuilder();
  for (const [, { entry, signature }] of [...rows].sort(([a], [b]) => comparePaths(a, b)))
    builder.add(entry, signature);
  try {
    saveEntryTable(fileIn(stateDirectory), builder.build());
  } catch (error) {
    // The disk is full, say: the files themselves are there.
    if (systemErrorCode(error) === undefined) throw error;
  }
}

interface SignedEntry {
  readonly entry: Entry;
  readonly signature: StatSignature | undefined;
}

function signedEntry(table: EntryTable, row: number): SignedEntry {
  return { entry: table.entry(row), signature: table.signature(row) };
}

/** Seen before the content is read, so that a write meanwhile makes it another's. */
function signedAsFound(root: AnchoredRoot, entry: Entry): SignedEntry | undefined {
  if (entry.kind === 'directory') return { entry, signature: undefined };
  const clockUs = nowUs();
  const stats = statsOf(root, entry.path);
  if (stats === undefined || !hasContent(root, entry)) return undefined;
  return { entry, signature: signatureOf(stats, clockUs) };
}

/** A write within the tick of the pull's own shows in no time, so a file that young is read. */
function isUntouched(root: AnchoredRoot, table: EntryTable, row: number): boolean {
  const stats = statsOf(root, table.path(row));
  if (stats === undefined || !table.hasSameStat(row, stats)) return false;
  return table.matches(row, stats) || hasContent(root, table.entry(row));
}

function hasSameStat(root: AnchoredRoot, table: EntryTable, row: number): boolean {
  const stats = statsOf(root, table.path(row));
  return stats !== undefined && table.hasSameStat(row, stats);
}

function hasContent(root: AnchoredRoot, entry: Entry): boolean {
  if (entry.kind === 'directory') return true;
  try {
    return hasEntryContent(root, entry.path, entry);
  } catch (error) {
    if (systemErrorCode(error) === undefined) throw error;
    return false;
  }
}

/** What cannot be looked at is not known to be ours. */
function statsOf(root: AnchoredRoot, at: WorkspacePath): Stats | undefined {
  try {
    const stats = look(root, at);
    return stats === 'blocked' ? undefined : stats;
  } catch (error) {
    if (systemErrorCode(error) === undefined) throw error;
    return undefined;
  }
}

function fileIn(stateDirectory: string): string {
  return path.join(stateDirectory, 'pulled');
}
