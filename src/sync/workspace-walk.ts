/**
 * Walks a workspace and a table side by side: what is there against what ought to be. One readdir a
 * directory, one lstat a name, and for what is as it ought to be nothing else: no object, no string kept,
 * no matching of rules.
 */
import { chmodSync, lstatSync, readdirSync } from 'node:fs';
import type { Stats } from 'node:fs';
import { systemErrorCode } from '../errors.js';
import { pathFromBytes, toFsPath } from '../util/path-bytes.js';
import type { EntryTable } from './entry-table.js';
import { comparePaths } from './entry.js';
import type { WorkspacePath } from './entry.js';

/** Called in walk order. Whoever answers true wants the directory entered, if it is one. */
export interface WorkspaceVisitor {
  /** `EntryTable.matches` holds: the row's entry is there. */
  same(row: number, stats: Stats): void;
  /** Something is there, but the signature does not prove it to be the row's entry. */
  changed(row: number, stats: Stats): boolean;
  missing(row: number): void;
  /** No row has this path. */
  unknown(path: WorkspacePath, stats: Stats): boolean;
  /** It is not ours to look at. Rows at and below it are reported missing, though they may be there. */
  unreadable(path: WorkspacePath, error: unknown): void;
}

/** Neither listed nor entered without these. */
const SEARCHABLE = 0o500;
const OWNER = 0o700;
/** The last: a command made directories in directories until no path can name the innermost. */
const CANNOT_LOOK: ReadonlySet<string> = new Set(['EACCES', 'EPERM', 'ENAMETOOLONG']);
const NO_THROW = { throwIfNoEntry: false } as const;

/**
 * Follows no link. Nothing else may be going on in the workspace; should it be after all, what is
 * reported is what a walk at that time can see, and nothing outside the tree is touched.
 */
export function walkWorkspace(root: string, table: EntryTable, visitor: WorkspaceVisitor): void {
  new WorkspaceWalk(root, table, visitor).run();
}

class WorkspaceWalk {
  readonly #root: string;
  readonly #table: EntryTable;
  readonly #visitor: WorkspaceVisitor;
  /** The first row not yet reported. */
  #row = -1;
  /** Its path, decoded once; undefined after the last. */
  #rowPath: WorkspacePath | undefined;

  constructor(root: string, table: EntryTable, visitor: WorkspaceVisitor) {
    this.#root = root;
    this.#table = table;
    this.#visitor = visitor;
  }

  run(): void {
    this.#nextRow();
    this.#walkChildren('', false);
    while (this.#rowPath !== undefined) this.#reportMissing();
  }

  /** `isRaw`: the directory's own path has a name that is not UTF-8. */
  #walkChildren(directory: string, isRaw: boolean): void {
    const prefix = directory === '' ? '' : `${directory}/`;
    const absolute = `${this.#root}/${prefix}`;
    const listing = this.#attempt(directory, () => listNames(absolute, isRaw));
    if (listing === undefined) return;
    const isEachRaw = isRaw || listing.hasRawNames;
    for (const name of listing.names) {
      const path = prefix + name;
      const stats = this.#attempt(path, () =>
        lstatSync(isEachRaw ? toFsPath(absolute + name) : absolute + name, NO_THROW),
      );
      if (stats !== undefined) this.#visit(path as WorkspacePath, stats, isEachRaw);
    }
  }

  /** Undefined for what is gone by now, and for what cannot be read, which is reported. */
  #attempt<T>(path: string, look: () => T): T | undefined {
    try {
      return look();
    } catch (error) {
      const code = systemErrorCode(error);
      if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
      if (!CANNOT_LOOK.has(code ?? '')) throw error;
      this.#visitor.unreadable(path as WorkspacePath, error);
      return undefined;
    }
  }

  #visit(path: WorkspacePath, stats: Stats, isRaw: boolean): void {
    while (this.#rowPath !== undefined && this.#rowPath !== path) {
      if (comparePaths(this.#rowPath, path) > 0) break;
      this.#reportMissing();
    }
    let isWanted: boolean;
    if (this.#rowPath === path) {
      const row = this.#row;
      this.#nextRow();
      if (this.#table.matches(row, stats)) {
        this.#visitor.same(row, stats);
        isWanted = true;
      } else isWanted = this.#visitor.changed(row, stats);
    } else isWanted = this.#visitor.unknown(path, stats);
    if (isWanted && stats.isDirectory()) this.#enter(path, stats, isRaw);
  }

  /** A directory that its own mode closes to us is opened for as long as we are in it. */
  #enter(path: WorkspacePath, stats: Stats, isRaw: boolean): void {
    const mode = stats.mode & 0o777;
    if ((mode & SEARCHABLE) === SEARCHABLE) {
      this.#walkChildren(path, isRaw);
      return;
    }
    const absolute = toFsPath(`${this.#root}/${path}`);
    this.#attempt(path, () => chmodSync(absolute, mode | OWNER));
    try {
      this.#walkChildren(path, isRaw);
    } finally {
      this.#attempt(path, () => chmodSync(absolute, mode));
    }
  }

  #reportMissing(): void {
    const row = this.#row;
    this.#nextRow();
    this.#visitor.missing(row);
  }

  #nextRow(): void {
    this.#row += 1;
    this.#rowPath = this.#row < this.#table.length ? this.#table.path(this.#row) : undefined;
  }
}

/** Sorted by UTF-16 code units, which is walk order within a directory. */
function listNames(directory: string, isRaw: boolean): { names: string[]; hasRawNames: boolean } {
  const target = isRaw ? toFsPath(directory) : directory;
  const names = readdirSync(target);
  // What is not UTF-8 was replaced by U+FFFD; a name that really holds one is only read twice.
  const hasRawNames = names.some((name) => name.includes('\uFFFD'));
  if (!hasRawNames) return { names: names.sort(), hasRawNames };
  const raw = readdirSync(target, { encoding: 'buffer' });
  return { names: raw.map((name) => pathFromBytes(name)).sort(), hasRawNames };
}
