import { hasEscapedBytes, pathToBytes } from '../util/path-bytes.js';
import {
  DIGEST_LENGTH,
  HAS_SIGNATURE,
  IS_ASCII,
  IS_RACY,
  allocateColumns,
  bytesOf,
  columnTypes,
  growRows,
  growText,
  kindBits,
  trimColumns,
} from './entry-columns.js';
import type { EntryColumns } from './entry-columns.js';
import { EntryTable } from './entry-table.js';
import { comparePaths } from './entry.js';
import type { Entry } from './entry.js';
import type { StatSignature } from './stat-signature.js';

const MIN_ROWS = 64;
const MIN_TEXT_BYTES = 4096;
/** Shorter runs of rows are copied value by value: a view a column costs more than that. */
const BULK_ROWS = 8;

/** Makes a table, row by row in walk order. Of no more use after {@link build}. */
export class EntryTableBuilder {
  #columns!: EntryColumns;
  /** Two columns as Buffers, which take strings without a copy in between. */
  #text!: Buffer;
  #digests!: Buffer;
  #length = 0;
  #textLength = 0;
  /** Of the row added last, where it came as an entry: to refuse one out of order. */
  #lastPath = '';

  /** `like` is a table of about the size to come: what fits needs no growing. */
  constructor(like?: EntryTable) {
    const rows = Math.ceil((like?.length ?? 0) * 1.02);
    const textBytes = Math.ceil((like?.columns.textLength ?? 0) * 1.02);
    this.#useColumns(
      allocateColumns(Math.max(rows, MIN_ROWS), Math.max(textBytes, MIN_TEXT_BYTES)),
    );
  }

  get length(): number {
    return this.#length;
  }

  /** Throws a plain Error for a path that is not after the one added before: a bug of the caller. */
  add(entry: Entry, signature?: StatSignature): void {
    if (this.#lastPath !== '' && comparePaths(this.#lastPath, entry.path) >= 0)
      throw new Error(`Internal error: ${JSON.stringify(entry.path)} is out of walk order`);
    this.#lastPath = entry.path;
    const row = this.#addRows(1);
    const textStart = this.#textLength;
    const pathLength = this.#addString(entry.path);
    const targetLength = entry.kind === 'symlink' ? this.#addString(entry.target) : 0;
    const columns = this.#columns;
    const isAscii = pathLength === entry.path.length && !hasEscapedBytes(entry.path);
    columns.flags[row] = kindBits(entry.kind) | (isAscii ? IS_ASCII : 0);
    columns.textStart[row] = textStart;
    columns.pathLength[row] = pathLength;
    columns.targetLength[row] = targetLength;
    if (entry.kind !== 'symlink') columns.mode[row] = entry.mode;
    if (entry.kind === 'file') {
      columns.size[row] = entry.size;
      // Never -0, which is other bytes than 0 and would make another id.
      columns.mtimeUs[row] = entry.mtimeUs || 0;
      const hex = entry.digest.slice(-2 * DIGEST_LENGTH);
      this.#digests.write(hex, row * DIGEST_LENGTH, 'hex');
    }
    if (signature !== undefined) this.#sign(row, signature);
  }

  /** Appends a row of another table, with its signature. */
  copy(table: EntryTable, row: number): void {
    this.copyRange(table, row, row + 1);
  }

  /** Appends a row of another table with this signature in place of its own. */
  copyWith(table: EntryTable, row: number, signature: StatSignature | undefined): void {
    this.copyRange(table, row, row + 1);
    this.#sign(this.#length - 1, signature);
  }

  /** Appends the rows from `start` up to but not including `end`, with their signatures. */
  copyRange(table: EntryTable, start: number, end: number): void {
    if (end <= start) return;
    this.#lastPath = '';
    const from = table.columns;
    const row = this.#addRows(end - start);
    if (end - start >= BULK_ROWS) {
      for (const [name, , width] of columnTypes)
        this.#columns[name].set(from[name].subarray(start * width, end * width), row * width);
    } else {
      for (let index = start; index < end; index++)
        this.#copyValues(from, index, row + index - start);
    }
    const textStart = from.textStart[start] ?? 0;
    const shift = this.#textLength - textStart;
    this.#addBytes(from.text.subarray(textStart, textEnd(from, end - 1)));
    const starts = this.#columns.textStart;
    for (let index = row; index < this.#length; index++)
      starts[index] = (starts[index] ?? 0) + shift;
  }

  build(): EntryTable {
    return new EntryTable(trimColumns(this.#columns, this.#length, this.#textLength));
  }

  #addRows(count: number): number {
    const first = this.#length;
    const capacity = this.#columns.flags.length;
    if (first + count > capacity)
      this.#useColumns(growRows(this.#columns, Math.max(first + count, grownRows(capacity))));
    this.#length += count;
    return first;
  }

  /** Appends a path or a link's target; returns how many bytes it takes. */
  #addString(text: string): number {
    if (hasEscapedBytes(text)) return this.#addBytes(pathToBytes(text));
    // No UTF-16 unit takes more than three bytes.
    this.#reserveText(text.length * 3);
    const written = this.#text.write(text, this.#textLength);
    this.#textLength += written;
    return written;
  }

  #addBytes(bytes: Uint8Array): number {
    this.#reserveText(bytes.length);
    this.#text.set(bytes, this.#textLength);
    this.#textLength += bytes.length;
    return bytes.length;
  }

  #reserveText(bytes: number): void {
    const capacity = this.#text.length;
    if (this.#textLength + bytes <= capacity) return;
    const wanted = Math.max(this.#textLength + bytes, grownText(capacity));
    this.#useColumns(growText(this.#columns, wanted));
  }

  #useColumns(columns: EntryColumns): void {
    this.#columns = columns;
    this.#text = bytesOf(columns.text);
    this.#digests = bytesOf(columns.digests);
  }

  #copyValues(from: EntryColumns, source: number, row: number): void {
    for (const [name, , width] of columnTypes)
      for (let offset = 0; offset < width; offset++)
        this.#columns[name][row * width + offset] = from[name][source * width + offset] ?? 0;
  }

  #sign(row: number, signature: StatSignature | undefined): void {
    const columns = this.#columns;
    const others = (columns.flags[row] ?? 0) & ~(HAS_SIGNATURE | IS_RACY);
    const bits = signature === undefined ? 0 : HAS_SIGNATURE | (signature.isRacy ? IS_RACY : 0);
    columns.flags[row] = others | bits;
    columns.signatureIno[row] = signature?.ino ?? 0;
    columns.signatureMtimeUs[row] = signature?.mtimeUs ?? 0;
    columns.signatureCtimeUs[row] = signature?.ctimeUs ?? 0;
  }
}

/** From here on room for a large project is reserved at once; memory that is not written costs none. */
const LEAP_ROWS = 4096;
const LARGE_ROWS = 1 << 18;
const LEAP_TEXT_BYTES = 1 << 18;
const LARGE_TEXT_BYTES = 24 << 20;

/**
 * Doubling while small; then one leap to the room that 250,000 entries need, which saves holding old and
 * new columns of that size side by side (a cold scan: 127 MB instead of 172); then by a quarter.
 */
function grownRows(capacity: number): number {
  return grown(capacity, { leap: LEAP_ROWS, large: LARGE_ROWS });
}

function grownText(capacity: number): number {
  return grown(capacity, { leap: LEAP_TEXT_BYTES, large: LARGE_TEXT_BYTES });
}

function grown(capacity: number, steps: { readonly leap: number; readonly large: number }): number {
  if (capacity < steps.leap) return capacity * 2;
  return Math.max(Math.ceil(capacity * 1.25), steps.large);
}

function textEnd(columns: EntryColumns, row: number): number {
  return (
    (columns.textStart[row] ?? 0) +
    (columns.pathLength[row] ?? 0) +
    (columns.targetLength[row] ?? 0)
  );
}
