/** A tiny piece is joined to others, or a sender of single bytes would make us hold an object for each. */
const SMALL_PIECE_BYTES = 2048;
const SMALL_GATHER_BYTES = 16 * 1024;
/** A reader that never quite catches up must not leave an ever longer tail of read places. */
const COMPACT_AFTER = 256;

interface Slab {
  readonly memory: Buffer;
  used: number;
}

/**
 * Bytes between the socket and a reader, in order. A piece is kept as the view it came as, unless it is
 * tiny; then it is copied once, into memory that nothing else uses.
 */
export class PieceQueue {
  #pieces: (Buffer | Slab | undefined)[] = [];
  /** Index of the first piece: shifting a long array for each piece would be quadratic. */
  #first = 0;

  get isEmpty(): boolean {
    return this.#first === this.#pieces.length;
  }

  push(piece: Buffer): void {
    if (piece.length < SMALL_PIECE_BYTES) this.#gather(piece);
    else this.#pieces.push(piece);
  }

  shift(): Buffer | undefined {
    const piece = this.#pieces[this.#first];
    if (piece === undefined) return undefined;
    this.#pieces[this.#first] = undefined;
    this.#first += 1;
    if (this.#first === this.#pieces.length) this.clear();
    else if (this.#first >= COMPACT_AFTER) this.#compact();
    return Buffer.isBuffer(piece) ? piece : piece.memory.subarray(0, piece.used);
  }

  clear(): void {
    this.#pieces = [];
    this.#first = 0;
  }

  #compact(): void {
    this.#pieces = this.#pieces.slice(this.#first);
    this.#first = 0;
  }

  #gather(piece: Buffer): void {
    // Nothing waits: the reader is quick enough for the piece as it is.
    if (this.isEmpty) {
      this.#pieces.push(piece);
      return;
    }
    let rest = piece;
    const last = this.#pieces.at(-1);
    if (last !== undefined && !Buffer.isBuffer(last)) {
      const count = rest.copy(last.memory, last.used);
      last.used += count;
      rest = rest.subarray(count);
    }
    while (rest.length > 0) {
      const memory = Buffer.allocUnsafeSlow(SMALL_GATHER_BYTES);
      const used = rest.copy(memory);
      this.#pieces.push({ memory, used });
      rest = rest.subarray(used);
    }
  }
}
