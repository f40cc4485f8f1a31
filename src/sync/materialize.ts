/**
 * Turns a workspace into exactly a manifest by touching only what differs. Everything here may be cut off
 * between any two steps: what is half done then does not match its signature, and is put right by the next
 * verify and materialize.
 *
 * The order: what goes, since it may stand in the way; directories; what is there already under another
 * name; what the client sends, as it comes; links; modes that close directories.
 */
import { closeSync, fstatSync, mkdirSync, openSync, readSync, rmSync } from 'node:fs';
import type { Stats } from 'node:fs';
import path from 'node:path';
import { RmtxError } from '../errors.js';
import { LARGE_BLOB_BYTES } from '../store/chunk-list.js';
import { copyAndHash } from '../store/copy-and-hash.js';
import { hashBytes, toDigest } from '../store/digest.js';
import type { Digest } from '../store/digest.js';
import { PRIVATE_DIRECTORY_MODE } from '../util/atomic-file.js';
import { blockThread } from '../util/block-thread.js';
import { ctimeUsOf, mtimeUsOf, nowUs } from '../util/microseconds.js';
import { printable } from '../util/printable.js';
import { SAFE_READ_FLAGS } from '../util/safe-path.js';
import type { EntryTable } from './entry-table.js';
import type { WorkspacePath } from './entry.js';
import type { FileAttributes } from './workspace-files.js';
import { planMaterialize, timeOfChanged } from './materialize-plan.js';
import type { MaterializeInput, MaterializePlan } from './materialize-plan.js';
import { FROM_CLIENT } from './wanted-contents.js';
import { LONGEST_RACY_US, RACY_WINDOW_US } from './stat-signature.js';

/** To hash this much takes longer than to wait until its signature proves something. */
const LONG_READ_BYTES = 32 * 1024 * 1024;

export interface MaterializeResult {
  /** The manifest, with the signature of every row that is there. */
  readonly table: EntryTable;
  readonly filesWritten: number;
  readonly removed: number;
}

export interface MissingContent {
  /** Raw; a view that stays good. */
  readonly digest: Buffer;
  readonly size: number;
}

export interface MaterializerOptions extends MaterializeInput {
  /** A directory of ours on the workspace's file system, for files on their way. */
  readonly stagingDirectory: string;
}

/**
 * One way from a workspace as it is to a manifest. The caller fetches {@link missing} meanwhile; nothing
 * is changed before {@link prepare}. Of no more use after an error.
 */
export class Materializer {
  readonly #options: MaterializerOptions;
  readonly #plan: MaterializePlan;
  readonly #staged = new Map<Digest, string>();
  #isPrepared = false;
  #filesWritten = 0;
  #removed = 0;
  #stagedCount = 0;
  /** When the last of the large files was written. */
  #largeWrittenUs = 0;

  constructor(options: MaterializerOptions) {
    this.#options = options;
    this.#plan = planMaterialize(options);
  }

  /** What the client has to send, in walk order of the first path that wants it. */
  *missing(): Generator<MissingContent> {
    const { contents } = this.#plan;
    for (let content = 0; content < contents.count; content++)
      if (contents.source(content) === FROM_CLIENT)
        yield { digest: contents.digestBytes(content), size: contents.size(content) };
  }

  /** Leaves off before the end. Returns the manifest, with the signatures of what is there by now. */
  leave(): EntryTable {
    this.#options.files.closeDirectories();
    const { signatures } = this.#plan;
    signatures.markRacy(nowUs());
    return signatures.table();
  }

  /**
   * Opens for reading what was, or still is, at the first path that wants this content: large files
   * mostly change in parts.
   */
  openOlder(digest: Digest): number | undefined {
    const { files, disk, next, store } = this.#options;
    const { contents } = this.#plan;
    const content = contents.find(digest);
    if (content < 0) return undefined;
    const row = contents.firstRow(content);
    const fd = files.openFile(next.path(row));
    if (fd !== undefined) return fd;
    const known = disk.table.indexOf(next.path(row));
    if (known < 0 || disk.table.kind(known) !== 'file') return undefined;
    return store.openUnverified(disk.table.digest(known));
  }

