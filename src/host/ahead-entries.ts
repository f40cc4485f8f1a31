import { badMessage } from '../protocol/bad-message.js';
import { AheadEntryReceiver } from '../protocol/ahead-entry-receiver.js';
import type { BlobStore } from '../store/blob-store.js';
import type { Digest } from '../store/digest.js';
import { EntryTableBuilder } from '../sync/entry-table-builder.js';
import { ctimeUsOf, mtimeUsOf } from '../util/microseconds.js';
import { PRESENT } from '../sync/table-signatures.js';
import type { WorkspaceFiles } from '../sync/workspace-files.js';
import type { DiskState } from '../sync/workspace-scan.js';
import { MAX_ENTRIES } from './incoming-manifest.js';

/** The share of a sample that may be here: more, and to ask for what is missing is less work. */
const SHARE_HELD = 0.25;

/** Whether a project of which this is a sample is worth being sent without asking what is missing of it. */
export function isMostlyNew(store: BlobStore, sample: readonly Digest[]): boolean {
  const held = sample.filter((digest) => store.has(digest)).length;
  return sample.length > 0 && held <= sample.length * SHARE_HELD;
}

/**
 * What a client sends ahead of the manifest into a workspace in which there is nothing: written where it
 * belongs as it comes, so that the manifest, once it is here, finds it done. Whatever is not in that manifest
 * after all goes as anything does that was there before.
 */
export class AheadEntries {
  readonly #files: WorkspaceFiles;
  readonly #table = new EntryTableBuilder();
  readonly #receiver: AheadEntryReceiver;

  constructor(files: WorkspaceFiles) {
    this.#files = files;
    this.#receiver = new AheadEntryReceiver({
      directory: (entry) => {
        this.#count();
        files.makeDirectory(entry.path);
        files.setDirectoryMode(entry.path, entry.mode);
        this.#table.add(entry, PRESENT);
      },
      file: (entry, bytes) => {
        this.#count();
        const stats = files.createFile(entry.path, bytes, entry);
        const times = { mtimeUs: mtimeUsOf(stats), ctimeUs: ctimeUsOf(stats) };
        this.#table.add(entry, { ino: stats.ino, ...times, isRacy: false });
      },
    });
  }

  /** Throws what an ahead-entry receiver throws, and DISK_FULL. */
  push(bytes: Uint8Array): void {
    this.#receiver.push(bytes);
  }

  /** What is in the workspace by now. Throws BAD_MESSAGE where something of it is still to come. */
  finish(): DiskState {
    this.#receiver.end();
    this.leave();
    return { table: this.#table.build(), strangers: [] };
  }

  /** What has come stays, for the next run to find. */
  leave(): void {
    this.#files.closeDirectories();
  }

  #count(): void {
    if (this.#table.length === MAX_ENTRIES)
      throw badMessage(`more than ${MAX_ENTRIES} entries ahead`);
  }
}
