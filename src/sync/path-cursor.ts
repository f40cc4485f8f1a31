import type { EntryTable } from './entry-table.js';
import { comparePaths } from './entry.js';

/** Goes along the paths of a table while paths are sought in walk order. */
export class PathCursor {
  readonly #table: EntryTable;
  #row = 0;
  /** Its path, once it was needed. */
  #path: string | undefined;

  constructor(table: EntryTable) {
    this.#table = table;
  }

  /** The row of this path, or -1. Rows before it are passed over. */
  seek(path: string): number {
    while (this.#row < this.#table.length) {
      this.#path ??= this.#table.path(this.#row);
      const isSame = this.#path === path;
      if (!isSame && comparePaths(this.#path, path) > 0) return -1;
      this.#path = undefined;
      this.#row += 1;
      if (isSame) return this.#row - 1;
    }
    return -1;
  }

  /** The first row not yet found or passed over. */
  get nextRow(): number {
    return this.#row;
  }

  /** Passes over rows that the caller has found by itself. */
  pass(rows: number): void {
    this.#row += rows;
    this.#path = undefined;
  }
}