  /** Everything that needs nothing from the client. Called again it does nothing, unless it failed. */
  prepare(): void {
    if (this.#isPrepared) return;
    const { files, next } = this.#options;
    for (const stranger of this.#options.disk.strangers) this.#clearStranger(stranger);
    // What is in a directory goes before it.
    for (const row of this.#plan.departures.toReversed()) this.#depart(row);
    for (const row of this.#plan.directories) files.makeDirectory(next.path(row));
    for (const { row, mtimeUs } of this.#plan.rightContents) this.#settle(row, mtimeUs);
    for (let content = 0; content < this.#plan.contents.count; content++)
      this.#placePresent(content);
    this.#isPrepared = true;
  }

  /** Writes a content to every path that wants it. The bytes have been verified. */
  placeBytes(digest: Digest, bytes: Uint8Array): void {
    this.prepare();
    this.#writeBytes(digest, bytes);
  }

  /** As {@link placeBytes}, for a verified file of ours, which is moved to where it is wanted. */
  placeFile(digest: Digest, file: string): void {
    this.prepare();
    this.#moveFile(digest, file);
  }

  /**
   * The last step. With `mayLack` a file whose content was not to be had is removed, and has no signature
   * afterwards; without, this throws BLOB_MISSING that names one.
   */
  finish(options: { readonly mayLack: boolean }): MaterializeResult {
    this.prepare();
    const { files, next } = this.#options;
    const signatures = this.#plan.signatures;
    for (const row of this.#plan.symlinks) this.#placeSymlink(row);
    for (let content = 0; content < this.#plan.contents.count; content++)
      for (const row of this.#rowsOf(content))
        if (!signatures.isSigned(row)) this.#lack(row, options.mayLack);
    for (const row of this.#plan.directories) {
      files.setDirectoryMode(next.path(row), next.mode(row));
      signatures.signDirectory(row);
    }
    rmSync(this.#options.stagingDirectory, { recursive: true, force: true });
    const racyUntilUs = this.#largeWrittenUs + RACY_WINDOW_US;
    blockThread(Math.min(racyUntilUs - nowUs(), LONGEST_RACY_US));
    return { table: this.leave(), filesWritten: this.#filesWritten, removed: this.#removed };
  }

  #clearStranger(stranger: WorkspacePath): void {
    const { files } = this.#options;
    const stats = files.lstat(stranger);
    if (stats !== undefined) this.#clear(stranger, stats.isDirectory());
  }

  /** Removes what the manifest does not have, or has as something else, at a path and below it. */
  #clear(found: string, isDirectory: boolean): void {
    const { files, next, rules } = this.#options;
    const row = next.indexOf(found);
    if (row < 0) {
      if (rules.isKept(found, { isDirectory })) return;
      files.clear(found, (child, kind) => rules.isKept(child, kind));
      this.#removed += 1;
    } else if ((next.kind(row) === 'directory') !== isDirectory) {
      files.remove(found);
      this.#removed += 1;
    } else if (isDirectory) {
      const { names, kinds } = files.list(found);
      for (const [index, name] of names.entries())
        this.#clear(`${found}/${name}`, kinds[index] === 'directory');
    }
    // A file or a link where there is to be one: used as it is, or replaced in its turn.
  }

  /** A file nobody has touched is worth keeping: it may come back, under this name or another. */
  #depart(row: number): void {
    const { files, disk, next, store } = this.#options;
    const { table } = disk;
    const found = table.path(row);
    this.#removed += 1;
    const kind = table.kind(row);
    if (kind === 'directory') {
      const isReplaced = next.indexOf(found) >= 0;
      // Only what is kept can still be in it.
      if (!files.removeEmptyDirectory(found) && isReplaced) files.remove(found);
      return;
    }
    const stats = kind === 'file' ? files.lstat(found) : undefined;
    // Another name of the same file would let somebody change it behind our back.
    if (stats === undefined || stats.nlink !== 1 || !table.hasSameStat(row, stats)) {
      files.remove(found);
      return;
    }
    const staged = this.#stagingPath();
    files.moveOut(found, staged);
    const { contents } = this.#plan;
    const content = contents.findBytes(table.digestBytes(row));
    if (content >= 0 && contents.source(content) === row)
      this.#staged.set(table.digest(row), staged);
    else store.adopt(table.digest(row), staged);
  }

  #settle(row: number, mtimeUs: number): void {
    const { files, next } = this.#options;
    const place = next.path(row);
    const attributes = { mode: next.mode(row), mtimeUs };
    const found = files.lstat(place);
    const isSettled =
      found !== undefined &&
      mtimeUsOf(found) === mtimeUs &&
      (found.mode & 0o777) === attributes.mode;
    // Under its other name the file may be another entry, or kept from run to run.
    if (found !== undefined && found.nlink > 1)
      this.#sign(row, files.moveIn(this.#stageFile(place), place, attributes));
    else this.#sign(row, isSettled ? found : files.setAttributes(place, attributes));
  }

  /** Content that is on this host. Where it turns out not to be, its rows stay without. */
  #placePresent(content: number): void {
    const { contents } = this.#plan;
    if (contents.source(content) === FROM_CLIENT) return;
    const [digest, size] = [contents.digest(content), contents.size(content)];
    const staged = this.#staged.get(digest);
    if (staged !== undefined) {
      this.#moveFile(digest, staged);
      return;
    }
    const fd = this.#openPresent(digest, contents.source(content));
    if (fd === undefined) return;
    try {
      if (size >= LARGE_BLOB_BYTES) {
        const copy = this.#stagingPath();
        if (toDigest(copyAndHash(fd, copy, size).digest) === digest) this.#moveFile(digest, copy);
      } else {
        const bytes = readWhole(fd, size);
        if (toDigest(hashBytes(bytes)) === digest) this.#writeBytes(digest, bytes);
      }
    } finally {
      closeSync(fd);
    }
  }

  #openPresent(digest: Digest, source: number): number | undefined {
    const { files, disk, store } = this.#options;
    if (source >= 0) return files.openFile(disk.table.path(source));
    return store.openUnverified(digest);
  }

  #placeSymlink(row: number): void {
    const { files, next } = this.#options;
    const place = next.path(row);
    const found = files.lstat(place);
    const isThere =
      found?.isSymbolicLink() === true && files.readTarget(place) === next.target(row);
    this.#sign(row, isThere ? found : files.createSymlink(place, next.target(row)));
  }

  #writeBytes(digest: Digest, bytes: Uint8Array): void {
    const { files, next } = this.#options;
    for (const row of this.#rowsOf(this.#plan.contents.find(digest))) {
      this.#sign(row, files.createFile(next.path(row), bytes, this.#attributesOf(row)));
      this.#filesWritten += 1;
    }
  }

  #moveFile(digest: Digest, file: string): void {
    const { files, next } = this.#options;
    const rows = this.#rowsOf(this.#plan.contents.find(digest));
    for (const [index, row] of rows.entries()) {
      const source = index === rows.length - 1 ? file : this.#stageCopy(file);
      this.#sign(row, files.moveIn(source, next.path(row), this.#attributesOf(row)));
      this.#filesWritten += 1;
    }
  }

  /** The rows that want a content, in walk order. */
  #rowsOf(content: number): readonly number[] {
    const { contents } = this.#plan;
    const rows: number[] = [];
    let row = content < 0 ? -1 : contents.firstRow(content);
    for (; row >= 0; row = contents.following(row)) rows.push(row);
    return rows;
  }

  #attributesOf(row: number): FileAttributes {
    return { mode: this.#options.next.mode(row), mtimeUs: timeOfChanged(this.#options, row) };
  }

  #lack(row: number, mayLack: boolean): void {
    const { files, next } = this.#options;
    if (!mayLack)
      throw new RmtxError(
        'ERR_RMTX_BLOB_MISSING',
        `the content of ${printable(next.path(row))} did not arrive`,
      );
    files.remove(next.path(row));
  }

