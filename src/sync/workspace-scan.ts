/**
 * What is in a workspace, compared with the table of what ought to be: the question of every run, before
 * it starts and after it ended. Reads no content but that of racy files.
 */
import type { Stats } from 'node:fs';
import { systemErrorCode } from '../errors.js';
import { nowUs } from '../util/microseconds.js';
import type { EntryTable } from './entry-table.js';
import type { WorkspacePath } from './entry.js';
import { isGone } from './fresh-entry.js';
import { hashFileAt } from './hash-file.js';
import type { HashedFile } from './hash-file.js';
import { signatureOf } from './stat-signature.js';
import { TableSignatures } from './table-signatures.js';
import type { WorkspaceFiles } from './workspace-files.js';
import { walkWorkspace } from './workspace-walk.js';

/** Something that no row accounts for. */
export interface Finding {
  readonly path: WorkspacePath;
  /** The row that has this path, or -1. */
  readonly row: number;
  readonly stats: Stats;
}

export interface WorkspaceScan {
  /** In walk order. Unknown directories are found whole: what is in them is not listed. */
  readonly findings: readonly Finding[];
  /** Rows at whose paths nothing was found, in order. */
  readonly missing: readonly number[];
  /** What could not be read: rows at and below these are missing, but perhaps only for us. */
  readonly unreadable: readonly { readonly path: WorkspacePath; readonly error: unknown }[];
}

export function scanWorkspace(files: WorkspaceFiles, table: EntryTable): WorkspaceScan {
  const findings: Finding[] = [];
  const missing: number[] = [];
  const unreadable: { path: WorkspacePath; error: unknown }[] = [];
  walkWorkspace(files.root.path, table, {
    same: () => undefined,
    changed: (row, stats) => {
      findings.push({ path: table.path(row), row, stats });
      return table.kind(row) === 'directory';
    },
    missing: (row) => missing.push(row),
    unknown: (path, stats) => {
      findings.push({ path, row: -1, stats });
      return false;
    },
    unreadable: (path, error) => unreadable.push({ path, error }),
  });
  return { findings, missing, unreadable };
}

/** A workspace as it is known to be on disk. */
export interface DiskState {
  /** Rows with a signature are there exactly; at the path of any other there may be anything. */
  readonly table: EntryTable;
  /** Where something is that no signed row accounts for, in walk order, none below another. */
  readonly strangers: readonly WorkspacePath[];
}

/**
 * Compares the workspace with its index. Rows that what is there does not prove lose their signature;
 * racy ones are read, and settled if their content is right. The very same table is returned where
 * everything is as it was.
 */
export function verifyWorkspace(files: WorkspaceFiles, index: EntryTable): DiskState {
  const scan = scanWorkspace(files, index);
  const signatures = new TableSignatures(index);
  const strangers: WorkspacePath[] = [];
  for (const row of scan.missing) signatures.unsign(row);
  for (const { path, row, stats } of scan.findings) {
    const settled = row < 0 ? undefined : settleRacy(files, index, { path, row, stats });
    if (settled !== undefined) {
      signatures.sign(row, settled);
      continue;
    }
    if (row >= 0) signatures.unsign(row);
    // A directory with another mode was entered, so that all in it is accounted for.
    const isEntered = row >= 0 && index.kind(row) === 'directory' && stats.isDirectory();
    if (!isEntered) strangers.push(path);
  }
  files.closeDirectories();
  return { table: signatures.table(), strangers };
}

/**
 * The new signature of a file that looks as its row says and, being read, is. Not of one that got another
 * name: that changes its ctime, but a racy signature does not tell.
 */
export function settleRacy(
  files: WorkspaceFiles,
  table: EntryTable,
  finding: Finding,
): HashedFile['signature'] | undefined {
  const { path, row, stats } = finding;
  if (!table.hasSameStat(row, stats) || stats.nlink !== 1) return undefined;
  if (table.kind(row) === 'symlink') {
    const signature = signatureOf(stats, nowUs());
    return files.readTarget(path) === table.target(row) ? signature : undefined;
  }
  const hashed = hashWorkspaceFile(files, path);
  return hashed?.digest === table.digest(row) ? hashed.signature : undefined;
}

/**
 * Reads a file as it is now, also one whose mode forbids it. Undefined where there is none, or a link or
 * a file stands in the place of a directory above it; throws where it cannot be read at all.
 */
export function hashWorkspaceFile(files: WorkspaceFiles, path: string): HashedFile | undefined {
  try {
    return files.reach(path, () => hashFileAt(files.root, path));
  } catch (error) {
    if (isGone(error)) return undefined;
    if (systemErrorCode(error) !== 'EACCES') throw error;
    const hashed = files.whileReadable(path, () => hashFileAt(files.root, path));
    const stats = files.lstat(path);
    if (hashed === undefined || stats === undefined) return undefined;
    // Giving the file its mode back was the last change to it.
    return { ...hashed, mode: stats.mode & 0o777, signature: signatureOf(stats, nowUs()) };
  }
}
