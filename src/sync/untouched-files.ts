import { constants, lstatSync } from 'node:fs';
import { FILE_BITS, HAS_SIGNATURE, IS_ASCII, IS_RACY, KIND_MASK } from './entry-columns.js';
import type { EntryTable } from './entry-table.js';

/** Bytes of text decoded at a time: small enough to be young garbage, large enough to be one call. */
const BLOCK_BYTES = 64 * 1024;
/** No error is made for what is gone. */
const QUIET = { throwIfNoEntry: false } as const;

/** Names of one directory in walk order. */
export interface NameRun {
  readonly names: readonly string[];
  readonly from: number;
  readonly to: number;
  /** What stands before a name in a path of the table, and in one for `fs`. */
  readonly prefix: string;
  readonly absolutePrefix: string;
}

/** The flags of a row that can be compared here, and what they must be. */
const FLAGS = KIND_MASK | IS_ASCII | HAS_SIGNATURE | IS_RACY;
const COMPARABLE = FILE_BITS | IS_ASCII | HAS_SIGNATURE;

const MODE_AND_TYPE = constants.S_IFMT | 0o777;
const REGULAR = constants.S_IFREG;

/**
 * Counts the files at the front of a run that are the table's next rows and have not been written to
 * since. A scan in which little is new does nothing else for nearly all files, and it does it in code
 * that is not compiled yet: so here it is one loop over columns, which makes no string and calls no
 * function of ours for a row. It says of a row what {@link EntryTable.matches} says; a test holds them
 * equal.
 */
export class UntouchedFiles {
  readonly #table: EntryTable;
  #block = '';
  #blockStart = 0;
  #blockEnd = 0;

  constructor(table: EntryTable) {
    this.#table = table;
  }

  /** `firstRow` is where the first name's row would be. Stops where anything is not as expected. */
  count({ names, from, to, prefix, absolutePrefix }: NameRun, firstRow: number): number {
    const { flags, pathLength, textStart, size, mode } = this.#table.columns;
    const { signatureIno, signatureCtimeUs, signatureMtimeUs } = this.#table.columns;
    let index = from;
    try {
      for (let row = firstRow; index < to; index++, row++) {
        const name = names[index] ?? '';
        const start = textStart[row] ?? 0;
        const length = prefix.length + name.length;
        if (pathLength[row] !== length || ((flags[row] ?? 0) & FLAGS) !== COMPARABLE) break;
        if (start < this.#blockStart || start + length > this.#blockEnd) this.#decodeFrom(start);
        const at = start - this.#blockStart;
        if (!this.#block.startsWith(name, at + prefix.length)) break;
        if (!this.#block.startsWith(prefix, at)) break;
        const stats = lstatSync(absolutePrefix + name, QUIET);
        if (stats === undefined) break;
        if (stats.ino !== signatureIno[row] || stats.size !== size[row]) break;
        // As microseconds.ts has it.
        if (Math.floor(stats.ctimeMs * 1000) !== signatureCtimeUs[row]) break;
        if (Math.floor(stats.mtimeMs * 1000) !== signatureMtimeUs[row]) break;
        if ((stats.mode & MODE_AND_TYPE) !== (REGULAR | (mode[row] ?? 0))) break;
      }
    } catch {
      // What is wrong with the path is for the caller to find out.
    }
    return index - from;
  }

  #decodeFrom(start: number): void {
    const { text, textLength } = this.#table.columns;
    const bytes = text.subarray(start, Math.min(start + BLOCK_BYTES, textLength));
    // One byte is one character, so offsets stay; only rows that are ASCII are compared with it.
    this.#block = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
    this.#blockStart = start;
    this.#blockEnd = start + bytes.length;
  }
}
