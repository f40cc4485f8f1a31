import { DigestNumbers } from '../store/digest-numbers.js';
import { digestBytes } from '../store/digest.js';
import type { Digest } from '../store/digest.js';

/** What the contents may take of memory; the files after that are read again. */
const MAX_BYTES = 64 * 1024 * 1024;
/**
 * A project with more new files needs the memory for its table, and nothing stays kept: 250,000 files are to
 * fit into 150 MB, table and all.
 */
const MAX_FILES = 50_000;
/** Above this a file costs what its bytes cost, and not what opening it does. */
const MAX_FILE_BYTES = 64 * 1024;
const SLAB_BYTES = 1024 * 1024;
/** Of a file that is kept, besides its bytes. */
const OVERHEAD_BYTES = 256;

/**
 * The contents of small files that a scan has read and hashed, until they are sent: to open, read and hash
 * each once more costs as much again as the scan.
 */
export class KeptContents {
  #numbers = new DigestNumbers();
  #places: Buffer[] = [];
  #offered = 0;
  #slab = Buffer.alloc(0);
  #left = MAX_BYTES;

  /** Copies the bytes, if they are few and there is room. */
  keep(digest: Digest, bytes: Uint8Array): void {
    this.#offered += 1;
    if (this.#offered === MAX_FILES) this.#forget();
    const cost = bytes.length + OVERHEAD_BYTES;
    if (bytes.length > MAX_FILE_BYTES || cost > this.#left) return;
    const number = this.#numbers.add(digestBytes(digest));
    if (number < this.#places.length) return;
    this.#left -= cost;
    if (this.#slab.length < bytes.length) this.#slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
    this.#slab.set(bytes);
    this.#places.push(this.#slab.subarray(0, bytes.length));
    this.#slab = this.#slab.subarray(bytes.length);
  }

  /** The bytes of this digest, where they were kept. */
  find(digest: Digest): Buffer | undefined {
    return this.#places[this.#numbers.numberOf(digestBytes(digest))];
  }

  #forget(): void {
    this.#numbers = new DigestNumbers();
    this.#places = [];
    this.#slab = Buffer.alloc(0);
    this.#left = 0;
  }
}
