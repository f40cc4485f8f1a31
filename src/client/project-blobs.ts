import { closeSync, fstatSync, openSync } from 'node:fs';
import type { BlobSource } from '../protocol/blob-sender.js';
import { badMessage } from '../protocol/bad-message.js';
import { digestBytes } from '../store/digest.js';
import type { Digest } from '../store/digest.js';
import type { EntryTable } from '../sync/entry-table.js';
import type { WorkspacePath } from '../sync/entry.js';
import { lstatIfStillThere, openIfStillThere } from '../sync/fresh-entry.js';
import { WantedContents } from '../sync/wanted-contents.js';
import type { AnchoredRoot } from '../util/safe-path.js';

export interface ProjectBlobsOptions {
  readonly root: AnchoredRoot;
  /** The copy of a file that was looked at again. */
  readonly snapshotOf: (digest: Digest) => string | undefined;
  /** What the scan has read of a small file. */
  readonly keptContentOf: (digest: Digest) => Buffer | undefined;
}

/** The project's files as blobs, found by digest, for one round. */
export class ProjectBlobs implements BlobSource {
  /** To be looked at again: where a content was that could not be sent. */
  readonly changedPaths: WorkspacePath[] = [];
  readonly #from: ProjectBlobsOptions;
  readonly #table: EntryTable;
  /** By row, 1: asked for. */
  readonly #asked: Uint8Array;
  /** The host asks in walk order, so the next one is nearly always right behind the last. */
  #cursor = 0;
  #lastDigest: Digest | undefined;
  #lastRow: number | undefined;
  #openedRow: number | undefined;
  /** All rows of each content; made when the first row of one is not as it was. */
  #contents: WantedContents | undefined;

  constructor(from: ProjectBlobsOptions, table: EntryTable) {
    this.#from = from;
    this.#table = table;
    this.#asked = new Uint8Array(table.length);
  }

  /** A host gets what was offered to it, and that once. */
  wanted(digest: Digest): void {
    const row = this.#rowOf(digest);
    if (row === undefined)
      throw badMessage(`the host asks for ${digest}, which is not of this project`);
    if (this.#asked[row] === 1) throw badMessage(`the host asks for ${digest} again`);
    this.#asked[row] = 1;
  }

  /** A file that is as it was scanned need not be opened again. */
  content(digest: Digest): Buffer | undefined {
    const kept = this.#from.keptContentOf(digest);
    const row = kept === undefined ? undefined : this.#rowOf(digest);
    if (row === undefined) return undefined;
    const stats = lstatIfStillThere(this.#from.root, this.#table.path(row));
    return stats !== undefined && this.#table.matches(row, stats) ? kept : undefined;
  }

  open(digest: Digest): { fd: number } | undefined {
    const first = this.#rowOf(digest);
    if (first === undefined) return undefined;
    const copy = this.#from.snapshotOf(digest);
    if (copy !== undefined) return { fd: openSync(copy, 'r') };
    const fd = this.#openAsScanned(first) ?? this.#openEqual(digest);
    if (fd !== undefined) return { fd };
    for (const row of this.#rowsOf(digest)) this.changedPaths.push(this.#table.path(row));
    return undefined;
  }

  /**
   * What was read is not what was scanned. Of equal files all that may have changed are looked at again:
   * one a round would be more rounds than there are.
   */
  changed(digest: Digest): void {
    for (const row of this.#rowsOf(digest)) {
      const path = this.#table.path(row);
      const stats = row === this.#openedRow ? undefined : lstatIfStillThere(this.#from.root, path);
      if (stats === undefined || !this.#table.matches(row, stats)) this.changedPaths.push(path);
    }
  }

  #openAsScanned(row: number): number | undefined {
    const fd = this.#openRow(row);
    if (fd === undefined || this.#table.hasSameStat(row, fstatSync(fd))) return fd;
    closeSync(fd);
    return undefined;
  }

  /** One that looks as it was scanned, or else any. */
  #openEqual(digest: Digest): number | undefined {
    for (const open of [this.#openAsScanned, this.#openRow])
      for (const row of this.#rowsOf(digest)) {
        const fd = open.call(this, row);
        if (fd !== undefined) return fd;
      }
    return undefined;
  }

  #openRow(row: number): number | undefined {
    this.#openedRow = row;
    return openIfStillThere(this.#from.root, this.#table.path(row));
  }

  *#rowsOf(digest: Digest): Generator<number> {
    const contents = (this.#contents ??= contentsOf(this.#table));
    const content = contents.find(digest);
    if (content < 0) return;
    for (let row = contents.firstRow(content); row >= 0; row = contents.following(row)) yield row;
  }

  #rowOf(digest: Digest): number | undefined {
    // A request asks for the same one more than once.
    if (digest !== this.#lastDigest) {
      this.#lastDigest = digest;
      this.#lastRow = this.#findRow(digest);
    }
    return this.#lastRow;
  }

  #findRow(digest: Digest): number | undefined {
    const wanted = digestBytes(digest);
    for (let step = 0; step < this.#table.length; step++) {
      const row = (this.#cursor + step) % this.#table.length;
      if (this.#table.kind(row) !== 'file' || !this.#table.digestBytes(row).equals(wanted))
        continue;
      this.#cursor = row;
      return row;
    }
    return undefined;
  }
}

function contentsOf(table: EntryTable): WantedContents {
  const contents = new WantedContents(table);
  for (let row = 0; row < table.length; row++) if (table.kind(row) === 'file') contents.add(row);
  return contents;
}
