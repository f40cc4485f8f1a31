/**
 * What has to be done to turn a workspace as it is into a manifest, and where each content comes from:
 * what is there already, under the same name or another, the blob store, else the client. Planning reads
 * leftovers, and changes nothing.
 */
import { closeSync } from 'node:fs';
import type { BlobStore } from '../store/blob-store.js';
import { HAS_SIGNATURE } from './entry-columns.js';
import type { EntryTable } from './entry-table.js';
import { comparePaths, isWithin } from './entry.js';
import type { WorkspacePath } from './entry.js';
import { isGone } from './fresh-entry.js';
import type { HashedFile } from './hash-file.js';
import { TableSignatures } from './table-signatures.js';
import type { WorkspaceFiles } from './workspace-files.js';
import type { WorkspaceRules } from './workspace-rules.js';
import { FROM_STORE, WantedContents } from './wanted-contents.js';
import { hashWorkspaceFile } from './workspace-scan.js';
import type { DiskState } from './workspace-scan.js';

export interface MaterializeInput {
  readonly files: WorkspaceFiles;
  readonly disk: DiskState;
  /** The manifest; a signature in it says that the row is there. */
  readonly next: EntryTable;
  /** From the disk's table to the manifest: see `diffRows`. */
  readonly steps: readonly number[];
  readonly rules: WorkspaceRules;
  readonly store: BlobStore;
  /**
   * Changed content gets a later time than this, because builds compare times, and what the last run
   * built may be newer than the client's clock. Undefined: exactly the manifest's times.
   */
  readonly newerThanUs: number | undefined;
}

/** A file with the right content at the right place. */
export interface RightContent {
  readonly row: number;
  /** What its time is to be: builds must not see a change where there is none. */
  readonly mtimeUs: number;
}

export interface MaterializePlan {
  readonly signatures: TableSignatures;
  /** Rows of the manifest that are not there, or not with their mode. */
  readonly directories: readonly number[];
  readonly symlinks: readonly number[];
  readonly rightContents: readonly RightContent[];
  readonly contents: WantedContents;
  /** Rows of the disk's table that go, or make way. */
  readonly departures: readonly number[];
}

export function planMaterialize(input: MaterializeInput): MaterializePlan {
  return new Planner(input).run();
}

/** The time that a file gets whose content is new at its path. */
export function timeOfChanged(input: MaterializeInput, row: number): number {
  const mtimeUs = input.next.mtimeUs(row);
  return input.newerThanUs === undefined ? mtimeUs : Math.max(mtimeUs, input.newerThanUs + 1);
}

class Planner {
  readonly #input: MaterializeInput;
  readonly #signatures: TableSignatures;
  readonly #directories: number[] = [];
  readonly #symlinks: number[] = [];
  readonly #rightContents: RightContent[] = [];
  readonly #contents: WantedContents;

  constructor(input: MaterializeInput) {
    this.#input = input;
    this.#signatures = new TableSignatures(input.next);
    this.#contents = new WantedContents(input.next);
  }

  run(): MaterializePlan {
    const { next } = this.#input;
    const { flags } = next.columns;
    for (let row = 0; row < next.length; row++)
      if (((flags[row] ?? 0) & HAS_SIGNATURE) === 0) this.#planRow(row);
    const departures = this.#findDepartures();
    if (this.#contents.count > 0) {
      this.#findStored();
      this.#findPresent(new Set(departures));
    }
    return {
      signatures: this.#signatures,
      directories: this.#directories,
      symlinks: this.#symlinks,
      rightContents: this.#rightContents,
      contents: this.#contents,
      departures,
    };
  }

