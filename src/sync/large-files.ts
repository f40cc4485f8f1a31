import type { AnchoredRoot } from '../util/safe-path.js';
import type { Steps } from '../util/slices.js';
import type { EntryTable } from './entry-table.js';
import type { WorkspacePath } from './entry.js';
import { toFileEntry } from './fresh-entry.js';
import { hashFileWith } from './hash-file.js';
import type { HashedBytes } from './hash-file.js';
import { TableRewriter } from './table-rewriter.js';

/** Reads the large files that a scan sees for the first time, in walk order, after everything else. */
export interface LargeFileReader {
  /** Files below this are none of them. */
  readonly minBytes: number;
  /** Told the sizes of all of them, before the first is read. */
  offer(sizes: readonly number[]): Promise<void>;
  /** Hashes the first `limit` bytes of the open file, or as far as it goes. `index` is its place among the sizes. */
  read(index: number, file: { readonly fd: number; readonly limit: number }): Steps<HashedBytes>;
  /** Nothing more will be read, also after an error. */
  end(): void;
}

export interface LargeFilesOptions {
  readonly reader: LargeFileReader;
  readonly root: AnchoredRoot;
  readonly onHashed: (size: number) => void;
  readonly onError: (path: WorkspacePath, error: unknown) => void;
}

/** The files that one scan leaves for its end. */
export class LargeFiles {
  readonly #options: LargeFilesOptions;
  readonly #found: { readonly path: WorkspacePath; readonly size: number }[] = [];

  constructor(options: LargeFilesOptions) {
    this.#options = options;
  }

  /** True where the file is one of these, and is hashed later. In walk order. */
  take(path: WorkspacePath, size: number): boolean {
    if (size < this.#options.reader.minBytes) return false;
    this.#found.push({ path, size });
    return true;
  }

  /** The table, which has no rows of theirs, with them. */
  *addTo(table: EntryTable): Steps<EntryTable> {
    const { reader } = this.#options;
    if (this.#found.length === 0) return table;
    const rows = new TableRewriter(table);
    try {
      yield reader.offer(this.#found.map(({ size }) => size));
      for (const [index, { path }] of this.#found.entries()) {
        rows.keepNext(table.lowerBound(path) - rows.cursor.nextRow);
        yield* this.#add(rows, path, index);
      }
    } finally {
      reader.end();
    }
    rows.keepNext(table.length - rows.cursor.nextRow);
    return rows.finish();
  }

  *#add(rows: TableRewriter, path: WorkspacePath, index: number): Steps<void> {
    const { root, reader, onHashed, onError } = this.#options;
    try {
      const hashed = yield* hashFileWith(root, path, (fd, limit) =>
        reader.read(index, { fd, limit }),
      );
      if (hashed === undefined) return;
      onHashed(hashed.size);
      const { entry, signature } = toFileEntry(path, hashed);
      rows.put(-1, entry, signature);
    } catch (error) {
      onError(path, error);
    }
  }
}
