import { DigestNumbers } from '../store/digest-numbers.js';
import { digestBytes } from '../store/digest.js';
import type { Digest } from '../store/digest.js';
import type { EntryTable } from './entry-table.js';

/** Where a content comes from, if not from this row of the disk's table. */
export const FROM_CLIENT = -1;
export const FROM_STORE = -2;

const NONE = -1;

/**
 * The contents that a workspace lacks, by number, and the rows of the manifest that want each. Packed: 70
 * bytes a file, where objects and a map of them took 400.
 */
export class WantedContents {
  readonly #next: EntryTable;
  readonly #numbers = new DigestNumbers();
  /** By content: {@link FROM_CLIENT}, {@link FROM_STORE} or a row of the disk's table. */
  readonly #sources: Int32Array;
  readonly #firstRow: Int32Array;
  readonly #lastRow: Int32Array;
  /** By row of the manifest: the next one that wants the same content, or none. */
  readonly #following: Int32Array;

  /** `next` is the manifest. Memory that is not written to costs none. */
  constructor(next: EntryTable) {
    this.#next = next;
    this.#sources = new Int32Array(next.length);
    this.#firstRow = new Int32Array(next.length);
    this.#lastRow = new Int32Array(next.length);
    this.#following = new Int32Array(next.length);
  }

  get count(): number {
    return this.#numbers.count;
  }

  /** Wants the content of a row, from the client until {@link setSource}. Rows come in walk order. */
  add(row: number): void {
    const before = this.#numbers.count;
    const content = this.#numbers.add(this.#next.digestBytes(row));
    if (content === before) {
      this.#sources[content] = FROM_CLIENT;
      this.#firstRow[content] = row;
    } else {
      this.#following[this.#lastRow[content] ?? 0] = row;
    }
    this.#lastRow[content] = row;
    this.#following[row] = NONE;
  }

  /** The content's number; -1 where it is not wanted. */
  find(digest: Digest): number {
    return this.findBytes(digestBytes(digest));
  }

  findBytes(digest: Uint8Array): number {
    return this.#numbers.numberOf(digest);
  }

  digest(content: number): Digest {
    return this.#next.digest(this.firstRow(content));
  }

  /** A view of the manifest's memory. */
  digestBytes(content: number): Buffer {
    return this.#next.digestBytes(this.firstRow(content));
  }

  size(content: number): number {
    return this.#next.size(this.firstRow(content));
  }

  source(content: number): number {
    return this.#sources[content] ?? FROM_CLIENT;
  }

  setSource(content: number, source: number): void {
    this.#sources[content] = source;
  }

  firstRow(content: number): number {
    return this.#firstRow[content] ?? 0;
  }

  /** The row after this one that wants the same content; -1 where there is none. */
  following(row: number): number {
    return this.#following[row] ?? NONE;
  }
}
