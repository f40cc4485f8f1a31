/**
 * The memory of an entry table: one typed array a field, all texts in one buffer. 80 bytes an entry
 * and its path; an object an entry would cost several times that, and a second for each 100,000 in
 * garbage collection.
 */
import { endianness } from 'node:os';
import type { EntryKind } from './entry.js';

/** Bits of `flags`. The lowest two are the kind. */
export const KIND_MASK = 0b11;
/** The path's bytes are all below 0x80, so they are decoded without looking at them. */
export const IS_ASCII = 0b100;
export const HAS_SIGNATURE = 0b1000;
export const IS_RACY = 0b10000;

const kinds: readonly EntryKind[] = ['file', 'directory', 'symlink'];
export const FILE_BITS = 0;
export const DIRECTORY_BITS = 1;
export const SYMLINK_BITS = 2;

export function kindBits(kind: EntryKind): number {
  if (kind === 'file') return FILE_BITS;
  return kind === 'directory' ? DIRECTORY_BITS : SYMLINK_BITS;
}

export function kindOfBits(bits: number): EntryKind {
  return kinds[bits] ?? 'file';
}

export const DIGEST_LENGTH = 32;
const IS_LITTLE_ENDIAN = endianness() === 'LE';

/**
 * Tables are compared in blocks of so many rows: 10,000 rows alike cost 40 comparisons of memory and
 * not 10,000 rounds of a loop, which a fresh process has not even compiled (0.2 ms against 11).
 */
export const BLOCK_ROWS = 256;

export interface EntryColumns {
  readonly length: number;
  /** Bytes of `text` in use. */
  readonly textLength: number;
  readonly size: Float64Array;
  readonly mtimeUs: Float64Array;
  readonly signatureIno: Float64Array;
  readonly signatureMtimeUs: Float64Array;
  readonly signatureCtimeUs: Float64Array;
  /** Where in `text` a row's path starts; a link's target follows its path at once. */
  readonly textStart: Uint32Array;
  readonly pathLength: Uint16Array;
  readonly targetLength: Uint16Array;
  readonly mode: Uint16Array;
  readonly flags: Uint8Array;
  readonly digests: Uint8Array;
  readonly text: Uint8Array;
}

/** Every column but `text`, with its type and values a row: allocation, growth and the file format. */
export const columnTypes = [
  ['size', Float64Array, 1],
  ['mtimeUs', Float64Array, 1],
  ['signatureIno', Float64Array, 1],
  ['signatureMtimeUs', Float64Array, 1],
  ['signatureCtimeUs', Float64Array, 1],
  ['textStart', Uint32Array, 1],
  ['pathLength', Uint16Array, 1],
  ['targetLength', Uint16Array, 1],
  ['mode', Uint16Array, 1],
  ['flags', Uint8Array, 1],
  ['digests', Uint8Array, DIGEST_LENGTH],
] as const;

export type Column = Float64Array | Uint32Array | Uint16Array | Uint8Array;
export type ColumnName = (typeof columnTypes)[number][0];

/** Columns with room for `rows` rows and `textBytes` bytes of text. */
export function allocateColumns(rows: number, textBytes: number): EntryColumns {
  return assemble(
    { length: 0, textLength: 0, text: new Uint8Array(textBytes) },
    (type, width) => new type(rows * width),
  );
}

/**
 * The same rows with room for more. A column at a time, so that the old and the new of only one are
 * held at once; pages not yet written cost no memory.
 */
export function growRows(columns: EntryColumns, rows: number): EntryColumns {
  return assemble(columns, (type, width, name) => {
    const grown = new type(rows * width);
    grown.set(columns[name]);
    return grown;
  });
}

export function growText(columns: EntryColumns, textBytes: number): EntryColumns {
  const text = new Uint8Array(textBytes);
  text.set(columns.text);
  return { ...columns, text };
}

/** Exactly the rows in use: views where little room is left over, else copies that free it. */
export function trimColumns(
  columns: EntryColumns,
  length: number,
  textLength: number,
): EntryColumns {
  const isTight = columns.flags.length <= length + length / 4;
  const isTextTight = columns.text.length <= textLength + textLength / 4;
  const text = isTextTight
    ? columns.text.subarray(0, textLength)
    : columns.text.slice(0, textLength);
  return assemble({ length, textLength, text }, (_type, width, name) =>
    isTight ? columns[name].subarray(0, length * width) : columns[name].slice(0, length * width),
  );
}

type ColumnType = (typeof columnTypes)[number][1];

/** Columns made one by one in the order of {@link columnTypes}. */
export function assemble(
  whole: Pick<EntryColumns, 'length' | 'textLength' | 'text'>,
  make: (type: ColumnType, width: number, name: ColumnName) => Column,
): EntryColumns {
  const made: Partial<Record<ColumnName, Column>> = {};
  for (const [name, type, width] of columnTypes) made[name] = make(type, width, name);
  const { length, textLength, text } = whole;
  // `columnTypes` names every column with its type; `make` is given that type.
  return {
    ...(made as Omit<EntryColumns, 'length' | 'textLength' | 'text'>),
    length,
    textLength,
    text,
  };
}

/** What makes two rows the same entry, but for the kind and the texts. The order is part of every id. */
const idColumnNames: readonly ColumnName[] = [
  'size',
  'mtimeUs',
  'pathLength',
  'targetLength',
  'mode',
  'digests',
];
export const idColumns = columnTypes.filter(([name]) => idColumnNames.includes(name));

/** Where in the columns a block of {@link BLOCK_ROWS} rows begins. */
export interface BlockStart {
  readonly columns: EntryColumns;
  readonly row: number;
}

/** True when both blocks lie within their tables and are the same row by row, signatures aside. */
export function isSameBlock(a: BlockStart, b: BlockStart): boolean {
  if (a.row + BLOCK_ROWS > a.columns.length || b.row + BLOCK_ROWS > b.columns.length) return false;
  for (let index = 0; index < BLOCK_ROWS; index++) {
    const flags = a.columns.flags[a.row + index] ?? 0;
    if (((flags ^ (b.columns.flags[b.row + index] ?? 0)) & KIND_MASK) !== 0) return false;
  }
  return (
    idColumns.every(([name, , width]) => {
      const of = ({ columns, row }: BlockStart): Buffer =>
        bytesOf(columns[name].subarray(row * width, (row + BLOCK_ROWS) * width));
      return of(a).equals(of(b));
    }) && blockText(a).equals(blockText(b))
  );
}

function blockText({ columns, row }: BlockStart): Buffer {
  const next = row + BLOCK_ROWS;
  const end = next < columns.length ? columns.textStart[next] : columns.textLength;
  return bytesOf(columns.text.subarray(columns.textStart[row], end));
}

/** The bytes of a column as all machines agree on them. */
export function littleEndian(column: Column): Buffer {
  const bytes = bytesOf(column);
  if (IS_LITTLE_ENDIAN || column.BYTES_PER_ELEMENT === 1) return bytes;
  const swapped = Buffer.from(bytes);
  if (column.BYTES_PER_ELEMENT === 2) return swapped.swap16();
  return column.BYTES_PER_ELEMENT === 4 ? swapped.swap32() : swapped.swap64();
}

/** The same memory as a Buffer. */
export function bytesOf(view: ArrayBufferView): Buffer {
  return Buffer.from(view.buffer, view.byteOffset, view.byteLength);
}
