/** The caller's table after a sync-back: what it was, with what was done, signed by what is there now. */
import type { Stats } from 'node:fs';
import { EntryTableBuilder } from '../../sync/entry-table-builder.js';
import type { EntryTable } from '../../sync/entry-table.js';
import { comparePaths, parentOf } from '../../sync/entry.js';
import type { Entry, WorkspacePath } from '../../sync/entry.js';
import type { SyncRules } from '../../sync/rules.js';
import { signatureOf } from '../../sync/stat-signature.js';
import type { StatSignature } from '../../sync/stat-signature.js';
import { nowUs } from '../../util/microseconds.js';
import type { AnchoredRoot } from '../../util/safe-path.js';
import { look } from './observe.js';
import type { Operation } from './operations.js';

interface NewRow {
  readonly path: WorkspacePath;
  /** Undefined: the row goes. */
  readonly entry: Entry | undefined;
  readonly signature: StatSignature | undefined;
}

export interface TableChanges {
  readonly root: AnchoredRoot;
  readonly rules: SyncRules;
  readonly operations: readonly Operation[];
  /** Whether the result of the operation with this number is in the tree. */
  readonly isApplied: (number: number) => boolean;
  /** Paths that both sides had deleted. */
  readonly goneHereToo: readonly WorkspacePath[];
}

/**
 * Rows of paths that nothing was done to keep what they had; the next scan finds what is different
 * there. What came home although it is ignored gets no row: no scan would find it.
 */
export function tableAfter(table: EntryTable, changes: TableChanges): EntryTable {
  const rows = newRows(table, changes);
  if (rows.length === 0) return table;
  const builder = new EntryTableBuilder(table);
  let next = 0;
  for (const { path, entry, signature } of rows) {
    const row = table.lowerBound(path, next);
    builder.copyRange(table, next, row);
    next = row < table.length && table.path(row) === path ? row + 1 : row;
    if (entry !== undefined) builder.add(entry, signature);
  }
  builder.copyRange(table, next, table.length);
  return builder.build();
}

/** In walk order; what was done last to a path counts. */
function newRows(table: EntryTable, changes: TableChanges): NewRow[] {
  const rows = new Map<string, NewRow>();
  for (const path of changes.goneHereToo)
    if (table.indexOf(path) >= 0) rows.set(path, { path, entry: undefined, signature: undefined });
  for (const [number, operation] of changes.operations.entries()) {
    if (!changes.isApplied(number)) continue;
    const row = rowAfter(operation, { table, changes, earlier: rows.get(operation.path) });
    if (row !== undefined) rows.set(row.path, row);
  }
  for (const { path, entry } of [...rows.values()])
    if (entry !== undefined) addParents(path, { rows, table, root: changes.root });
  return [...rows.values()].sort((a, b) => comparePaths(a.path, b.path));
}

/** Directories that somebody made here since the scan, and in which there is something of ours now. */
function addParents(
  path: string,
  known: { rows: Map<string, NewRow>; table: EntryTable; root: AnchoredRoot },
): void {
  const { rows, table, root } = known;
  for (let above = parentOf(path); above !== ''; above = parentOf(above)) {
    if (rows.has(above) || table.indexOf(above) >= 0) return;
    const stats = look(root, above);
    if (stats === undefined || stats === 'blocked') return;
    rows.set(above, directoryRow(above as WorkspacePath, stats.mode & 0o777));
  }
}

interface RowContext {
  readonly table: EntryTable;
  readonly changes: TableChanges;
  /** What an earlier operation made of the same path. */
  readonly earlier: NewRow | undefined;
}

function rowAfter(operation: Operation, context: RowContext): NewRow | undefined {
  const { path } = operation;
  switch (operation.type) {
    case 'remove':
    case 'remove-directory':
      return { path, entry: undefined, signature: undefined };
    case 'make-directory':
      return isScanned(path, context) ? directoryRow(path, operation.mode) : undefined;
    case 'write':
      return operation.isUnsent ? undefined : signed(operation.entry, context.changes.root);
    case 'set-attributes': {
      const isKnown = context.table.indexOf(path) >= 0 || context.earlier !== undefined;
      if (!isKnown) return undefined;
      if (operation.isDirectory) return directoryRow(path, operation.mode);
      const { mode, content, before } = operation;
      if (content === undefined) return undefined;
      const mtimeUs = operation.mtimeUs ?? before.mtimeUs;
      return signed({ kind: 'file', path, mode, mtimeUs, ...content }, context.changes.root);
    }
    case 'keep-beside':
      return undefined;
  }
}

function directoryRow(path: WorkspacePath, mode: number): NewRow {
  return { path, entry: { kind: 'directory', path, mode }, signature: undefined };
}

/** Without a signature where it is not (any more) what was put there: then the next scan reads it. */
function signed(entry: Entry, root: AnchoredRoot): NewRow {
  const clockUs = nowUs();
  const stats = look(root, entry.path);
  const isIt = stats !== undefined && stats !== 'blocked' && isAsLeft(stats, entry);
  return { path: entry.path, entry, signature: isIt ? signatureOf(stats, clockUs) : undefined };
}

function isAsLeft(stats: Stats, entry: Entry): boolean {
  if (entry.kind === 'symlink') return stats.isSymbolicLink();
  if (entry.kind === 'directory') return stats.isDirectory();
  return stats.isFile() && stats.size === entry.size && (stats.mode & 0o777) === entry.mode;
}

/** Whether a scan will find the directory. */
function isScanned(path: WorkspacePath, { table, changes }: RowContext): boolean {
  const { rules } = changes;
  if (rules.sources.syncBack === null || table.indexOf(path) >= 0) return true;
  return rules.explain(path, { isDirectory: true }).kind === 'synced';
}