  #stageFile(place: string): string {
    const fd = this.#options.files.openFile(place);
    if (fd === undefined) throw new Error(`Internal error: ${place} is no file any more`);
    return this.#stageOpen(fd);
  }

  #stageCopy(file: string): string {
    return this.#stageOpen(openSync(file, SAFE_READ_FLAGS));
  }

  /** Copies an open file, and closes it. */
  #stageOpen(fd: number): string {
    const copy = this.#stagingPath();
    try {
      copyAndHash(fd, copy, fstatSync(fd).size);
    } finally {
      closeSync(fd);
    }
    return copy;
  }

  #stagingPath(): string {
    const { stagingDirectory } = this.#options;
    if (this.#stagedCount === 0)
      mkdirSync(stagingDirectory, { recursive: true, mode: PRIVATE_DIRECTORY_MODE });
    this.#stagedCount += 1;
    return path.join(stagingDirectory, String(this.#stagedCount));
  }

  #sign(row: number, stats: Stats): void {
    if (stats.size >= LONG_READ_BYTES)
      this.#largeWrittenUs = Math.max(this.#largeWrittenUs, ctimeUsOf(stats));
    // Whether it is racy is decided at the end, when the command may start.
    this.#plan.signatures.sign(row, {
      ino: stats.ino,
      mtimeUs: mtimeUsOf(stats),
      ctimeUs: ctimeUsOf(stats),
      isRacy: false,
    });
  }
}

function readWhole(fd: number, size: number): Buffer {
  const buffer = Buffer.allocUnsafe(size + 1);
  let length = 0;
  for (;;) {
    const count = readSync(fd, buffer, length, buffer.length - length, length);
    length += count;
    // A file that has grown fills the buffer, and so has another digest.
    if (count === 0 || length === buffer.length) return buffer.subarray(0, length);
  }
}
