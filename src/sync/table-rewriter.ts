import type { Stats } from 'node:fs';
import { EntryTableBuilder } from './entry-table-builder.js';
import type { EntryTable } from './entry-table.js';
import { sameEntry } from './entry.js';
import type { Entry } from './entry.js';
import { PathCursor } from './path-cursor.js';
import type { StatSignature } from './stat-signature.js';

/**
 * Makes the next version of a table in one walk along it, at the cost of what differs: rows that stay
 * are copied in runs, and while nothing differs no memory is taken at all.
 *
 * For each path in walk order: seek it with {@link cursor}, then {@link keepIfUntouched} or {@link put}
 * with its row.
 */
export class TableRewriter {
  readonly base: EntryTable;
  /** Finds the base's row of a path. What it passes over and what is not put is gone. */
  readonly cursor: PathCursor;
  #builder: EntryTableBuilder | undefined;
  /** Rows of the base from here up to {@link #end} stay, and are not yet copied. */
  #start = 0;
  #end = 0;

  constructor(base: EntryTable) {
    this.base = base;
    this.cursor = new PathCursor(base);
  }

  /** Keeps the next `rows` rows of the base as they are. */
  keepNext(rows: number): void {
    if (rows === 0) return;
    this.#keep(this.cursor.nextRow, rows);
    this.cursor.pass(rows);
  }

  /** Keeps the row where this fresh lstat proves that its entry is what is there. */
  keepIfUntouched(row: number, stats: Stats): boolean {
    if (row < 0 || !this.base.matches(row, stats)) return false;
    this.#keep(row, 1);
    return true;
  }

  /** Puts what was found at the path of `row` (-1: in no row of the base). */
  put(row: number, entry: Entry, signature?: StatSignature): void {
    if (row < 0 || !sameEntry(this.base.entry(row), entry)) {
      this.#flush().add(entry, signature);
    } else if (signature === undefined || sameSignature(signature, this.base.signature(row))) {
      this.#keep(row, 1);
    } else {
      this.#flush().copyWith(this.base, row, signature);
      this.#start = this.#end = row + 1;
    }
  }

  /** The new table; the base itself where every row stayed. */
  finish(): EntryTable {
    if (this.#builder === undefined && this.#start === 0 && this.#end === this.base.length)
      return this.base;
    return this.#flush().build();
  }

  #keep(row: number, count: number): void {
    if (row !== this.#end) {
      this.#flush();
      this.#start = row;
    }
    this.#end = row + count;
  }

  #flush(): EntryTableBuilder {
    const builder = (this.#builder ??= new EntryTableBuilder(this.base));
    builder.copyRange(this.base, this.#start, this.#end);
    this.#start = this.#end;
    return builder;
  }
}

function sameSignature(a: StatSignature, b: StatSignature | undefined): boolean {
  return (
    a.ino === b?.ino && a.mtimeUs === b.mtimeUs && a.ctimeUs === b.ctimeUs && a.isRacy === b.isRacy
  );
}
