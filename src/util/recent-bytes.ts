const SMALLEST_BYTES = 16 * 1024;

/** The newest bytes of a stream, at most `maxBytes` of them, by their offset in it. Memory grows with use. */
export class RecentBytes {
  readonly #maxBytes: number;
  readonly #first: number;
  #ring = Buffer.alloc(0);
  #end: number;

  /** `first`: the offset of the first byte that will be appended. */
  constructor(maxBytes: number, first = 0) {
    this.#maxBytes = maxBytes;
    this.#first = first;
    this.#end = first;
  }

  /** How many bytes the stream has had. */
  get end(): number {
    return this.#end;
  }

  /** The first offset that is still here. */
  get start(): number {
    return Math.max(this.#first, this.#end - this.#ring.length);
  }

  append(bytes: Uint8Array): void {
    this.#grow(bytes.length);
    const kept = bytes.subarray(Math.max(0, bytes.length - this.#ring.length));
    this.#put(this.#end + bytes.length - kept.length, kept);
    this.#end += bytes.length;
  }

  /** A copy of everything from `offset` on, which must be within what is here. */
  from(offset: number): Buffer {
    const copy = Buffer.allocUnsafe(this.#end - offset);
    const at = offset % Math.max(1, this.#ring.length);
    const first = this.#ring.subarray(at, at + copy.length);
    copy.set(first);
    copy.set(this.#ring.subarray(0, copy.length - first.length), first.length);
    return copy;
  }

  /** Nothing is dropped before the ring has its full size. */
  #grow(byteCount: number): void {
    const wanted = Math.min(this.#maxBytes, this.#end - this.start + byteCount);
    if (wanted <= this.#ring.length) return;
    let size = Math.max(SMALLEST_BYTES, this.#ring.length);
    while (size < wanted) size *= 4;
    const { start } = this;
    const kept = this.from(start);
    this.#ring = Buffer.allocUnsafeSlow(Math.min(size, this.#maxBytes));
    this.#put(start, kept);
  }

  #put(offset: number, bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    const at = offset % this.#ring.length;
    const room = this.#ring.length - at;
    this.#ring.set(bytes.subarray(0, room), at);
    this.#ring.set(bytes.subarray(room), 0);
  }
}
