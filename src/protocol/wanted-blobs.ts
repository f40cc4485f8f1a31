import { DigestNumbers } from '../store/digest-numbers.js';

/** 600 KB of requests: far more than a sender answers while further ones are on their way. */
const MAX_UNANSWERED = 16_384;
const MIN_ROOM = 64;
/** In place of a size: it came, or is gone. */
const ANSWERED = -1;

export interface WantedBlob {
  /** A view; good until another is added. */
  readonly digest: Buffer;
  readonly size: number;
}

/** Blobs that are wanted, packed, and how far they were asked for: not all at once, but so that none is waited for. */
export class WantedBlobs {
  readonly #numbers = new DigestNumbers();
  /** By number: the size of one that was asked for, {@link ANSWERED}, or what {@link unasked} makes of a size. */
  #sizes = new Float64Array(0);
  /** All before this one were asked for, but for those that are wanted again. */
  #next = 0;
  #again: number[] = [];
  #unanswered = 0;
  #unasked = 0;

  /** Wanted and neither here nor gone. */
  get outstanding(): number {
    return this.#unanswered + this.#unasked;
  }

  get hasUnasked(): boolean {
    return this.#unasked > 0;
  }

  isWanted(digest: Uint8Array): boolean {
    const size = this.#sizes[this.#numbers.numberOf(digest)];
    return size !== undefined && size !== ANSWERED;
  }

  /** Of a blob that was asked for and is neither here nor gone; else undefined. */
  awaitedSize(digest: Uint8Array): number | undefined {
    const size = this.#sizes[this.#numbers.numberOf(digest)];
    return size !== undefined && size >= 0 ? size : undefined;
  }

  /** One that is not wanted (any more). */
  add(digest: Uint8Array, size: number): void {
    const number = this.#numbers.add(digest);
    if (number < this.#next) this.#again.push(number);
    if (number >= this.#sizes.length) {
      const grown = new Float64Array(Math.max(MIN_ROOM, this.#sizes.length * 2));
      grown.set(this.#sizes);
      this.#sizes = grown;
    }
    this.#sizes[number] = unasked(size);
    this.#unasked += 1;
  }

  /**
   * Those that are to be asked for now, in the order in which they were wanted: many at a time, so that a
   * sender can put many answers together.
   */
  *ask(): Generator<WantedBlob> {
    if (this.#unanswered > MAX_UNANSWERED / 2) return;
    while (this.#unasked > 0 && this.#unanswered < MAX_UNANSWERED) {
      const number = this.#again.shift() ?? this.#next++;
      const size = unasked(this.#sizes[number] ?? 0);
      this.#sizes[number] = size;
      this.#unasked -= 1;
      this.#unanswered += 1;
      yield { digest: this.#numbers.digest(number), size };
    }
  }

  /** One that was asked for came, or is gone. */
  answered(digest: Uint8Array): void {
    const number = this.#numbers.numberOf(digest);
    if ((this.#sizes[number] ?? ANSWERED) < 0) return;
    this.#sizes[number] = ANSWERED;
    this.#unanswered -= 1;
  }
}

/** To and fro between a size and what stands for it until it is asked for: below {@link ANSWERED}. */
function unasked(size: number): number {
  return ANSWERED - 1 - size;
}