  #planRow(row: number): void {
    const { next, disk } = this.#input;
    const path = next.path(row);
    const known = disk.table.indexOf(path);
    const signature = known < 0 ? undefined : disk.table.signature(known);
    if (signature !== undefined && disk.table.hasSameEntry(known, next, row)) {
      this.#signatures.sign(row, signature);
      return;
    }
    const kind = next.kind(row);
    if (kind === 'directory') this.#directories.push(row);
    else if (kind === 'symlink') this.#symlinks.push(row);
    else this.#planFile(row, path, known);
  }

  #planFile(row: number, path: WorkspacePath, known: number): void {
    const { next, disk } = this.#input;
    const isSameContent =
      known >= 0 && disk.table.kind(known) === 'file' && next.hasSameDigest(row, disk.table, known);
    const signature = isSameContent ? disk.table.signature(known) : undefined;
    if (signature !== undefined) {
      // The client touched it: what was built from it has to be built again. Set back: nothing has.
      const isTouched = next.mtimeUs(row) > disk.table.mtimeUs(known);
      const mtimeUs = isTouched ? timeOfChanged(this.#input, row) : signature.mtimeUs;
      this.#rightContents.push({ row, mtimeUs });
      return;
    }
    const leftover = this.#hashLeftover(row, path);
    if (leftover?.digest === next.digest(row)) {
      const mtimeUs = isSameContent ? leftover.mtimeUs : timeOfChanged(this.#input, row);
      this.#rightContents.push({ row, mtimeUs });
      return;
    }
    this.#contents.add(row);
  }

  /** A file of the right size that is there for a reason we do not know: a crash, a command's doing. */
  #hashLeftover(row: number, path: WorkspacePath): HashedFile | undefined {
    const { files, disk, next } = this.#input;
    if (!isAmong(disk.strangers, path)) return undefined;
    try {
      const stats = files.lstat(path);
      if (stats?.isFile() !== true || stats.size !== next.size(row)) return undefined;
      return hashWorkspaceFile(files, path);
    } catch (error) {
      if (isGone(error)) return undefined;
      throw error;
    }
  }

  #findStored(): void {
    const { store } = this.#input;
    // A cold workspace of a new client asks for everything, and there is nothing to be found.
    if (store.list()[Symbol.iterator]().next().done === true) return;
    for (let content = 0; content < this.#contents.count; content++) {
      const digest = this.#contents.digest(content);
      if (!store.has(digest, this.#contents.size(content))) continue;
      // Opened to have it verified, while the client can still be asked instead.
      const fd = store.open(digest);
      if (fd === undefined) continue;
      closeSync(fd);
      this.#contents.setSource(content, FROM_STORE);
    }
  }

  /** Rows that are there and have a wanted content: one that departs is moved, one that stays is copied. */
  #findPresent(departures: ReadonlySet<number>): void {
    const { table } = this.#input.disk;
    if (table.length === 0) return;
    for (let row = 0; row < table.length; row++) {
      if (!table.hasSignature(row) || table.kind(row) !== 'file') continue;
      const content = this.#contents.findBytes(table.digestBytes(row));
      if (content < 0) continue;
      const isFirst = this.#contents.source(content) < 0;
      if (isFirst || departures.has(row)) this.#contents.setSource(content, row);
    }
  }

  #findDepartures(): number[] {
    const { disk, next, rules, steps } = this.#input;
    const { table } = disk;
    const departures: number[] = [];
    if (table.length === 0) return departures;
    for (const step of steps) {
      const row = step < 0 ? ~step : table.indexOf(next.path(step));
      if (row < 0 || (step >= 0 && isSameThing(table, row, { table: next, row: step }))) continue;
      const isDirectory = table.kind(row) === 'directory';
      // Directories were entered, so that none without a signature is among the strangers.
      if (!isDirectory && !table.hasSignature(row)) continue;
      if (step < 0 && rules.isKept(table.path(row), { isDirectory })) continue;
      departures.push(row);
    }
    return departures;
  }
}

/** The same directory with another mode, or the same content with other attributes: it stays there. */
function isSameThing(
  table: EntryTable,
  row: number,
  other: { readonly table: EntryTable; readonly row: number },
): boolean {
  const kind = table.kind(row);
  if (kind !== other.table.kind(other.row) || kind === 'symlink') return false;
  return kind === 'directory' || table.hasSameDigest(row, other.table, other.row);
}

/** True when the path or a directory above it is in a list in walk order, none of it below another. */
function isAmong(paths: readonly WorkspacePath[], path: WorkspacePath): boolean {
  let low = 0;
  let high = paths.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (comparePaths(paths[middle] ?? '', path) <= 0) low = middle + 1;
    else high = middle;
  }
  const before = paths[low - 1];
  return before !== undefined && isWithin(path, before);
}
