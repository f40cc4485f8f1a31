/** Files that a client sends ahead: their content is here before a manifest says what they are. */
import { rmSync, statfsSync } from 'node:fs';
import { AheadFileReceiver } from '../protocol/ahead-file-receiver.js';
import type { BlobStore } from '../store/blob-store.js';
import { LARGE_BLOB_BYTES } from '../store/chunk-list.js';
import type { Digest } from '../store/digest.js';
import type { EntryTable } from '../sync/entry-table.js';

/** What no manifest names yet must leave room for everything else. */
const SHARE_OF_FREE_SPACE = 0.5;

/** What came ahead in one run, until its manifest is here. */
export class AheadFiles implements Disposable {
  readonly #store: BlobStore;
  readonly #receiver: AheadFileReceiver;
  readonly #arrived = new Map<Digest, string>();

  /** `wanted`: the size of each, by its index in what was offered. */
  constructor(store: BlobStore, wanted: ReadonlyMap<number, number>) {
    this.#store = store;
    const { partials } = store;
    this.#receiver = new AheadFileReceiver(wanted, {
      create: (size) => partials.claimUnnamed(size),
      arrived: (digest, path) => {
        const twin = this.#arrived.get(digest);
        if (twin !== undefined) rmSync(twin, { force: true });
        this.#arrived.set(digest, path);
      },
      unfinished: (size, path) => partials.releaseUnnamed(size, path),
    });
  }

  /** Throws what an ahead-file-receiver throws. */
  push(bytes: Uint8Array): void {
    this.#receiver.push(bytes);
  }

  /** The file that holds this blob; it is the caller's from here on. Its bytes are the digest's. */
  take(digest: Digest): string | undefined {
    const file = this.#arrived.get(digest);
    this.#arrived.delete(digest);
    return file;
  }

  /** The manifest is here: what it did not name, nobody will ask for. */
  discard(): void {
    this.#receiver[Symbol.dispose]();
    for (const file of this.#arrived.values()) rmSync(file, { force: true });
    this.#arrived.clear();
  }

  /** What came is kept for the next run. */
  [Symbol.dispose](): void {
    this.#receiver[Symbol.dispose]();
    for (const [digest, file] of this.#arrived) this.#store.partials.release(digest, file);
    this.#arrived.clear();
  }
}

/**
 * Which of the files on offer are to be sent ahead. Not one that may be here already, under another name or in
 * part: that takes its digest to find out, and then perhaps no transfer at all.
 */
export function wantedAhead(
  sizes: readonly number[],
  { store, table }: { readonly store: BlobStore; readonly table: EntryTable },
): Map<number, number> {
  const wanted = new Map<number, number>();
  // Of those the sizes are not known, only how far they got.
  if (store.partials.names().length > 0) return wanted;
  const held = heldSizes(store, table);
  const { bavail, bsize } = statfsSync(store.directory);
  let left = bavail * bsize * SHARE_OF_FREE_SPACE;
  for (const [index, size] of sizes.entries()) {
    if (held.has(size) || size > left) continue;
    held.add(size);
    left -= size;
    wanted.set(index, size);
  }
  return wanted;
}

function heldSizes(store: BlobStore, table: EntryTable): Set<number> {
  const sizes = new Set<number>();
  const add = (size: number): void => {
    if (size >= LARGE_BLOB_BYTES) sizes.add(size);
  };
  for (let row = 0; row < table.length; row++) add(table.size(row));
  for (const { size } of store.list()) add(size);
  return sizes;
}
