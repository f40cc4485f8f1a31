import { EntryTableBuilder } from './entry-table-builder.js';
import type { EntryTable } from './entry-table.js';
import { comparePaths } from './entry.js';
import type { FreshEntry } from './fresh-entry.js';
import type { StatSignature } from './stat-signature.js';
import { TableSignatures } from './table-signatures.js';

/** What became of a row that is not as its signature says. */
export type Fate =
  /** The entry is there after all. */
  | { readonly kind: 'same'; readonly signature: StatSignature }
  | { readonly kind: 'changed'; readonly fresh: FreshEntry }
  | { readonly kind: 'deleted' }
  /** Not as it was, and not to be sent home: the entry stays, its content is to be put back. */
  | { readonly kind: 'lost' };

export const LOST: Fate = { kind: 'lost' };
export const DELETED: Fate = { kind: 'deleted' };

/**
 * The table after its rows met their fates and `added`, whose paths it does not have, came in. Keeps the
 * table's id where only signatures differ.
 */
export function applyFates(
  table: EntryTable,
  fates: ReadonlyMap<number, Fate>,
  added: readonly FreshEntry[],
): EntryTable {
  const inOrder = [...fates].sort((a, b) => a[0] - b[0]);
  const isSameManifest =
    added.length === 0 && inOrder.every(([, { kind }]) => kind === 'same' || kind === 'lost');
  if (isSameManifest) {
    const signatures = new TableSignatures(table);
    for (const [row, fate] of inOrder)
      if (fate.kind === 'same') signatures.sign(row, fate.signature);
      else signatures.unsign(row);
    return signatures.table();
  }
  const merge = new Merge(table, added);
  for (const [row, fate] of inOrder) merge.apply(row, fate);
  return merge.finish();
}

class Merge {
  readonly #table: EntryTable;
  readonly #builder: EntryTableBuilder;
  readonly #added: readonly FreshEntry[];
  #nextAdded = 0;
  #nextRow = 0;

  constructor(table: EntryTable, added: readonly FreshEntry[]) {
    this.#table = table;
    this.#builder = new EntryTableBuilder(table);
    this.#added = added.toSorted((a, b) => comparePaths(a.entry.path, b.entry.path));
  }

  apply(row: number, fate: Fate): void {
    this.#copyUpTo(row);
    this.#nextRow = row + 1;
    if (fate.kind === 'same') this.#builder.copyWith(this.#table, row, fate.signature);
    else if (fate.kind === 'lost') this.#builder.copyWith(this.#table, row, undefined);
    else if (fate.kind === 'changed') this.#builder.add(fate.fresh.entry, fate.fresh.signature);
  }

  finish(): EntryTable {
    this.#copyUpTo(this.#table.length);
    return this.#builder.build();
  }

  /** Copies the rows before `end`, and what was added between them. */
  #copyUpTo(end: number): void {
    for (;;) {
      const fresh = this.#added[this.#nextAdded];
      const at =
        fresh === undefined ? Infinity : this.#table.lowerBound(fresh.entry.path, this.#nextRow);
      if (fresh === undefined || at > end) break;
      this.#builder.copyRange(this.#table, this.#nextRow, at);
      this.#builder.add(fresh.entry, fresh.signature);
      this.#nextRow = at;
      this.#nextAdded += 1;
    }
    this.#builder.copyRange(this.#table, this.#nextRow, end);
  }
}
